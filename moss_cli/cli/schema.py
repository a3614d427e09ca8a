"""`moss schema`"""

from __future__ import annotations

from typing import Annotated

import typer

from moss_cli.cli.options import TaskChoice

EXAMPLES = ("moss schema transcribe > transcribe.schema.json",)


def schema(
    task: Annotated[TaskChoice, typer.Argument(metavar="TASK", help="A task, such as transcribe.", show_default=False)],
) -> None:
    """Print the JSON Schema of a task's output."""
    import json

    from moss_cli.output.json_schema import json_schema

    typer.echo(json.dumps(json_schema(task.value), indent=2))
