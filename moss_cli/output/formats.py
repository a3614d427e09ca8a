"""The names of the output formats. The command's help imports this: standard library only."""

from __future__ import annotations

from pathlib import Path

from moss_cli.tasks.catalogue import entry

FORMATS = ("txt", "json", "jsonl", "srt", "vtt", "md", "tsv", "csv")
TIMED = {"srt", "vtt"}  # formats that hold nothing but timed items
WORDLESS = {"txt", "srt"}  # formats that have no place for the times of words
TABLES = {"tsv", "csv"}
ONE_DOCUMENT = {"json", "jsonl", "tsv", "csv"}  # formats that hold the results of several inputs


def format_of(path: Path) -> str | None:
    """The format that the suffix of `path` names, in any case, or None."""
    suffix = path.suffix.lower().removeprefix(".")
    return suffix if suffix in FORMATS else None


def has_times(task: str, timestamps: str | None) -> bool:
    """Whether the results of `task` have timed items, given its `--timestamps` (None where it has no such option)."""
    return entry(task).timeline is not None and timestamps != "none"
