"""The engine as the backend of one run: what `run/` drives in a thread of its own, beside all others."""

from __future__ import annotations

import itertools
import queue
from collections.abc import Callable, Sequence

from moss_cli.audio.results import Samples
from moss_cli.backends.protocol import Answered, BackendInfo, Clip, Event, Failed, Request
from moss_cli.errors import MossError
from moss_cli.serve.engine_thread import EngineThread
from moss_cli.serve.engine_work import AskedRequest, WantedClip

LOOKS_UP_S = 0.1  # after which a run sees whether a clip has come meanwhile; chosen


class RunBackend:
    """A backend (see backends/protocol.py) whose requests go to the engine's thread.

    `share` says how many requests of this run are to be answered together. It tells nothing of answers before they
    end. `stop` has whoever waits in it, or comes later, raise an error, from whichever thread it is called.
    """

    listens_beside = True  # a thread that waits for a clip takes nothing from the one that decodes

    def __init__(self, engine: EngineThread, share: Callable[[], int]) -> None:
        self._engine, self._share = engine, share
        self._numbers = itertools.count()
        self._open: dict[int, AskedRequest] = {}
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()  # None: look up
        self._heard: list[queue.SimpleQueue[Clip | MossError]] = []
        self._stopped: MossError | None = None

    @property
    def info(self) -> BackendInfo:
        return self._engine.info

    @property
    def n_together(self) -> int:
        return max(1, self._share())

    def fits(self, prompt: str) -> bool:
        return self._engine.fits(prompt)

    def listen(self, clips: Sequence[Samples]) -> list[Clip | MossError]:
        self._check()
        come: list[queue.SimpleQueue[Clip | MossError]] = [queue.SimpleQueue() for _ in clips]
        self._heard += come
        asked = [self._engine.listen(samples, one.put) for samples, one in zip(clips, come, strict=True)]
        heard = [one.get() for one in come]
        self._heard = [one for one in self._heard if one not in come]
        self._forget(asked)
        self._check()
        self._events.put(None)
        return heard

    def submit(self, request: Request) -> int:
        self._check()
        number = next(self._numbers)
        self._open[number] = self._engine.submit(request, lambda event: self._events.put(_numbered(event, number)))
        return number

    def step(self) -> list[Event]:
        if not self._open:
            return []
        events: list[Event] = []
        try:
            events += _known(self._events.get(timeout=LOOKS_UP_S))
            while True:
                events += _known(self._events.get_nowait())
        except queue.Empty:
            pass
        self._check()
        return [event for event in events if self._open.pop(event.ticket, None) is not None]

    def cancel(self, ticket: int) -> None:
        if (asked := self._open.pop(ticket, None)) is not None:
            self._engine.cancel(asked)

    def close(self) -> None:
        for ticket in list(self._open):
            self.cancel(ticket)

    def stop(self, error: MossError) -> None:
        """Have the run fail with this error, soon."""
        self._stopped = self._stopped or error
        for one in list(self._heard):
            one.put(error)
        self._events.put(None)

    def _check(self) -> None:
        if self._stopped is not None:
            raise self._stopped

    def _forget(self, asked: Sequence[WantedClip]) -> None:
        """What was not waited for to its end, because the run was stopped."""
        if self._stopped is not None:
            for one in asked:
                self._engine.cancel(one)


def _known(event: Event | None) -> list[Event]:
    return [] if event is None else [event]


def _numbered(event: Event, number: int) -> Event:
    """An event under the number that the run knows."""
    if isinstance(event, Answered):
        return Answered(number, event.reply)
    assert isinstance(event, Failed)
    return Failed(number, event.error)
