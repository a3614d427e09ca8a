"""`moss doctor`"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Literal, TextIO

import typer

from moss_cli.cli.config import read_settings
from moss_cli.cli.help import OUTPUT
from moss_cli.cli.option import DeviceOption, DtypeOption, model_option
from moss_cli.errors import MossError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moss_cli.doctor.check import Check, CheckStatus

EXAMPLES = ("moss doctor", "moss doctor --model 8b-instruct --dtype 4bit", "moss doctor -f json")
_MARKS: dict[CheckStatus, str] = {"ok": "✓", "warning": "!", "error": "✗"}
_PLAIN_MARKS: dict[CheckStatus, str] = {"ok": "+", "warning": "!", "error": "x"}
_COLORS: dict[CheckStatus, str] = {"ok": "32", "warning": "33", "error": "31"}


def doctor(
    context: typer.Context,
    model: Annotated[
        str | None, model_option("The model that has to run: a name from `moss models list`, or a checkpoint folder.")
    ] = None,
    dtype: DtypeOption = "auto",
    device: DeviceOption = "auto",
    shown_as: Annotated[
        Literal["txt", "json"], typer.Option("--format", "-f", rich_help_panel=OUTPUT, help="How to print the checks.")
    ] = "txt",
) -> None:
    """Check what this machine can run.

    A line for each check, and below what is wrong the command that mends it. Nothing is downloaded or changed. The
    exit code is 1 if the default model, or that of --model, cannot run.
    """
    from moss_cli.doctor.check import install

    try:
        from moss_cli.doctor.diagnose import diagnose
    except (ImportError, OSError) as error:
        # What is imported so early is named as its package is; a library that does not load is mostly torch's.
        package = (getattr(error, "name", None) or "torch").partition(".")[0].replace("moss_cli", "moss-cli")
        fix = install("--force-reinstall", package)
        raise MossError(f"a package that moss needs does not load: {error}", hint=f"run `{fix}`") from error
    commands = context.find_root().command
    found = diagnose(model=model, device=device, dtype=dtype, read_config=lambda: read_settings(commands))
    if shown_as == "json":
        import json

        typer.echo(json.dumps(found.document(), indent=2))
    else:
        sys.stdout.write("".join(f"{line}\n" for line in report_lines(found.checks, sys.stdout)))
    raise typer.Exit(0 if found.can_run else 1)


def report_lines(checks: tuple[Check, ...], stream: TextIO) -> Iterator[str]:
    """The checks as a stream can show them: in its width and encoding, in colour on a terminal."""
    import os

    from moss_cli.output.screen import columns_of, hanging
    from moss_cli.output.terminal import one_line

    encoding = stream.encoding or "utf-8"
    plain = not _has("✓✗→", encoding)
    marks, arrow = (_PLAIN_MARKS, "->") if plain else (_MARKS, "→")
    colored = stream.isatty() and not os.environ.get("NO_COLOR")
    width, columns = max(len(check.name) for check in checks), columns_of(stream)
    indent = width + 4
    for check in checks:
        mark = marks[check.status]
        line = hanging(f"{mark} {one_line(check.name):<{width}}  {one_line(check.text)}", columns, indent)
        line = line.encode(encoding, "backslashreplace").decode(encoding)
        yield f"\x1b[{_COLORS[check.status]}m{mark}\x1b[0m{line.removeprefix(mark)}" if colored else line
        if check.fix:  # not folded: what is broken into lines cannot be pasted
            fix = f"  {arrow} {one_line(check.fix)}"
            yield fix.encode(encoding, "backslashreplace").decode(encoding)


def _has(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
