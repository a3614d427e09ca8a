"""What every task gives the runner."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel

from moss_cli.answers import Cost, FinishReason, Form
from moss_cli.schema import Notice
from moss_cli.span import Span

R_co = TypeVar("R_co", bound=BaseModel, covariant=True)
R = TypeVar("R", bound=BaseModel)


@dataclass(frozen=True)
class Question:
    """One instruction to the model. `form` is the form that it asks for; None for free text. There is room for an
    answer of `n_characters`, and so many more for each second of audio."""

    prompt: str
    form: Form | None = None
    n_characters: int = 1024
    n_characters_per_second: int = 0

    def room(self, duration_s: float) -> int:
        """How many characters the answer about a clip may surely have, where the user does not say."""
        return self.n_characters + math.ceil(duration_s * self.n_characters_per_second)


@dataclass(frozen=True)
class Reading(Generic[R_co]):
    """Answers as a result, in the file's times, and as plain text.

    `complete` is False where an answer broke off. `cut`: names of the fields that ended at a limit of their form, so
    that more may have been to be said.
    """

    result: R_co
    text: str
    notices: tuple[Notice, ...] = ()
    complete: bool = True
    cut: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part(Generic[R_co]):
    """What came of one chunk of a recording. Neighbours overlap where no pause was found to cut in.

    `finish_reason` is that of the answer that ended worst; `cost` is that of all attempts.
    """

    span: Span
    reading: Reading[R_co]
    finish_reason: FinishReason | Literal["no_speech"] = "stop"
    attempts: int = 1
    thought: str | None = None
    cost: Cost = field(default_factory=Cost)

    @property
    def complete(self) -> bool:
        """Whether nothing of it is missing."""
        return self.reading.complete and self.finish_reason in ("stop", "no_speech")


@dataclass(frozen=True)
class Focus:
    """The part of a file that a task is about, and the task as it is to be asked about that part."""

    task: Task[Any]
    start_s: float
    end_s: float


class Task(ABC, Generic[R]):
    """One of the commands: what to ask, and how to read what comes back."""

    name: str
    needs_speech: ClassVar[bool] = False  # of a piece in which nobody speaks there is nothing to say
    is_divisible: ClassVar[bool] = False  # half a clip gives half an answer, so a cut one is asked for again in halves
    shows: ClassVar[bool] = False  # see `shown`
    custom_prompt: str | None = None  # what the user says in the place of the instruction

    @property
    @abstractmethod
    def questions(self) -> tuple[Question, ...]:
        """What is asked about a clip, one after the other; the first is the task's instruction."""

    @abstractmethod
    def read(self, answers: Sequence[str], span: Span) -> Reading[R]:
        """Read the answers to the questions. Never raises: whatever the model said becomes a result."""

    def unspoken(self, span: Span) -> Reading[R]:
        """What there is to say of a stretch in which nobody speaks: nothing, and that is all of it."""
        return replace(self.read([""] * len(self.questions), span), complete=True)

    @abstractmethod
    def merge(self, parts: Sequence[Part[R]]) -> Reading[R]:
        """What was read of several pieces, in their order, as one result. Never raises."""

    def over(self, parts: Sequence[Part[R]]) -> Task[R] | None:
        """The task of bringing together what was read of several pieces, asked without audio, where that takes
        understanding; None where `merge` is right."""
        return None

    def with_overall(self, merged: Reading[R], overall: Reading[R]) -> Reading[R]:
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
