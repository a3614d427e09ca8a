"""What a run of the command line gives, for the tests that compare it."""

from __future__ import annotations

from dataclasses import dataclass

DEMO = "moss: tiny is a demonstration model, trained on synthetic speech: not for real recordings"
TINY = ("transcribe", "--model", "tiny")


@dataclass(frozen=True)
class Run:
    """What a run gave: exit code, stdout, and the lines on stderr without the note on the demonstration model."""

    code: int
    out: str
    err: list[str]
