"""Help in plain text: options under the headings of their panels, examples a line each.

Typer shows panels only where rich draws them, and rich takes `[INPUT...]` and `[default: …]` for markup.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from typer.core import TyperCommand

ARGUMENTS, OPTIONS = "Arguments", "Options"
TASK, INPUTS, OUTPUT, MODEL = "Task", "Inputs", "Output", "Model"
AUDIO, DECODING, CLUSTER, MESSAGES = "Audio", "Decoding", "Cluster", "Messages"
SERVER = "Server"
PANELS = (
    ARGUMENTS,
    TASK,
    INPUTS,
    OUTPUT,
    MODEL,
    SERVER,
    AUDIO,
    DECODING,
    CLUSTER,
    MESSAGES,
    OPTIONS,
)  # in the order of the help


class Command(TyperCommand):
    """A command that lists its options by panel. Its epilog is a list of examples, one a line."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """What stands behind the command's name in its usage line."""
        arguments = [_shown(param) for param in self.get_params(ctx) if param.param_type_name == "argument"]
        return ["[OPTIONS]", *arguments]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and options, a section for each panel that has any."""
        panels: dict[str, list[tuple[str, str]]] = {panel: [] for panel in PANELS}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and param.param_type_name == "argument":
                panels[ARGUMENTS].append((_shown(param).strip("[.]"), record[1]))  # without its type
            elif record is not None:
                panels[getattr(param, "rich_help_panel", None) or OPTIONS].append(record)
        for panel, rows in panels.items():
            if rows:
                with formatter.section(panel):
                    formatter.write_dl(rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples as they are: a command that is broken cannot be pasted."""
        if self.epilog:
            with formatter.section("Examples"):
                formatter.write("".join(f"  {line}\n" for line in self.epilog.splitlines()))


def _shown(argument: Any) -> str:
    """An argument as in a usage line: `TASK`, `INPUT...`, `[AUDIO]`."""
    name: str = argument.metavar or argument.name.upper()
    return f"{name}..." if argument.nargs == -1 and "..." not in name else name


def examples(lines: Iterable[str]) -> str:
    """Examples as the epilog of a command."""
    return "\n".join(lines)
