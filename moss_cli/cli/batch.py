"""`moss batch`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from moss_cli.cli.help import Command, examples
from moss_cli.cli.help_command import show_help_alone

STATUS_EXAMPLES = (
    "moss batch status out/",
    """moss batch status out/ -f json | jq -r '.inputs[] | select(.status == "failed") | .path'""",
)

ABOUT = "Show or clean up the state of an output folder."

app = typer.Typer(rich_markup_mode=None, help=ABOUT)
app.callback(help=ABOUT, invoke_without_command=True)(show_help_alone)


Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A folder that was given as -o.", show_default=False)]


@app.command("status", cls=Command, epilog=examples(STATUS_EXAMPLES))
def status(
    folder: Folder,
    format: Annotated[Literal["txt", "json"], typer.Option("--format", "-f", help="Text or JSON.")] = "txt",
) -> None:
    """Show what is done in an output folder and what is not.

    Lists the inputs that are done, partial, unfinished, failed or changed since, and the runs at work.
    """
    import json

    from moss_cli.folders.status import read_status

    state = read_status(folder)
    if format == "json":
        typer.echo(json.dumps(state.document(), indent=1))
    else:
        typer.echo("\n".join(state.lines()))


@app.command("clean", cls=Command, epilog="moss batch clean out/")
def clean(context: typer.Context, folder: Folder) -> None:
    """Forget the inputs that have no result in an output folder.

    Drops unfinished and failed inputs and those not begun, and removes what killed runs left behind. Results stay.
    Refused while a run is at work.
    """
    from moss_cli.folders import status as folder_state

    context.obj.note(folder_state.clean(folder).line())
