"""The runner with a model that says what a test wants: what goes on beside its work, and what comes of it."""

from __future__ import annotations

import dataclasses
import errno
import os
import threading
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from moss_cli.audio.results import SAMPLE_RATE, Samples
from moss_cli.engine.engine import Engine
from moss_cli.engine.generate import Generation, Request
from moss_cli.engine.model import AudioFeatures
from moss_cli.models.registry import resolve
from moss_cli.run import prefetch as ahead
from moss_cli.run.job import Job, Outcome, Source
from moss_cli.run.open_input import Recording, open_recording
from moss_cli.run.runner import Runner
from moss_cli.tasks.transcribe import Transcribe

ENOUGH_S = 60  # to wait for what comes at once

AtAnswer = Callable[[Callable[[int], None]], None]


@pytest.fixture
def at_answer(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> AtAnswer:
    """Has something done while the model is at its nth answer, a checksum of the samples it heard in letters."""
    n_answers = 0

    def arrange(do: Callable[[int], None]) -> None:
        def generate(self: Engine, requests: Sequence[Request], *_: object, **__: object) -> list[Generation]:
            nonlocal n_answers
            n_answers += 1
            do(n_answers)
            return [Generation(self.tokenizer.encode(f"[0.00]{_heard(one)}[0.05]"), "stop") for one in requests]

        monkeypatch.setattr(Engine, "generate", generate)

    def hear(self: Engine, samples: Samples) -> AudioFeatures:
        return AudioFeatures(torch.tensor([[zlib.crc32(samples.tobytes())]]), [])

    monkeypatch.setattr(Engine, "hear", hear)
    loaded = dataclasses.replace(engine, load_seconds=0.0)
    monkeypatch.setattr("moss_cli.run.runner.load_engine", lambda *_, **__: loaded)
    monkeypatch.setattr("moss_cli.run.speech_pieces.silent_stretches", lambda samples: [])
    arrange(lambda n: None)
    return arrange


def _heard(request: Request) -> str:
    assert request.prompt.audio is not None
    return "".join("abcdefghij"[int(digit)] for digit in str(int(request.prompt.audio.adapter.item())))


def wav(path: Path, seconds: float = 0.2) -> Source:
    rng = np.random.default_rng(list(path.name.encode()))
    soundfile.write(path, rng.uniform(-0.1, 0.1, round(seconds * SAMPLE_RATE)).astype(np.float32), SAMPLE_RATE)
    return Source(path, path.name)


def run(sources: Sequence[Source], batch_size: int = 1) -> Generator[Outcome, None, None]:
    return Runner(Job(Transcribe(), resolve("tiny"), batch_size=batch_size)).run(sources)


def facts(outcome: Outcome) -> dict[str, Any]:
    return outcome.envelope.model_dump() | {"usage": None}


def reading() -> bool:
    return any(thread.name == "read-ahead" for thread in threading.enumerate())


def test_the_next_file_is_opened_and_decoded_while_the_model_answers(
    tmp_path: Path, at_answer: AtAnswer, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = {name: threading.Event() for name in ("a.wav", "b.wav")}

    def noted(source: Source, job: Job) -> Recording:
        recording = open_recording(source, job)

        def blocks() -> Iterator[Any]:
            yield from recording.blocks
            decoded[source.shown].set()

        return dataclasses.replace(recording, blocks=blocks())

    monkeypatch.setattr(ahead, "open_recording", noted)
    seen = []
    at_answer(lambda n: seen.append(decoded["b.wav"].wait(ENOUGH_S)))
    outcomes = list(run([wav(tmp_path / name) for name in decoded]))
    assert [outcome.envelope.status for outcome in outcomes] == ["ok", "ok"]
    assert len(seen) >= 2
    assert all(seen)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_reading_ahead_changes_nothing_of_what_comes_out(
    tmp_path: Path, at_answer: AtAnswer, monkeypatch: pytest.MonkeyPatch, batch_size: int
) -> None:
    sources = [wav(tmp_path / "a.wav"), wav(tmp_path / "b.wav", 45.0)]
    for name, content in (("text.wav", b"no audio"), ("cut.wav", (tmp_path / "b.wav").read_bytes()[:90_000])):
        (tmp_path / name).write_bytes(content)
        sources.append(Source(tmp_path / name, name))
    sources += [Source(tmp_path / "gone.wav", "gone.wav"), Source(tmp_path, "folder"), wav(tmp_path / "z.wav")]
    found = []
    for ahead_s in (0.0, 10.0, 120.0):
        monkeypatch.setattr(ahead, "AHEAD_S", ahead_s)
        found.append([facts(outcome) for outcome in run(sources, batch_size)])
    in_turn, *others = found
    assert [one["status"] for one in in_turn] == ["ok", "ok", "error", "partial", "error", "error", "ok"]
    assert len({one["text"] for one in in_turn if one["status"] != "error"}) == 4
    assert others == [in_turn, in_turn]


def test_an_outcome_does_not_wait_for_a_fifo_that_comes_next(tmp_path: Path, at_answer: AtAnswer) -> None:
    first, fifo = wav(tmp_path / "a.wav"), tmp_path / "fifo"
    os.mkfifo(fifo)
    outcomes = run([first, Source(fifo, "fifo")])
    assert next(outcomes).source is first
    with pytest.raises(OSError) as caught:
        os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    assert caught.value.errno == errno.ENXIO  # nobody reads it
    writer = threading.Thread(target=fifo.write_bytes, args=(first.path.read_bytes(),))
    writer.start()
    assert next(outcomes).envelope.status == "ok"
    writer.join()


def test_a_run_that_is_closed_leaves_no_thread(tmp_path: Path, at_answer: AtAnswer) -> None:
    outcomes = run([wav(tmp_path / "a.wav"), wav(tmp_path / "b.wav", 300.0)])
    next(outcomes)
    assert reading()  # the second one, up to what may wait
    outcomes.close()
    assert not reading()


def test_a_run_that_is_interrupted_leaves_no_thread(tmp_path: Path, at_answer: AtAnswer) -> None:
    def interrupted(n: int) -> None:
        raise KeyboardInterrupt

    at_answer(interrupted)
    outcomes = run([wav(tmp_path / "a.wav"), wav(tmp_path / "b.wav", 300.0)])
    with pytest.raises(KeyboardInterrupt):
        next(outcomes)
    assert not reading()
