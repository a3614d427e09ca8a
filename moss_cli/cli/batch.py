"""`moss batch`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

app = typer.Typer(rich_markup_mode=None, help="What is done in an output folder, and what is not.")

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="A folder that was given to a command as -o.", show_default=False)
]


@app.command("status")
def status(
    folder: Folder,
    format: Annotated[Literal["txt", "json"], typer.Option("--format", "-f", help="As text or JSON.")] = "txt",
) -> None:
    """Say what is done in an output folder, and what is not.

    That is: done, partial, unfinished, failed last time or no longer as it was written, and which runs are at work.

    \b
    moss batch status out/
    moss batch status out/ -f json | jq -r '.inputs[] | select(.status == "failed") | .path'
    """
    import json

    from moss_cli.folders.status import read_status

    state = read_status(folder)
    if format == "json":
        typer.echo(json.dumps(state.document(), indent=1))
    else:
        typer.echo("\n".join(state.lines()))


@app.command("clean")
def clean(context: typer.Context, folder: Folder) -> None:
    """Forget the inputs that have no result here.

    Those are the unfinished, the failed and those that were not begun. What killed runs left behind is removed, results
    stay. Not while a run is at work.

    \b
    moss batch clean out/
    """
    from moss_cli.folders import status as folder_state

    context.obj.note(folder_state.clean(folder).line())
