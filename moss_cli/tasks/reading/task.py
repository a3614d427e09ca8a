"""What every task gives the runner: questions, and how their answers are read and merged."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, Literal, TypeVar

from moss_cli.answers import Cost, FinishReason, Form, Turn
from moss_cli.errors import UsageError
from moss_cli.schema import Notice, Record
from moss_cli.span import Span
from moss_cli.tasks.reading.certain import Merging

R_co = TypeVar("R_co", bound=Record, covariant=True)
R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Question:
    """One instruction to the model. `form` is the form that it asks for; None for free text.

    An answer gets room for `n_characters`, and for so many more for each second of audio, as far as the model has
    them; where it has not even room for `n_least`, the question cannot be asked. `fills` names the field that an answer
    fills whose text does not tell.
    """

    prompt: str
    form: Form | None = None
    n_characters: int = 4096
    n_characters_per_second: int = 0
    n_least: int = 1024
    fills: str | None = None

    def room(self, duration_s: float) -> int:
        """How many characters an answer about a clip of `duration_s` seconds gets room for by default."""
        return self.n_characters + math.ceil(duration_s * self.n_characters_per_second)


@dataclass(frozen=True)
class Reading(Generic[R_co]):
    """Answers as a result, in the file's times, and as plain text.

    `complete` is False where an answer broke off. `cut` names the fields that ended at a limit of their form, or in
    which an answer broke off: there may have been more to say.
    """

    result: R_co
    text: str
    notices: tuple[Notice, ...] = ()
    complete: bool = True
    cut: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part(Generic[R_co]):
    """What came of one chunk of a recording. Neighbours overlap where no pause was found to cut in.

    `finish_reason` is that of the answer that ended worst; `cost` is that of all attempts. `untold`: what the answer
    says nothing of though it should, also after it was asked for again. `channel`: which one was heard, where each is
    by itself.
    """

    span: Span
    reading: Reading[R_co]
    finish_reason: FinishReason | Literal["no_speech"] = "stop"
    attempts: int = 1
    thought: str | None = None
    cost: Cost = field(default_factory=Cost)
    untold: tuple[Span, ...] = ()
    channel: str | None = None

    @property
    def complete(self) -> bool:
        """Whether its answers came to their end; what they leave untold is another matter (`untold.still_untold`)."""
        return self.reading.complete and self.finish_reason in ("stop", "no_speech")


@dataclass(frozen=True)
class Focus:
    """The part of a file that a task is about, and the task as it is to be asked about that part."""

    task: Task[Any]
    start_s: float
    end_s: float


class Task(ABC, Generic[R]):
    """One of the commands: what to ask, and how to read the answers."""

    name: str
    result_type: ClassVar[type[Record]]
    needs_speech: ClassVar[bool] = False  # a piece without speech is not given to the model
    # Whether a cut answer is asked for again in halves: where `merge` alone makes of two halves what the whole should
    # have given.
    is_divisible: ClassVar[bool] = False
    # Whether stretches without speech can be left out of a chunk: where nothing that is said rests on its pauses.
    ignores_pauses: ClassVar[bool] = False
    shows: ClassVar[bool] = False  # see `shown`
    # The warning about what is untold in the end.
    untold_code: ClassVar[str] = "uncovered"
    untold_message: ClassVar[str] = "the model's answer says nothing of this stretch, though it should cover the whole"
    custom_prompt: str | None = None  # the user's instruction in place of the task's own
    turns: tuple[Turn, ...] = ()  # what was asked and answered before, if the questions go on from there

    @property
    @abstractmethod
    def questions(self) -> tuple[Question, ...]:
        """What is asked about a clip, one after the other; the first is the task's instruction."""

    @abstractmethod
    def read(self, answers: Sequence[str], span: Span) -> Reading[R]:
        """Read the answers to the questions. Never raises: whatever the model said becomes a result."""

    def unspoken(self, span: Span) -> Reading[R]:
        """The result of a stretch in which nobody speaks: empty, and complete."""
        return replace(self.read([""] * len(self.questions), span), complete=True, cut=())

    def untold(self, reading: Reading[R], span: Span, heard: Sequence[Span]) -> tuple[Span, ...]:
        """What of a clip over `span` its answer says nothing of though it should, in order. `heard` is where there is
        what the task is about: speech, or anything audible."""
        return ()

    def untold_of_parts(self, merged: Reading[R], span: Span, heard: Sequence[Span]) -> tuple[Span, ...]:
        """Likewise of what was merged of a clip's parts, beside what each of them leaves untold."""
        return ()

    def told(self, reading: Reading[R], spans: Sequence[Span]) -> list[Reading[R]]:
        """An answer shared out among the stretches that it tells of; nothing of it is lost."""
        return [reading, *(self.unspoken(span) for span in spans[1:])]

    @abstractmethod
    def merge(self, parts: Sequence[Part[R]]) -> Reading[R]:
        """What was read of several pieces, in their order, as one result. Never raises."""

    def merging(self) -> Merging[R] | None:
        """What merges the chunks of one input while they come, as far as that is certain; None where only `merge` says
        what comes first. All that it gives is the beginning of what `merge` makes of all parts."""
        return None

    def over(self, parts: Sequence[Part[R]]) -> Task[R] | None:
        """A task, asked without audio, that brings together what was read of several pieces; None where `merge` does
        that by rule."""
        return None

    def with_overall(self, merged: Reading[R], overall: Reading[R]) -> Reading[R]:
        """What was merged by rule, with what the answer to `over` adds."""
        return merged

    @property
    def params(self) -> dict[str, Any]:
        """The task's own options, as they stand in the envelope's `params`."""
        return {}

    @property
    def is_usual(self) -> bool:
        """Whether the instruction is the task's own, which a model trained for the task has seen."""
        return self.custom_prompt is None

    def shown(self, answer: str) -> str | None:
        """The text of an answer that can be shown while it is decoded, if the task `shows` any.

        What the beginning of an answer shows is the beginning of what the whole answer shows.
        """
        return None

    def check_channels(self) -> None:
        """Raises UsageError where channels that are heard each by itself make no result."""
        raise UsageError(
            "--channel each is for transcribe, where each channel is a speaker",
            hint="name the channel, as in --channel left, or leave it out to hear them all",
        )

    @property
    def may_name_a_time(self) -> bool:
        """Whether `focus` has to be called, for which the length of a file must be known."""
        return False

    def focus(self, duration_s: float, chosen: Span) -> Focus | None:
        """The part that a question names, in a file of `duration_s` seconds of which only `chosen` is analysed.

        Raises UsageError where that part lies outside `chosen`.
        """
        return None
