"""What every task gives the runner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from moss_cli.schema import Notice, Transcription


@dataclass(frozen=True)
class Span:
    """The part of a file that a clip is: seconds from the file's start."""

    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True)
class Reading:
    """An answer as a result, in the file's times, and its plain text."""

    result: Transcription
    text: str
    notices: tuple[Notice, ...] = ()


class Task(Protocol):
    """One of the commands: what to ask, and how to read what comes back."""

    @property
    def name(self) -> str: ...

    @property
    def prompt(self) -> str:
        """The instruction, as it is sent."""
        ...

    @property
    def grammar(self) -> str | None:
        """The form that the prompt asks for, as a grammar (see engine.grammar); None for free text."""
        ...

    def max_new_tokens(self, duration_s: float) -> int:
        """How long an answer about a clip may become, where the user does not say."""
        ...

    def read(self, answer: str, span: Span) -> Reading:
        """Read an answer about a clip. Never raises: whatever the model said becomes a result."""
        ...
