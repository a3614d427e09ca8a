"""What answers questions about audio, in text and seconds; tokens, prompts and grammars are its own affair.

A backend is used from one thread, which need not be the one that opened it. It is asked by `submit`; `step` moves all
that was asked on by a little and tells what has come of it. Requests are answered together as far as there is room, and
none waits for another to end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from moss_cli.answers import Cost, FinishReason, Form, Sampling, Turn
from moss_cli.audio.results import Samples
from moss_cli.errors import MossError

THOUGHT_TOKENS = 2048  # of a thought without a budget: what is more counts as the answer's
MOST_PROMPT_TOKENS = 12_000  # without audio: well inside what the models were trained on


class Clip(Protocol):
    """Audio that a backend has listened to, for as many questions as one likes. It takes memory until it is dropped."""

    @property
    def duration_s(self) -> float: ...


@dataclass(frozen=True)
class Reply:
    """What came of a request.

    `text` is the answer without its thought; of one that repeats itself (`finish_reason` "loop"), with one round
    of these. `settled` is what of it stands even if it is asked for again as going on from this answer.
    """

    text: str
    finish_reason: FinishReason = "stop"
    thought: str | None = None
    settled: str = ""
    cost: Cost = field(default_factory=Cost)


@dataclass(frozen=True)
class Request:
    """One question. `clip` None: without audio. `turns`: what was asked and answered before it, the oldest first; the
    clip stands before them all.

    `n_characters`: how long the answer may surely become (a backend may let it become longer), as far as the model has
    room; `n_least` of them it must have room for. `max_new_tokens` is the user's own limit, in the place of both.
    `think` None: as the model pleases, if it `may_think`. `seed` is of this answer alone. `goes_on_from`: an earlier
    answer to the same question, whose settled text this one begins with. `tells`: its text is wanted as it comes.
    `more_follow`: more questions about the clip are known to come.
    """

    prompt: str
    clip: Clip | None = None
    form: Form | None = None
    n_characters: int = 1024
    n_least: int = 1024
    max_new_tokens: int | None = None
    time_markers: bool | None = None
    think: bool | None = None
    may_think: bool = True
    thinking_budget: int | None = None
    sampling: Sampling = field(default_factory=Sampling)
    seed: int = 0
    goes_on_from: Reply | None = None
    tells: bool = False
    more_follow: bool = False
    turns: tuple[Turn, ...] = ()


@dataclass(frozen=True)
class Delta:
    """More of an answer has come. `text` is what has become certain of it since the last one, thoughts left out, where
    the request asked for that; `n_decoded` counts all that has come, thoughts included."""

    ticket: int
    text: str
    n_decoded: int


@dataclass(frozen=True)
class Answered:
    """A request is answered."""

    ticket: int
    reply: Reply


@dataclass(frozen=True)
class Failed:
    """A request has no answer, for a reason of its own."""

    ticket: int
    error: MossError


Event = Delta | Answered | Failed


@dataclass(frozen=True)
class BackendInfo:
    """What stands in an envelope's `model`, and how long loading took.

    `time_markers`: whether the model was trained with them. `can_think`: whether it knows how to think. `warnings` may
    become more while it answers.
    """

    dtype: str
    device: str
    load_seconds: float = 0.0
    time_markers: bool = True
    can_think: bool = False
    warnings: tuple[str, ...] = ()


class Backend(Protocol):
    """See the module's docstring."""

    @property
    def info(self) -> BackendInfo: ...

    @property
    def n_together(self) -> int:
        """How many requests are answered together; what is submitted beyond that waits."""

    @property
    def listens_beside(self) -> bool:
        """Whether `listen` may be called in another thread meanwhile, and is better called there."""

    def fits(self, prompt: str) -> bool:
        """Whether an instruction without audio is no longer than what the model was trained on, with room to answer."""

    def listen(self, clips: Sequence[Samples]) -> Sequence[Clip | MossError]:
        """Take in clips, [n] float32 at 16 kHz each, together. In the place of one that fails stands why; what is
        raised is true of all of them."""

    def submit(self, request: Request) -> int:
        """Ask; the ticket by which events tell of it. Raises UsageError for what does not fit the model."""

    def step(self) -> Sequence[Event]:
        """Go on with what was asked. Where nothing is left to do, no events."""

    def cancel(self, ticket: int) -> None:
        """Forget a request; nothing more is told of it."""

    def close(self) -> None:
        """Give back what it holds."""
