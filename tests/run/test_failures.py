"""Twenty files, one of which fails in each way there is: the others are whole, and the failure is that file's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from scripted_backend import HeardClip, Said, ScriptedBackend, all_is_read, opening

from moss_cli.audio.results import SAMPLE_RATE, Samples
from moss_cli.backends.protocol import Request
from moss_cli.errors import AnswerError, DeviceError, ExitCode, MossError
from moss_cli.models.registry import resolve
from moss_cli.run import open_input as opening_inputs
from moss_cli.run import prefetch, together
from moss_cli.run.inputs import Input
from moss_cli.run.job import Job, Outcome
from moss_cli.run.runner import Runner
from moss_cli.tasks.summarize import Summarize
from moss_cli.tasks.transcribe import Transcribe

N_FILES, BAD = 20, 7
OUT_OF_MEMORY = DeviceError("out of memory on cpu", code="out_of_memory")


@pytest.fixture(autouse=True)
def everything_is_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moss_cli.run.speech_pieces.silent_stretches", lambda *_: [])
    monkeypatch.setattr("moss_cli.run.speech_pieces.has_speech", lambda *_: True)


@pytest.fixture
def files(tmp_path: Path) -> list[Input]:
    """Twenty files, each a constant of its own, so that a clip tells whose it is; three chunks of 8 s each."""
    found = []
    for i in range(N_FILES):
        path = tmp_path / f"{i:02d}.wav"
        soundfile.write(path, np.full(20 * SAMPLE_RATE, (i + 1) / 100, np.float32), SAMPLE_RATE, subtype="FLOAT")
        found.append(Input(path))
    return found


def whose(samples: Samples) -> int:
    return round(float(samples[0]) * 100) - 1


def of_bad(request: Request) -> bool:
    return isinstance(request.clip, HeardClip) and whose(request.clip.samples) == BAD


def run(files: list[Input], backend: ScriptedBackend, task: Any = None) -> list[Outcome]:
    model = resolve("tiny")
    model = replace(model, entry=replace(model.entry, text_only=True, tasks=()))
    job = Job(task or Transcribe(), model, batch_size=8, chunk_s=8.0)
    return list(Runner(job, open_backend=opening(backend)).run(files))


def say_but(failure: Said, nth: int = 1) -> Callable[[Request, int], Said]:
    """Says a sentence, but to the bad file's nth question."""
    seen = 0

    def say(request: Request, n: int) -> Said:
        nonlocal seen
        seen += of_bad(request)
        return failure if of_bad(request) and seen == nth else "[0.00]fine[1.00]"

    return say


def assert_only_the_bad_one_failed(outcomes: list[Outcome], code: str, message: str, exit_code: ExitCode) -> None:
    statuses = [outcome.envelope.status for outcome in outcomes]
    assert statuses == ["error" if i == BAD else "ok" for i in range(N_FILES)]
    error = outcomes[BAD].error
    assert error is not None
    assert (error.code, error.message, error.exit_code) == (code, message, exit_code)


def test_an_exception_while_the_answer_is_decoded(files: list[Input]) -> None:
    backend = ScriptedBackend(say_but(RuntimeError("a bug")))
    assert_only_the_bad_one_failed(run(files, backend), "internal", "RuntimeError: a bug", ExitCode.FAILURE)
    others = [samples for samples in backend.heard if whose(samples) != BAD]
    assert len(others) == 3 * (N_FILES - 1)  # the encoder runs once a chunk


def test_memory_that_runs_out_in_the_encoder(files: list[Input]) -> None:
    def hear(samples: Samples) -> None:
        if whose(samples) == BAD:
            raise OUT_OF_MEMORY

    assert_only_the_bad_one_failed(
        run(files, ScriptedBackend(hear=hear)), "out_of_memory", "out of memory on cpu", ExitCode.DEVICE
    )


def test_an_exception_in_the_encoder(files: list[Input]) -> None:
    def hear(samples: Samples) -> None:
        if whose(samples) == BAD:
            raise ValueError("odd")

    assert_only_the_bad_one_failed(
        run(files, ScriptedBackend(hear=hear)), "internal", "ValueError: odd", ExitCode.FAILURE
    )


def test_memory_that_runs_out_for_one_answer(files: list[Input]) -> None:
    outcomes = run(files, ScriptedBackend(say_but(OUT_OF_MEMORY)))
    assert_only_the_bad_one_failed(outcomes, "out_of_memory", "out of memory on cpu", ExitCode.DEVICE)


def test_answers_that_cannot_be_read(files: list[Input]) -> None:
    def say(request: Request, n: int) -> Said:
        return "no JSON" if of_bad(request) else '{"summary": "fine", "key_points": [], "chapters": []}'

    outcomes = run(files, ScriptedBackend(say), Summarize())
    assert_only_the_bad_one_failed(
        outcomes, "unreadable", "none of the model's 3 answers had the required form", ExitCode.SCHEMA
    )


def test_an_exception_while_an_answer_is_read(files: list[Input], monkeypatch: pytest.MonkeyPatch) -> None:
    def read(answer: str, duration_s: float) -> Any:
        if "odd" in answer:
            raise KeyError("odd")
        return read_timestamps(answer, duration_s)

    from moss_cli.tasks.reading.timestamps import read_timestamps

    monkeypatch.setattr("moss_cli.tasks.transcribe.read_timestamps", read)
    outcomes = run(files, ScriptedBackend(say_but("[0.00]odd[1.00]")))
    assert_only_the_bad_one_failed(outcomes, "internal", "KeyError: 'odd'", ExitCode.FAILURE)


def test_the_second_pass_fails_no_file_whose_parts_are_answered(files: list[Input]) -> None:
    def say(request: Request, n: int) -> Said:
        if request.clip is None:
            return OUT_OF_MEMORY if f"file {BAD}." in request.prompt else '{"summary": "All.", "key_points": []}'
        assert isinstance(request.clip, HeardClip)
        said = f"file {whose(request.clip.samples)}."
        return f'{{"summary": "{said}", "key_points": [], "chapters": []}}'

    outcomes = run(files, ScriptedBackend(say), Summarize())
    assert [outcome.envelope.status for outcome in outcomes] == ["ok"] * N_FILES
    assert [outcome.envelope.text for i, outcome in enumerate(outcomes) if i != BAD] == ["All."] * (N_FILES - 1)
    assert outcomes[BAD].envelope.text == f"file {BAD}."
    assert [notice.code for notice in outcomes[BAD].envelope.warnings] == ["merged_by_rule"]


def test_a_file_that_has_failed_is_read_no_further(files: list[Input], monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[int] = []

    def silent_stretches(samples: Samples, *_: Samples) -> list[Any]:
        searched.append(whose(samples))
        return []

    monkeypatch.setattr("moss_cli.run.speech_pieces.silent_stretches", silent_stretches)
    monkeypatch.setattr(prefetch, "AHEAD_S", 1.0)  # one chunk waits, and one is being searched

    def hear(samples: Samples) -> None:
        if whose(samples) == BAD:
            raise OUT_OF_MEMORY

    backend = ScriptedBackend(hear=hear)
    assert_only_the_bad_one_failed(run(files, backend), "out_of_memory", "out of memory on cpu", ExitCode.DEVICE)
    assert searched.count(BAD) < 3
    assert [whose(samples) for samples in backend.heard].count(BAD) == 1
    assert all(searched.count(i) == 3 for i in range(N_FILES) if i != BAD)


def test_what_is_in_flight_of_a_file_that_has_failed_is_cancelled(files: list[Input]) -> None:
    backend = ScriptedBackend(say_but(RuntimeError("a bug"), nth=2), pace=4, at_step=all_is_read)
    assert_only_the_bad_one_failed(run(files, backend), "internal", "RuntimeError: a bug", ExitCode.FAILURE)
    assert backend.cancelled
    assert not backend._open


def test_a_file_that_cannot_be_read(files: list[Input]) -> None:
    files[BAD].path.write_bytes(b"no audio")
    outcomes = run(files, ScriptedBackend())
    assert [outcome.envelope.status for outcome in outcomes] == ["error" if i == BAD else "ok" for i in range(N_FILES)]
    error = outcomes[BAD].error
    assert error is not None
    assert error.exit_code == ExitCode.NO_AUDIO


def test_an_exception_while_a_file_is_opened(files: list[Input], monkeypatch: pytest.MonkeyPatch) -> None:
    open_input = opening_inputs.open_input

    def odd(input: Input, job: Job, *audio: Any) -> Any:
        if input is files[BAD]:
            raise ZeroDivisionError("odd")
        return open_input(input, job, *audio)

    monkeypatch.setattr(together, "open_input", odd)
    assert_only_the_bad_one_failed(
        run(files, ScriptedBackend()), "internal", "ZeroDivisionError: odd", ExitCode.FAILURE
    )


def test_a_backend_that_breaks_down_fails_what_was_in_flight_and_the_rest_goes_on(files: list[Input]) -> None:
    def at_step(n: int) -> None:
        if n == 3:
            raise RuntimeError("gone")

    outcomes = run(files, ScriptedBackend(at_step=at_step))
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    assert 0 < len(failed) <= 8
    assert {outcome.error.message for outcome in failed if outcome.error} == {"RuntimeError: gone"}
    assert len(outcomes) == N_FILES


@pytest.mark.parametrize("error", [MossError("no", code="x"), AnswerError("no")])
def test_an_expected_failure_keeps_its_own_code(files: list[Input], error: MossError) -> None:
    assert_only_the_bad_one_failed(run(files, ScriptedBackend(say_but(error))), error.code, "no", error.exit_code)
