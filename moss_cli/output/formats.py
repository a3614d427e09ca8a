"""The names of the output formats. The command's help imports this: standard library only."""

from __future__ import annotations

from pathlib import Path

from moss_cli.errors import UsageError
from moss_cli.tasks.catalogue import entry

FORMATS = ("txt", "json", "jsonl", "srt", "vtt", "md", "tsv", "csv")
TIMED = {"srt", "vtt"}  # formats that hold nothing but timed items
WORDLESS = {"txt", "srt"}  # formats that have no place for the times of words
WHOLE = {"json", "jsonl", "md"}  # formats that begin with what is known at the end
TABLES = {"tsv", "csv"}
COMBINED = "analyze"  # stands in the place of a task where several say something of an input
ONE_DOCUMENT = {"json", "jsonl", "tsv", "csv"}  # formats that hold the results of several inputs


def format_of(path: Path) -> str | None:
    """The format that the suffix of `path` names, in any case, or None."""
    suffix = path.suffix.lower().removeprefix(".")
    return suffix if suffix in FORMATS else None


def has_times(task: str, timestamps: str | None) -> bool:
    """Whether the results of `task` have timed items, given its `--timestamps` (None where it has no such option)."""
    return task == COMBINED or (entry(task).timeline is not None and timestamps != "none")


def check_has_times(fmt: str, task: str, timestamps: str | None) -> None:
    """Raise UsageError for a format that holds nothing but timed items, of results that have none."""
    if fmt not in TIMED or has_times(task, timestamps):
        return
    if timestamps == "none":
        raise UsageError(f"{fmt} needs timestamps", hint="remove --timestamps none, or use txt")
    message = f"{task} has no timed items, so it cannot be written as {fmt}"
    raise UsageError(message, hint="use txt, json, jsonl, md, tsv or csv")
