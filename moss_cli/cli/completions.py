"""`moss completions`"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from moss_cli.cli.help import Command, examples
from moss_cli.cli.help_command import show_help_alone

ABOUT = "Complete commands, options, models and files with TAB."
EXAMPLES = ("moss completions install", "moss completions install zsh", "moss completions uninstall")

app = typer.Typer(rich_markup_mode=None, help=ABOUT)
app.callback(help=ABOUT, epilog="Examples: moss completions install", invoke_without_command=True)(show_help_alone)

Shell = Annotated[
    Literal["bash", "zsh", "fish"] | None,
    typer.Argument(metavar="[SHELL]", help="bash, zsh or fish. Without it, the one of $SHELL.", show_default=False),
]


@app.command("install", cls=Command, epilog=examples(EXAMPLES[:2]))
def install(context: typer.Context, shell: Shell = None) -> None:
    """Install completion for a shell, where it looks for it.

    Says whether anything is left to do. To find out, it starts the shell once, as a new terminal does.
    """
    from moss_cli.cli.completion.install import install as install_script
    from moss_cli.doctor.shells import in_shell

    home = Path.home()
    done = install_script(shell or _own_shell("install"), os.environ, home)
    state = "installed in" if done.is_new else "installed already in"
    context.obj.note(f"completion for {done.shell} is {state} {in_shell(done.path, home)}")
    if done.line is None:
        context.obj.note("new shells have it; there is nothing else to do")
        return
    needed = "new shells need" if done.is_sure else "if new shells do not complete moss, they need"
    context.obj.note(f"{needed} this line at the end of {in_shell(done.rc_file, home)}:")
    typer.echo(done.line)


@app.command("uninstall", cls=Command, epilog=examples(EXAMPLES[2:]))
def uninstall(context: typer.Context, shell: Shell = None) -> None:
    """Remove what `moss completions install` installed."""
    from moss_cli.cli.completion.install import uninstall as remove_script
    from moss_cli.doctor.shells import in_shell

    name = shell or _own_shell("uninstall")
    path = remove_script(name, os.environ, Path.home())
    if path is None:
        context.obj.note(f"completion for {name} was not installed")
    else:
        context.obj.note(f"{in_shell(path, Path.home())} is removed")


def _own_shell(command: str) -> Literal["bash", "zsh", "fish"]:
    """The shell of $SHELL. Raises UsageError where it is none of the three."""
    from moss_cli.cli.command_line import run_hint
    from moss_cli.doctor.completion import shell_of
    from moss_cli.errors import UsageError

    shell = shell_of(os.environ)
    if shell in ("bash", "zsh", "fish"):
        return shell  # type: ignore[return-value]
    said = f"$SHELL is {shell}" if shell else "$SHELL is not set"
    raise UsageError(
        f"{said}, and moss completes in bash, zsh and fish", hint=run_hint(f"moss completions {command} bash")
    )


def _printing(shell: str) -> Callable[[], None]:
    def show_script() -> None:
        from moss_cli.cli.completion.install import script_of

        typer.echo(script_of(shell), nl=False)

    show_script.__doc__ = f"Print the completion script for {shell}."
    return show_script


for name in ("bash", "zsh", "fish"):
    app.command(name, cls=Command, epilog=f"moss completions {name} > FILE")(_printing(name))
