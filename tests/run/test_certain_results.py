"""What the runner tells of results before they are whole: the beginning that stands, of the input that comes next."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from scripted_backend import HeardClip, ScriptedBackend, opening

from moss_cli.audio.results import SAMPLE_RATE
from moss_cli.backends.protocol import Request
from moss_cli.models.registry import resolve
from moss_cli.run.inputs import Input
from moss_cli.run.job import Job
from moss_cli.run.journal import Opened
from moss_cli.run.runner import Runner
from moss_cli.tasks.reading.certain import Certain
from moss_cli.tasks.transcribe import Transcribe

Seen = tuple[str, Any]  # a file's name, and texts that became certain or, at its end, all of them


@pytest.fixture(autouse=True)
def everything_is_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moss_cli.run.speech_pieces.silent_stretches", lambda *_: [])


def heard(request: Request, n: int) -> str:
    """A checksum of the samples that a question is about, in letters."""
    assert isinstance(request.clip, HeardClip)
    digits = str(zlib.crc32(request.clip.samples.tobytes()))
    return f"[0.00]{''.join('abcdefghij'[int(digit)] for digit in digits)}[1.00]"


def wav(path: Path, seconds: float) -> Input:
    """Noise with a pause every four seconds."""
    rng = np.random.default_rng(list(path.name.encode()))
    samples = rng.uniform(-0.1, 0.1, round(seconds * SAMPLE_RATE)).astype(np.float32)
    for at_s in range(4, int(seconds), 4):
        samples[round((at_s - 0.5) * SAMPLE_RATE) : at_s * SAMPLE_RATE] = 0
    soundfile.write(path, samples, SAMPLE_RATE)
    return Input(path)


class Kept:
    """A journal in memory."""

    def __init__(self) -> None:
        self.found: dict[str, list[dict[str, Any]]] = {}

    def begin(self, opened: Opened) -> None:
        pass

    def get(self, piece: str) -> list[dict[str, Any]] | None:
        return self.found.get(piece)

    def put(self, piece: str, found: list[dict[str, Any]]) -> None:
        self.found[piece] = found


def told(inputs: Sequence[Input], backend: ScriptedBackend, kept: Kept | None = None, **options: Any) -> list[Seen]:
    """What is told of inputs, in the order in which it is."""
    seen: list[Seen] = []

    def on_certain(one: Input, certain: Certain[Any]) -> None:
        if certain.result.segments:
            seen.append((one.path.name, [segment.text for segment in certain.result.segments]))

    job = Job(Transcribe(), resolve("tiny"), **options)
    runner = Runner(job, on_certain=on_certain, open_backend=opening(backend))
    journal = kept or Kept()
    for outcome in runner.run(inputs, lambda one: journal):
        result = outcome.envelope.result
        whole = None if result is None else [segment.text for segment in getattr(result, "segments", ())]
        seen.append((outcome.input.path.name, whole))
    return seen


def test_each_chunk_is_told_when_all_before_it_are_answered(tmp_path: Path) -> None:
    seen = told([wav(tmp_path / "a.wav", 20.0)], ScriptedBackend(heard), batch_size=1)
    *pieces, (_, whole) = seen
    assert [text for _, texts in pieces for text in texts] == whole
    assert len(pieces) == len(whole) >= 3


@pytest.mark.parametrize("n_together", [1, 3, 7])
def test_files_are_told_one_after_another_whatever_is_in_flight_together(tmp_path: Path, n_together: int) -> None:
    inputs = [wav(tmp_path / name, seconds) for name, seconds in (("a.wav", 20.0), ("b.wav", 12.0), ("c.wav", 1.0))]
    seen = told(inputs, ScriptedBackend(heard, pace=3), batch_size=n_together)
    names = [name for name, _ in seen]
    assert names == sorted(names)
    for name in ("a.wav", "b.wav", "c.wav"):
        *pieces, whole = [texts for of, texts in seen if of == name]
        given = [text for texts in pieces for text in texts]
        assert given == whole[: len(given)]


def test_what_an_earlier_run_has_found_is_told_before_the_model_is_loaded(tmp_path: Path) -> None:
    one, kept, backend = wav(tmp_path / "a.wav", 20.0), Kept(), ScriptedBackend(heard)
    *_, (_, whole) = told([one], backend, kept, batch_size=1)
    n_known = len(kept.found)
    del kept.found[max(kept.found, key=float)]
    again = ScriptedBackend(heard)
    n_asked: list[int] = []
    job = Job(Transcribe(), resolve("tiny"), batch_size=1)
    runner = Runner(
        job, on_certain=lambda *_: n_asked.append(again.n_opened * len(again.asked)), open_backend=opening(again)
    )
    [outcome] = runner.run([one], lambda one: kept)
    assert [segment.text for segment in outcome.envelope.result.segments] == whole  # type: ignore[union-attr]
    assert n_asked[: n_known - 1] == [0] * (n_known - 1)
    assert len(again.asked) == len(whole) - n_known + 1


def test_nothing_more_is_told_of_an_input_that_has_failed(tmp_path: Path) -> None:
    def say(request: Request, n: int) -> Any:
        return RuntimeError("no") if n == 2 else heard(request, n)

    seen = told([wav(tmp_path / "a.wav", 20.0)], ScriptedBackend(say), batch_size=1)
    assert [name for name, _ in seen] == ["a.wav"] * 2
    assert seen[1] == ("a.wav", None)
