"""What -o and -f mean together: stdout, one file, or a folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from moss_cli.cli.command_line import CommandLine, run_hint
from moss_cli.cli.inputs import GivenInputs
from moss_cli.errors import UsageError
from moss_cli.output.formats import FORMATS, ONE_DOCUMENT, TIMED, check_has_times, format_of, has_times
from moss_cli.output.terminal import one_line

_OUTPUT, _FORMAT = ("-o", "--output"), ("-f", "--format")

# What formats of other programs come nearest to.
_NEAREST = {
    **dict.fromkeys(("text", "log", "rst", "rtf", "lab", "odt"), "txt"),
    **dict.fromkeys(("ass", "ssa", "lrc", "sub", "smi", "stl"), "srt"),
    **dict.fromkeys(("sbv", "ttml", "dfxp", "webvtt"), "vtt"),
    **dict.fromkeys(("markdown", "pdf", "doc", "docx", "html", "htm"), "md"),
    **dict.fromkeys(("xls", "xlsx", "ods"), "csv"),
    **dict.fromkeys(("xml", "yaml", "yml", "textgrid", "eaf"), "json"),
    "ndjson": "jsonl",
    "tab": "tsv",
}


@dataclass(frozen=True)
class OutputTarget:
    """Where results go: nowhere but stdout (`path` is None), to a file, or with `is_folder` into a folder."""

    path: Path | None
    formats: tuple[str, ...]
    is_folder: bool = False


def nearest_format(name: str, task: str) -> str | None:
    """The format of a task's results that somebody means who writes `name`, where that can be told."""
    from difflib import get_close_matches

    name = name.lower().lstrip(".")
    nearest = _NEAREST.get(name) or next(iter(get_close_matches(name, FORMATS, 1)), None)
    return nearest if nearest not in TIMED or has_times(task, None) else "txt"


def output_target(
    inputs: GivenInputs,
    output: str | None,
    formats: Sequence[str] | None,
    *,
    task: str,
    timestamps: str | None,
    typed: CommandLine,
) -> OutputTarget:
    """Where results go. Raises UsageError, with the right command, for what does not go together."""
    chosen = tuple(dict.fromkeys(formats or ()))
    if output == "":
        raise UsageError("the output name is empty")
    if output is None or output == "-":
        chosen = chosen or ("txt",)
        for fmt in chosen:
            check_has_times(fmt, task, timestamps)
        _check_stdout(inputs, chosen, typed)
        return OutputTarget(None, chosen)
    path = Path(output)
    suffix = os.path.splitext(path.name)[1].removeprefix(".")  # noqa: PTH122 - pathlib's answer depends on Python
    is_folder = output.endswith("/") or os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises for a long name
    if not is_folder and (not suffix or _is_device(path)):
        is_folder = not _is_device(path) and (inputs.several or len(chosen) > 1)
        if not is_folder and output in FORMATS:
            right = typed.without(*_OUTPUT, *_FORMAT).added("-f", output)
            raise UsageError(f"-o {output} would be a file of that name", hint=run_hint(right, f"use -f {output}"))
        chosen = chosen or ("txt",)
    elif not is_folder:
        chosen = _of_suffix(inputs, path, suffix, chosen, task, typed)
    chosen = chosen or ("txt",)
    for fmt in chosen:
        check_has_times(fmt, task, timestamps)
    if not is_folder and (inputs.several or len(chosen) > 1):  # a device
        raise UsageError(f"{one_line(output)} is a file; the output has to be a folder here")
    return OutputTarget(path, chosen, is_folder)


def _is_device(path: Path) -> bool:
    """Whether it is something else than a file or a folder: a FIFO, a device, the process's own stream."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def _of_suffix(
    inputs: GivenInputs, path: Path, suffix: str, chosen: tuple[str, ...], task: str, typed: CommandLine
) -> tuple[str, ...]:
    """The format of a file with a suffix. Raises UsageError."""
    shown, fmt, stem = one_line(str(path)), format_of(path), str(path.with_suffix(""))
    bare = typed.without(*_OUTPUT, *_FORMAT)
    if inputs.several or len(chosen) > 1:
        what = "several inputs" if inputs.several else "several formats"
        wanted = chosen or ((fmt,) if fmt else ("txt",))
        options = [option for one in wanted for option in ("-f", one)]
        if len(wanted) == 1 and wanted[0] in ONE_DOCUMENT:
            right = f"{bare.added(*options)} > {_quoted(path.with_suffix('.' + wanted[0]))}"
            raise UsageError(f"{what} cannot go into one file, {shown}", hint=run_hint(right, "write it with > FILE"))
        folder = stem + "/"
        right = str(bare.added("-o", folder, *options))
        raise UsageError(f"{what} cannot go into one file, {shown}", hint=run_hint(right, f"use -o {folder}"))
    if fmt is None:
        nearest = chosen[0] if chosen else nearest_format(suffix, task)
        file = f"{stem}.{nearest}" if nearest else f"{path}.txt"
        raise UsageError(
            f"{shown}: there is no format .{one_line(suffix)}; there are {', '.join(FORMATS)}",
            hint=run_hint(bare.added("-o", file), f"use -o {one_line(file)}"),
        )
    if chosen and chosen != (fmt,):
        file = f"{stem}.{chosen[0]}"
        raise UsageError(
            f"-o {shown} and -f {chosen[0]} do not agree",
            hint=run_hint(bare.added("-o", file), f"use -o {one_line(file)}"),
        )
    return (fmt,)


def _quoted(path: Path) -> str:
    import shlex

    return shlex.quote(str(path))


def _check_stdout(inputs: GivenInputs, chosen: Sequence[str], typed: CommandLine) -> None:
    several = f"several inputs as {chosen[0]}" if inputs.several and chosen[0] in TIMED else None
    several = "several formats" if len(chosen) > 1 else several
    if several is not None:
        right = typed.without(*_OUTPUT).added("-o", "out/")
        raise UsageError(f"{several} need an output folder", hint=run_hint(right, "add -o FOLDER/"))
