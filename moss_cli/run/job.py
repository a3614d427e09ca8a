"""What the runner is given and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from moss_cli.answers import Sampling
from moss_cli.audio.channels import Channel
from moss_cli.errors import MossError
from moss_cli.models.registry import Resolved
from moss_cli.run.inputs import Input
from moss_cli.run.journal import Journal
from moss_cli.schema import Envelope
from moss_cli.tasks.reading.certain import Certain
from moss_cli.tasks.reading.task import Task


@dataclass(frozen=True)
class Job:
    """Everything that decides the answers, apart from the inputs."""

    task: Task[Any]
    model: Resolved
    device: str = "auto"
    dtype: str = "auto"
    start_s: float | None = None
    end_s: float | None = None
    sampling: Sampling = field(default_factory=Sampling)
    seed: int = 0
    max_new_tokens: int | None = None
    time_markers: bool | None = None
    max_duration_s: float = 86_400.0
    vad: bool = True
    think: bool | None = None
    thinking_budget: int | None = None
    chunk_s: float | None = None
    batch_size: int | None = None
    context: str | None = None
    channel: Channel = "mix"
    track: int | None = None  # of a container, from 1; None: the default one

    @property
    def longest_s(self) -> float:
        """The longest chunk that is given to the model at once."""
        return self.chunk_s or self.model.entry.longest_s(self.task.name)


@dataclass(frozen=True)
class Work:
    """What is to be done with an input: tasks by name, each with the journal that keeps what is found."""

    input: Input
    journals: Mapping[str, Journal]


@dataclass(frozen=True)
class Outcome:
    """What came of a task over an input: the envelope, and the error that it reports, if it failed."""

    input: Input
    envelope: Envelope
    error: MossError | None = None


@dataclass(frozen=True)
class Step:
    """What the runner is doing; `n_decoded` grows while an answer comes. Of the input, `done_s` seconds are analysed,
    of `total_s` where that is known; `known_s` of them were by an earlier run."""

    what: Literal["reading", "loading", "listening", "answering"]
    input: Input
    n_decoded: int = 0
    done_s: float = 0.0
    total_s: float | None = None
    known_s: float = 0.0


OnStep = Callable[[Step], None]
OnCertain = Callable[[Input, Certain[Any]], None]  # what more of a result no later chunk can change
OnText = Callable[[Input, str], None]  # what of an answer's text is known so far, each time from its beginning
