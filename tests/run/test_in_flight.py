"""Clips that have come are listened to together, not before one is needed, and each is its owner's affair."""

from __future__ import annotations

import threading
from typing import Any

from scripted import clip, job_of
from scripted_backend import ENOUGH_S, ScriptedBackend

from moss_cli.audio.results import Samples
from moss_cli.errors import MossError
from moss_cli.run import in_flight
from moss_cli.run.conversation import Asking
from moss_cli.run.in_flight import InFlight
from moss_cli.tasks.transcribe import Transcribe


class Flight:
    """Conversations about clips of so many seconds, and what they came to by name."""

    def __init__(self, backend: ScriptedBackend) -> None:
        self.flight = InFlight(backend, lambda owner, n: None)
        self.ended: dict[str, Any] = {}

    def begin(self, owner: str, seconds: float = 1.0) -> None:
        asking = Asking(Transcribe(), job_of(Transcribe()), owner)
        self.flight.begin(
            owner,
            asking.about(clip(seconds)),
            lambda end: self.ended.__setitem__(owner, end),
            on_seconds=lambda s: None,
        )

    def to_the_end(self) -> None:
        while len(self.flight):
            self.flight.step()


def test_clips_that_have_come_are_listened_to_together() -> None:
    backend = ScriptedBackend(n_together=4)
    them = Flight(backend)
    for owner in "abc":
        them.begin(owner)
    assert (len(them.flight), backend.heard_together) == (3, [])
    them.to_the_end()
    assert backend.heard_together == [3]
    assert set(them.ended) == {"a", "b", "c"}


def test_no_clip_is_listened_to_while_there_is_no_room_for_its_answer() -> None:
    backend = ScriptedBackend(n_together=3, pace=10)  # three steps an answer
    them = Flight(backend)
    for owner in "abcde":
        assert them.flight.has_room
        them.begin(owner)
        if owner == "c":
            them.flight.step()
    assert not them.flight.has_room  # two wait, which is one less than are answered together
    them.flight.step()
    assert backend.heard_together == [3]
    them.to_the_end()
    assert backend.heard_together == [3, 2]


def test_one_at_a_time_is_one_at_a_time() -> None:
    them = Flight(ScriptedBackend(n_together=1))
    assert them.flight.has_room
    them.begin("a")
    assert not them.flight.has_room
    them.flight.step()
    assert them.flight.has_room


def test_no_more_seconds_wait_than_are_worth_it(monkeypatch: Any) -> None:
    monkeypatch.setattr(in_flight, "AHEAD_S", 5.0)
    them = Flight(ScriptedBackend(n_together=2, pace=1))
    them.begin("a")
    them.begin("b", 6.0)
    assert not them.flight.has_room
    them.flight.step()
    assert them.flight.has_room
    them.begin("c", 4.0)
    assert not them.flight.has_room


def test_a_clip_that_fails_does_so_alone() -> None:
    def hear(samples: Samples) -> None:
        if len(samples) == 32_000:
            raise MossError("odd")

    them = Flight(ScriptedBackend(hear=hear))
    for owner, seconds in (("a", 1.0), ("b", 2.0), ("c", 3.0)):
        them.begin(owner, seconds)
    them.to_the_end()
    assert str(them.ended["b"]) == "odd"
    assert [len(them.ended[owner]) for owner in "ac"] == [1, 1]


def test_what_is_raised_while_listening_is_true_of_all_that_wait() -> None:
    class Deaf(ScriptedBackend):
        def listen(self, clips: Any) -> Any:
            raise MossError("deaf")

    them = Flight(Deaf())
    them.begin("a")
    them.begin("b")
    them.to_the_end()
    assert [str(them.ended[owner]) for owner in "ab"] == ["deaf", "deaf"]


def test_what_is_dropped_before_it_is_listened_to_is_not_listened_to() -> None:
    backend = ScriptedBackend()
    them = Flight(backend)
    them.begin("a")
    them.begin("b")
    them.flight.drop("a")
    them.to_the_end()
    assert backend.heard_together == [1]
    assert set(them.ended) == {"b"}
    them.begin("c")
    them.flight.drop_all()
    assert len(them.flight) == 0
    assert set(them.ended) == {"b"}


def test_answers_go_on_while_others_are_listened_to_where_the_backend_can_do_both() -> None:
    """The second clip is listened to until the first one's answer has come, which it would never do in one thread."""
    answered, threads = threading.Event(), []

    def hear(samples: Samples) -> None:
        threads.append(threading.current_thread().name)
        if len(samples) == 32_000:
            threads.append(str(answered.wait(ENOUGH_S)))

    backend = ScriptedBackend(hear=hear, pace=1, listens_beside=True)
    them = Flight(backend)
    them.begin("a")
    them.flight.step()
    them.begin("b", 2.0)
    while "a" not in them.ended:
        them.flight.step()
    assert them.flight.has_room
    assert len(them.flight) == 1
    answered.set()
    them.to_the_end()
    assert threads == ["listening", "listening", "True"]
    assert backend.heard_together == [1, 1]
    assert len(them.ended["b"]) == 1


def test_what_comes_while_clips_are_listened_to_is_listened_to_next_and_together() -> None:
    go_on = threading.Event()

    def hear(samples: Samples) -> None:
        if len(samples) == 32_000:
            go_on.wait(ENOUGH_S)

    backend = ScriptedBackend(hear=hear, pace=1, listens_beside=True)
    them = Flight(backend)
    them.begin("a")
    them.flight.step()
    for owner, seconds in (("b", 2.0), ("c", 3.0), ("d", 1.0)):
        them.begin(owner, seconds)
        them.flight.step()
    go_on.set()
    them.to_the_end()
    assert backend.heard_together == [1, 1, 2]
    assert set(them.ended) == set("abcd")


def test_what_is_dropped_while_it_is_listened_to_is_forgotten() -> None:
    go_on = threading.Event()

    def hear(samples: Samples) -> None:
        if len(samples) == 32_000:
            go_on.wait(ENOUGH_S)

    backend = ScriptedBackend(hear=hear, pace=1, listens_beside=True)
    them = Flight(backend)
    them.begin("a")
    them.flight.step()
    them.begin("b", 2.0)
    them.flight.step()
    them.flight.drop("b")
    assert len(them.flight) == 1
    go_on.set()
    them.to_the_end()
    assert set(them.ended) == {"a"}
    assert len(backend.asked) == 1


def test_failures_in_the_listening_thread_are_the_clips_own_or_of_all() -> None:
    class Deaf(ScriptedBackend):
        def listen(self, clips: Any) -> Any:
            raise ValueError("deaf")

    them = Flight(Deaf(listens_beside=True))
    them.begin("a")
    them.begin("b")
    them.to_the_end()
    assert [str(them.ended[owner]) for owner in "ab"] == ["ValueError: deaf"] * 2


def test_no_more_are_in_flight_than_twice_those_that_are_answered_together() -> None:
    them = Flight(ScriptedBackend(n_together=2, pace=1, listens_beside=True))
    for n in range(4):
        assert them.flight.has_room
        them.begin(str(n))
        for _ in range(3):  # until it is listened to
            if them.flight._listening is not None:
                them.flight._listening.heard()
            them.flight.step()
    assert len(them.flight) == 4
    assert not them.flight.has_room
