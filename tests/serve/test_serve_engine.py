"""The engine's thread: one backend for whoever asks, dropped while nobody does."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from scripted_backend import HELLO, ScriptedBackend, noise

from moss_cli.audio.results import Samples
from moss_cli.backends.protocol import Answered, Event, Failed, Reply, Request
from moss_cli.errors import ModelError, MossError
from moss_cli.serve.engine_thread import EngineThread
from moss_cli.serve.view import RunBackend

SOON_S = 20.0


class Opened:
    """Opens a backend as often as it is asked to; fails with the next of `failures`, if there is one."""

    def __init__(self, backend: ScriptedBackend | None = None) -> None:
        self.backend = backend or ScriptedBackend()
        self.n_opened = 0
        self.failures: list[Exception] = []

    def __call__(self) -> ScriptedBackend:
        self.n_opened += 1
        if self.failures:
            raise self.failures.pop(0)
        return self.backend


@pytest.fixture
def started() -> Iterator[Callable[..., EngineThread]]:
    threads: list[EngineThread] = []

    def start(opened: Opened, **settings: Any) -> EngineThread:
        threads.append(EngineThread(opened, **settings))
        threads[-1].start()
        return threads[-1]

    yield start
    for one in threads:
        one.close()


def end_of(engine: EngineThread, request: Request) -> Event:
    told: queue.SimpleQueue[Event] = queue.SimpleQueue()
    engine.submit(request, told.put)
    return told.get(timeout=SOON_S)


def waits_for(go: threading.Event) -> Callable[[Samples], None]:
    def hear(samples: Samples) -> None:
        go.wait(SOON_S)

    return hear


def becomes(true: Callable[[], bool]) -> bool:
    until = time.monotonic() + SOON_S
    while not true() and time.monotonic() < until:
        time.sleep(0.01)
    return true()


def test_the_backend_is_dropped_when_nothing_is_asked_and_opened_again(started: Callable[..., EngineThread]) -> None:
    opened, n_closed = Opened(), []
    engine = started(opened, keep_alive_s=0.05, on_closed=lambda: n_closed.append(1))
    assert becomes(lambda: not engine.load.is_loaded)
    end = end_of(engine, Request("?"))
    assert isinstance(end, Answered) and end.reply.text == HELLO
    assert becomes(lambda: len(n_closed) == 2)
    assert (opened.n_opened, engine.n_loads, engine.load.is_loaded) == (2, 2, False)


def test_without_a_limit_it_is_kept(started: Callable[..., EngineThread]) -> None:
    opened = Opened()
    engine = started(opened)
    for _ in range(3):
        assert isinstance(end_of(engine, Request("?")), Answered)
    assert (opened.n_opened, engine.load.is_loaded) == (1, True)


def test_a_model_that_cannot_be_loaded_is_said_at_the_start() -> None:
    opened = Opened()
    opened.failures = [ModelError("it is not there")]
    engine = EngineThread(opened)
    with pytest.raises(ModelError, match="it is not there"):
        engine.start()


def test_one_that_cannot_be_loaded_again_fails_the_request_and_is_tried_with_the_next(
    started: Callable[..., EngineThread],
) -> None:
    opened = Opened()
    engine = started(opened, keep_alive_s=0.0)
    assert becomes(lambda: not engine.load.is_loaded)
    opened.failures = [ModelError("it has gone"), ModelError("it has gone")]
    end = end_of(engine, Request("?"))
    assert isinstance(end, Failed) and end.error.message == "it has gone"
    told: queue.SimpleQueue[Any] = queue.SimpleQueue()
    engine.listen(noise(1.0), told.put)
    assert told.get(timeout=SOON_S).message == "it has gone"
    assert isinstance(end_of(engine, Request("?")), Answered)


def test_a_step_that_fails_fails_what_is_open_and_nothing_else(started: Callable[..., EngineThread]) -> None:
    def at_step(n: int) -> None:
        if n == 1:
            raise RuntimeError("broken")

    engine = started(Opened(ScriptedBackend(at_step=at_step)))
    first = end_of(engine, Request("?"))
    assert isinstance(first, Failed) and first.error.code == "internal"
    assert isinstance(end_of(engine, Request("?")), Answered)


def test_clips_that_come_together_are_listened_to_together(started: Callable[..., EngineThread]) -> None:
    go = threading.Event()
    backend = ScriptedBackend(n_together=8, hear=waits_for(go))
    engine = started(Opened(backend))
    told: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for _ in range(6):
        engine.listen(noise(20.0), told.put)
    go.set()
    for _ in range(6):
        assert told.get(timeout=SOON_S).duration_s == 20.0
    assert sum(backend.heard_together) == 6 and max(backend.heard_together) <= 3  # 64 s at once


def test_what_is_cancelled_before_its_turn_is_never_asked(started: Callable[..., EngineThread]) -> None:
    go = threading.Event()
    backend = ScriptedBackend(hear=waits_for(go))
    engine = started(Opened(backend))
    told: queue.SimpleQueue[Any] = queue.SimpleQueue()
    engine.listen(noise(1.0), told.put)  # keeps the engine busy
    clip, asked = engine.listen(noise(1.0), told.put), engine.submit(Request("never"), told.put)
    engine.cancel(clip)
    engine.cancel(asked)
    go.set()
    told.get(timeout=SOON_S)
    assert isinstance(end_of(engine, Request("?")), Answered)
    assert len(backend.heard) == 1 and [one.prompt for one in backend.asked] == ["?"]


def test_an_error_in_a_callback_does_not_stop_the_others(started: Callable[..., EngineThread]) -> None:
    engine = started(Opened())
    engine.submit(Request("?"), lambda event: 1 / 0)
    assert isinstance(end_of(engine, Request("?")), Answered)


def test_what_is_open_when_it_closes_is_told_so(started: Callable[..., EngineThread]) -> None:
    backend = ScriptedBackend(say=lambda request, n: Reply("x" * 10**9), pace=1)
    engine = started(Opened(backend))
    told: queue.SimpleQueue[Event] = queue.SimpleQueue()
    engine.submit(Request("?"), told.put)
    assert becomes(lambda: engine.load.n_active == 1)
    engine.close()
    end = told.get(timeout=SOON_S)
    assert isinstance(end, Failed) and end.error.code == "stopped"


def test_a_run_that_is_stopped_raises_wherever_it_waits(started: Callable[..., EngineThread]) -> None:
    go = threading.Event()
    backend = ScriptedBackend(hear=waits_for(go))
    view = RunBackend(started(Opened(backend)), lambda: 1)
    threading.Timer(0.05, view.stop, [MossError("enough")]).start()
    with pytest.raises(MossError, match="enough"):
        view.listen([noise(1.0)])
    for wait in (lambda: view.submit(Request("?")), lambda: view.listen([noise(1.0)])):
        with pytest.raises(MossError, match="enough"):
            wait()
    go.set()
