"""The runner with a model that says what a test wants: what goes on beside its work, and what comes of it."""

from __future__ import annotations

import dataclasses
import errno
import os
import threading
import zlib
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from scripted_backend import HeardClip, ScriptedBackend, all_is_read, opening

from moss_cli.audio.results import SAMPLE_RATE
from moss_cli.backends.protocol import Request
from moss_cli.models.registry import resolve
from moss_cli.run import prefetch, together
from moss_cli.run.inputs import Input
from moss_cli.run.job import Job, Outcome
from moss_cli.run.open_input import OpenInput, open_input
from moss_cli.run.planned_input import PlannedInput, planned
from moss_cli.run.runner import Runner
from moss_cli.tasks.ask import Ask
from moss_cli.tasks.transcribe import Transcribe

ENOUGH_S = 60  # to wait for what comes at once


@pytest.fixture(autouse=True)
def everything_is_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moss_cli.run.speech_pieces.silent_stretches", lambda *_: [])


def heard(request: Request, n: int) -> str:
    """A checksum of the samples that a question is about, in letters."""
    assert isinstance(request.clip, HeardClip)
    digits = str(zlib.crc32(request.clip.samples.tobytes()))
    return f"[0.00]{''.join('abcdefghij'[int(digit)] for digit in digits)}[0.05]"


def wav(path: Path, seconds: float = 0.2) -> Input:
    rng = np.random.default_rng(list(path.name.encode()))
    soundfile.write(path, rng.uniform(-0.1, 0.1, round(seconds * SAMPLE_RATE)).astype(np.float32), SAMPLE_RATE)
    return Input(path)


def runner(backend: ScriptedBackend, task: Any = None, **options: Any) -> Runner:
    return Runner(Job(task or Transcribe(), resolve("tiny"), **options), open_backend=opening(backend))


def run(
    inputs: Sequence[Input], backend: ScriptedBackend | None = None, **options: Any
) -> Generator[Outcome, None, None]:
    return runner(backend or ScriptedBackend(heard), batch_size=1, **options).run(inputs)


def facts(outcome: Outcome) -> dict[str, Any]:
    return outcome.envelope.model_dump() | {"usage": None}


def reading() -> bool:
    return any(thread.name == "prefetch" for thread in threading.enumerate())


def test_the_next_file_is_opened_and_decoded_while_the_model_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = {name: threading.Event() for name in ("a.wav", "b.wav")}

    def noted(input: Input, job: Job, *audio: Any) -> OpenInput:
        opened = open_input(input, job, *audio)

        def blocks() -> Iterator[Any]:
            yield from opened.blocks
            decoded[input.path.name].set()

        return dataclasses.replace(opened, blocks=blocks())

    monkeypatch.setattr(together, "open_input", noted)
    seen = []

    def at_step(n: int) -> None:
        all_is_read()  # then the second one is begun
        if n > 1:
            seen.append(decoded["b.wav"].wait(ENOUGH_S))

    backend = ScriptedBackend(heard, at_step=at_step, pace=2)
    outcomes = list(run([wav(tmp_path / name) for name in decoded], backend))
    assert [outcome.envelope.status for outcome in outcomes] == ["ok", "ok"]
    assert len(seen) >= 2
    assert all(seen)


@pytest.mark.parametrize("n_together", [1, 3, 7])
def test_neither_reading_ahead_nor_what_is_in_flight_changes_what_comes_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_together: int
) -> None:
    inputs = [wav(tmp_path / "a.wav"), wav(tmp_path / "b.wav", 45.0)]
    for name, content in (("text.wav", b"no audio"), ("cut.wav", (tmp_path / "b.wav").read_bytes()[:90_000])):
        (tmp_path / name).write_bytes(content)
        inputs.append(Input(tmp_path / name))
    inputs += [Input(tmp_path / "gone.wav"), Input(tmp_path), wav(tmp_path / "z.wav")]
    in_turn = [facts(outcome) for outcome in run(inputs)]
    assert [one["status"] for one in in_turn] == ["ok", "ok", "error", "partial", "error", "error", "ok"]
    assert len({one["text"] for one in in_turn if one["status"] != "error"}) == 4
    for ahead_s in (0.0, 10.0, 120.0):
        monkeypatch.setattr(prefetch, "AHEAD_S", ahead_s)
        backend = ScriptedBackend(heard, at_step=all_is_read if ahead_s > 45 else lambda n: None)
        assert [facts(one) for one in runner(backend, batch_size=n_together).run(inputs)] == in_turn
        if ahead_s != 10.0:  # what may wait is less than a file has, so that it depends on chance
            assert backend.most_together == n_together


def test_chunks_of_several_files_are_in_flight_together_and_outcomes_keep_their_order(tmp_path: Path) -> None:
    lengths = {"long.wav": 25.0, "b.wav": 1.0, "c.wav": 1.0, "d.wav": 1.0}  # tiny's chunks are of 8 s

    def slow_at_first(request: Request, n: int) -> str:
        return heard(request, n) if request.clip and request.clip.duration_s < 2 else "[0.00]" + "x" * 80 + "[0.05]"

    backend = ScriptedBackend(slow_at_first, pace=10, at_step=all_is_read)
    outcomes = runner(backend, batch_size=3).run([wav(tmp_path / name, seconds) for name, seconds in lengths.items()])
    assert [outcome.envelope.input.path.rpartition("/")[2] for outcome in outcomes if outcome.envelope.input] == [
        *lengths
    ]
    assert backend.most_together == 3
    assert len(backend.heard) == len(backend.asked) == 4 + 3


def test_an_outcome_does_not_wait_for_a_fifo_that_comes_next(tmp_path: Path) -> None:
    first, fifo = wav(tmp_path / "a.wav"), tmp_path / "fifo"
    os.mkfifo(fifo)
    outcomes = runner(ScriptedBackend(heard), batch_size=8).run([first, Input(fifo)])
    rescue = threading.Timer(ENOUGH_S, fifo.write_bytes, (first.path.read_bytes(),))  # rather than wait for ever
    rescue.start()
    assert next(outcomes).input is first
    assert rescue.is_alive()
    rescue.cancel()
    with pytest.raises(OSError) as caught:
        os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    assert caught.value.errno == errno.ENXIO  # nobody reads it
    writer = threading.Thread(target=fifo.write_bytes, args=(first.path.read_bytes(),))
    writer.start()
    assert next(outcomes).envelope.status == "ok"
    writer.join()


def test_a_run_that_is_closed_leaves_no_thread_and_nothing_in_flight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_one = threading.Event()

    def noted(opened: OpenInput, job: Job, *shared: Any) -> PlannedInput:
        one = planned(opened, job, *shared)

        def pieces() -> Iterator[Any]:
            for n, piece in enumerate(one.pieces):
                if n:
                    has_one.set()
                yield piece

        return dataclasses.replace(one, pieces=pieces())

    def at_step(n: int) -> None:
        if n == 1:
            all_is_read()
        else:
            has_one.wait(ENOUGH_S)

    monkeypatch.setattr(together, "planned", noted)
    backend = ScriptedBackend(
        lambda request, n: f"[0.00]{'x' * (999 if n == 1 else 99_999)}[0.05]",
        pace=99,
        at_step=at_step,
    )
    outcomes = runner(backend, batch_size=2).run([wav(tmp_path / "a.wav"), wav(tmp_path / "b.wav", 300.0)])
    next(outcomes)
    assert reading()  # the second one, up to what may wait
    outcomes.close()
    assert not reading()
    assert backend.cancelled
    assert not backend._open


def test_a_run_that_is_interrupted_leaves_no_thread(tmp_path: Path) -> None:
    def interrupted(n: int) -> None:
        raise KeyboardInterrupt

    backend = ScriptedBackend(heard, at_step=interrupted)
    outcomes = run([wav(tmp_path / "a.wav"), wav(tmp_path / "b.wav", 300.0)], backend)
    with pytest.raises(KeyboardInterrupt):
        next(outcomes)
    assert not reading()
    assert not backend._open


def test_cutting_and_searching_for_speech_are_left_to_the_reading_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: dict[str, set[str]] = {"cut": set(), "searched": set()}

    def cut(window: Any, first: int) -> int | None:
        threads["cut"].add(threading.current_thread().name)
        return None

    def silent_stretches(samples: Any, *_: Any) -> list[Any]:
        threads["searched"].add(threading.current_thread().name)
        return []

    monkeypatch.setattr("moss_cli.audio.chunk.best_cut", cut)
    monkeypatch.setattr("moss_cli.run.speech_pieces.silent_stretches", silent_stretches)
    backend = ScriptedBackend(heard)
    outcomes = runner(backend).run([wav(tmp_path / "a.wav", 20.0), wav(tmp_path / "b.wav")])
    assert [outcome.envelope.status for outcome in outcomes] == ["ok", "ok"]
    assert threads == {"cut": {"prefetch"}, "searched": {"prefetch"}}


def test_only_the_answer_that_comes_next_is_shown_while_it_comes(tmp_path: Path) -> None:
    inputs = [wav(tmp_path / name, 2.0) for name in ("a.wav", "b.wav")]
    shown: list[tuple[str, str]] = []

    def say(request: Request, n: int) -> str:
        return '{"answer": "' + ("first" * 10 if n == 1 else "second" * 40) + '", "evidence": []}'

    def show(input: Input, text: str) -> None:
        shown.append((input.path.name, text))

    job = Job(Ask("What?"), resolve("tiny"), batch_size=2)  # both are in flight
    one = Runner(job, on_text=show, open_backend=opening(ScriptedBackend(say, pace=5)))
    for outcome in one.run(inputs):
        assert outcome.input is not None
        name, text = outcome.input.path.name, outcome.envelope.text or ""
        assert all(text.startswith(part) for who, part in shown if who == name)
        assert {who for who, _ in shown} <= {"a.wav"} or name == "b.wav"
    assert len({part for who, part in shown if who == "a.wav"}) > 3
    assert len({part for who, part in shown if who == "b.wav"}) > 3


def test_several_chunks_are_not_shown_before_they_are_one(tmp_path: Path) -> None:
    shown: list[str] = []
    job = Job(Ask("What?"), resolve("tiny"), chunk_s=5.0)
    backend = ScriptedBackend(lambda *_: '{"answer": "yes", "evidence": []}', pace=5)
    one = Runner(job, on_text=lambda input, text: shown.append(text), open_backend=opening(backend))
    [outcome] = one.run([wav(tmp_path / "a.wav", 12.0)])
    assert len(outcome.envelope.chunks) > 1
    assert shown == []
