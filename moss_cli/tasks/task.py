"""What every task gives the runner."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from moss_cli.schema import Notice, Result, TaskName


@dataclass(frozen=True)
class Span:
    """The part of a file that a clip is: seconds from the file's start."""

    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True)
class Question:
    """One instruction to the model. `grammar` is the form that it asks for (see engine.grammar);
    None for free text. An answer may have `most_tokens`, and so many more for each second of audio."""

    prompt: str
    grammar: str | None = None
    most_tokens: int = 1024
    tokens_per_second: int = 0

    def max_new_tokens(self, duration_s: float) -> int:
        """How long the answer about a clip may become, where the user does not say."""
        return self.most_tokens + math.ceil(duration_s * self.tokens_per_second)


@dataclass(frozen=True)
class Reading:
    """Answers as a result, in the file's times, and as plain text. `complete` is False where an
    answer broke off."""

    result: Result
    text: str
    notices: tuple[Notice, ...] = ()
    complete: bool = True


@dataclass(frozen=True)
class Part:
    """What was read of one piece of a recording. Neighbours overlap where no pause was found to cut in."""

    span: Span
    reading: Reading


@dataclass(frozen=True)
class Focus:
    """The part of a file that a task is about, and the task as it is to be asked about that part."""

    task: Task
    start_s: float
    end_s: float


class Task(ABC):
    """One of the commands: what to ask, and how to read what comes back."""

    name: TaskName
    needs_speech: ClassVar[bool] = False  # of a piece in which nobody speaks there is nothing to say
    is_divisible: ClassVar[bool] = False  # half a clip gives half an answer, so a cut one is asked for again in halves
    shows: ClassVar[bool] = False  # see `shown`
    custom_prompt: str | None = None  # what the user says in the place of the instruction

    @property
    @abstractmethod
    def questions(self) -> tuple[Question, ...]:
        """What is asked about a clip, one after the other; the first is the task's instruction."""

    @abstractmethod
    def read(self, answers: Sequence[str], span: Span) -> Reading:
        """Read the answers to the questions. Never raises: whatever the model said becomes a result."""

    def unspoken(self, span: Span) -> Reading:
        """What there is to say of a stretch in which nobody speaks: nothing, and that is all of it."""
        return replace(self.read([""] * len(self.questions), span), complete=True)

    @abstractmethod
    def merge(self, parts: Sequence[Part]) -> Reading:
        """What was read of several pieces, in their order, as one result. Never raises."""

    def over(self, parts: Sequence[Part]) -> Task | None:
        """The task of bringing together what was read of several pieces, asked without audio, where that takes
        understanding; None where `merge` is right."""
        return None

    def with_overall(self, merged: Reading, overall: Reading) -> Reading:
        """What was merged by rule, completed by the answer to `over`."""
        return merged

    @property
    def params(self) -> dict[str, Any]:
        """The task's own options, as they stand in the envelope's `params`."""
        return {}

    @property
    def is_usual(self) -> bool:
        """Whether the instruction is the task's own, which a model trained for the task knows."""
        return self.custom_prompt is None

    def shown(self, answer: str) -> str | None:
        """What of an answer, or of its beginning, can be shown while it is decoded, if the task `shows` any.

        What an answer's beginning shows is the beginning of what the answer shows.
        """
        return None

    @property
    def may_name_a_time(self) -> bool:
        """Whether `focus` is to be asked, for which the length of a file must be known."""
        return False

    def focus(self, duration_s: float, chosen: Span) -> Focus | None:
        """The part that a question names, of a file that lasts `duration_s` and of which only `chosen` is to be heard.

        Raises UsageError for one outside it.
        """
        return None
