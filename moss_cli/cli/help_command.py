"""`moss help`, and what `moss` says alone."""

from __future__ import annotations

from typing import Annotated, Any

import typer

EXAMPLES = ("moss help", "moss help transcribe", "moss help models pull")


def _commands(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """The commands that a shell completes, below those that are named already."""
    about: Any = context.find_root().command
    for word in context.args:
        about = getattr(about, "commands", {}).get(word)
    below = getattr(about, "commands", {})
    return [(name, one.get_short_help_str(100)) for name, one in below.items() if name.startswith(incomplete)]


def show_help(
    context: typer.Context,
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="[COMMAND...]", help="A command.", show_default=False, autocompletion=_commands),
    ] = None,
) -> None:
    """Show the help of a command."""
    from moss_cli.cli.command_line import CommandLine, run_hint
    from moss_cli.cli.usage import nearest_of
    from moss_cli.errors import UsageError
    from moss_cli.output.terminal import one_line

    about: Any = context.parent
    for word in command or ():
        known = getattr(about.command, "commands", {})
        if word not in known:
            nearest = nearest_of(word, known)
            better = CommandLine(("help", *(command or ()))).replaced(word, nearest) if nearest else "moss --help"
            raise UsageError(f"no such command: {one_line(word)}", hint=run_hint(better))
        about = type(about)(known[word], info_name=word, parent=about)
    typer.echo(about.get_help())


def show_help_alone(context: typer.Context) -> None:
    """Show the help of commands of which none was named, and exit."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit
