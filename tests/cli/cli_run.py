"""What a run of the command line gives, for the tests that compare it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

DEMO = "moss: tiny is a demonstration model for synthetic audio, not for real recordings"
TINY = ("transcribe", "--model", "tiny")


_SUMMARY = re.compile(
    r"moss: (\d+ inputs?: .*|no speech found: .*|(changed by you|not written by moss), kept: .*|passed over .*"
    r"|[\d.:]+ .*of audio in .* real time)"
)


@dataclass(frozen=True)
class Run:
    """What a run gave: exit code, stdout, and the lines on stderr without the note on the demonstration model.

    What is said at the end of a run over several inputs is in `summary`, without `moss: `.
    """

    code: int
    out: str
    err: list[str]
    summary: list[str] = field(default_factory=list, compare=False)


def without_note(lines: Sequence[str]) -> list[str]:
    """The lines of stderr but for the note on the demonstration model."""
    return [line for line in lines if line != DEMO]


def split(lines: Sequence[str]) -> tuple[list[str], list[str]]:
    """The lines of stderr that are not of the summary, and those that are, without `moss: `."""
    of_summary = [line for line in lines if _SUMMARY.fullmatch(line)]
    return [line for line in without_note(lines) if line not in of_summary], [
        s.removeprefix("moss: ") for s in of_summary
    ]
