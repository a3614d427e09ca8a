"""A backend that says what a test wants, for the tests of what becomes of answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from moss_cli.answers import Cost
from moss_cli.audio.results import SAMPLE_RATE, Samples
from moss_cli.backends.protocol import Answered, BackendInfo, Delta, Event, Failed, Reply, Request
from moss_cli.errors import MossError, as_moss_error

Said = str | Reply | Exception
Say = Callable[[Request, int], Said]  # for a request and its number, counted from 1

ENOUGH_S = 60  # to wait for what comes at once

HELLO = "[0.00]hello there[0.05]"


def cut(text: str) -> Reply:
    return Reply(text, "length")


def loop(text: str, settled: str | None = None) -> Reply:
    return Reply(text, "loop", settled=text if settled is None else settled)


@dataclass(frozen=True)
class HeardClip:
    samples: Samples = field(repr=False, compare=False)

    @property
    def duration_s(self) -> float:
        return len(self.samples) / SAMPLE_RATE


@dataclass
class ScriptedBackend:
    """`say` gives each answer, or the exception that the request fails with. `pace`: so many characters of an answer
    come with a step; 0: all at once. `hear` is called with what is listened to, `at_step` before each step: they may
    raise."""

    say: Say = lambda request, n: HELLO
    n_together: int = 4
    pace: int = 0
    hear: Callable[[Samples], None] = lambda samples: None
    at_step: Callable[[int], None] = lambda n: None
    most_prompt: int = 30_000
    listens_beside: bool = False
    info: BackendInfo = field(default_factory=lambda: BackendInfo("fp32", "cpu", can_think=True))
    heard: list[Samples] = field(default_factory=list)
    heard_together: list[int] = field(default_factory=list)
    asked: list[Request] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    most_together: int = 0
    n_steps: int = 0
    at_open: Callable[[], None] = lambda: None
    n_opened: int = 0
    n_closed: int = 0
    _n_tickets: int = 0
    _open: dict[int, tuple[Request, Said, int]] = field(default_factory=dict)

    def fits(self, prompt: str) -> bool:
        return len(prompt) <= self.most_prompt

    def listen(self, clips: Sequence[Samples]) -> list[HeardClip | MossError]:
        self.heard_together.append(len(clips))
        return [self._heard(samples) for samples in clips]

    def _heard(self, samples: Samples) -> HeardClip | MossError:
        self.heard.append(samples)
        try:
            self.hear(samples)
        except Exception as error:  # noqa: BLE001 - told as the clip's own
            return as_moss_error(error)
        return HeardClip(samples)

    def submit(self, request: Request) -> int:
        self.asked.append(request)
        self._n_tickets += 1
        ticket = self._n_tickets
        self._open[ticket] = (request, self.say(request, ticket), 0)
        return ticket

    def step(self) -> Sequence[Event]:
        self.n_steps += 1
        self.at_step(self.n_steps)
        self.most_together = max(self.most_together, min(len(self._open), self.n_together))
        return [event for ticket in list(self._open)[: self.n_together] for event in self._more(ticket)]

    def _more(self, ticket: int) -> list[Event]:
        request, said, told = self._open[ticket]
        if isinstance(said, Exception):
            del self._open[ticket]
            return [Failed(ticket, as_moss_error(said))]
        answer = said if isinstance(said, Reply) else Reply(said, settled=said)
        before = request.goes_on_from.settled if request.goes_on_from else ""
        text = before + answer.text
        until = len(text) if not self.pace else min(len(text), told + self.pace)
        self._open[ticket] = (request, said, until)
        events: list[Event] = [Delta(ticket, text[told:until] if request.tells else "", until)]
        if until == len(text):
            del self._open[ticket]
            cost = Cost(len(request.prompt.split()), len(answer.text.split()))
            events.append(Answered(ticket, replace(answer, text=text, settled=before + answer.settled, cost=cost)))
        return events

    def cancel(self, ticket: int) -> None:
        self._open.pop(ticket, None)
        self.cancelled.append(ticket)

    def close(self) -> None:
        self.n_closed += 1
        self._open.clear()


def opening(backend: ScriptedBackend) -> Callable[..., ScriptedBackend]:
    """What a runner takes to open a backend: its `at_open` is called each time, and may raise."""

    def open_backend(model: Any, **options: Any) -> ScriptedBackend:
        backend.n_opened += 1
        backend.at_open()
        if options.get("n_together"):
            backend.n_together = options["n_together"]
        return backend

    return open_backend


def all_is_read(n_steps: int = 0) -> None:
    """For `at_step`: what is being read ahead has been read, so that it does not depend on chance what comes next."""
    for thread in threading.enumerate():
        if thread.name == "prefetch":
            thread.join(ENOUGH_S)


def noise(seconds: float, *, pause_at: float | None = None, seed: int = 0) -> Samples:
    samples = np.random.default_rng(seed).uniform(-0.1, 0.1, round(seconds * SAMPLE_RATE)).astype(np.float32)
    if pause_at is not None:
        samples[round(pause_at * SAMPLE_RATE) : round((pause_at + 0.6) * SAMPLE_RATE)] = 0
    return samples


__all__ = [
    "HELLO",
    "HeardClip",
    "MossError",
    "Said",
    "ScriptedBackend",
    "all_is_read",
    "cut",
    "loop",
    "noise",
    "opening",
]
