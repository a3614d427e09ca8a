"""`moss completions`"""

from __future__ import annotations

from typing import Annotated, Literal

import typer

EXAMPLES = (
    "moss completions bash > ~/.local/share/bash-completion/completions/moss",
    "moss completions zsh > ~/.zfunc/_moss",
    "moss completions fish > ~/.config/fish/completions/moss.fish",
)


def completions(
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="The shell.", show_default=False)],
) -> None:
    """Print a completion script for a shell."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    typer.echo(get_completion_script(prog_name="moss", complete_var="_MOSS_COMPLETE", shell=shell))
