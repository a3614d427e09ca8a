"""The model is loaded while the first input is read, once, and what is wrong with it is said before any result."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from scripted_backend import ENOUGH_S, ScriptedBackend, opening

from moss_cli.audio.results import SAMPLE_RATE
from moss_cli.errors import DeviceError, ModelError, MossError, UsageError
from moss_cli.models.registry import resolve
from moss_cli.run import together
from moss_cli.run.inputs import Input
from moss_cli.run.job import Job, Step
from moss_cli.run.loading import Loading
from moss_cli.run.open_input import OpenInput
from moss_cli.run.planned_input import PlannedInput, planned
from moss_cli.run.runner import Runner
from moss_cli.tasks.transcribe import Transcribe


@pytest.fixture(autouse=True)
def everything_is_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moss_cli.run.speech_pieces.silent_stretches", lambda *_: [])


def wav(path: Path) -> Input:
    soundfile.write(path, np.full(SAMPLE_RATE // 4, 0.1, np.float32), SAMPLE_RATE)
    return Input(path)


def runner(backend: ScriptedBackend, on_step: Any = None, **options: Any) -> Runner:
    return Runner(Job(Transcribe(), resolve("tiny"), **options), on_step, open_backend=opening(backend))


def raising(error: Exception) -> ScriptedBackend:
    def at_open() -> None:
        raise error

    return ScriptedBackend(at_open=at_open)


def test_the_model_is_loaded_once_while_the_first_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each waits for the other to have begun: one after the other they would wait for ever."""
    loads, reads, both = threading.Event(), threading.Event(), []

    def at_open() -> None:
        loads.set()
        both.append(reads.wait(ENOUGH_S))

    def noted(opened: OpenInput, job: Job, *shared: Any) -> PlannedInput:
        one = planned(opened, job, *shared)

        def pieces() -> Iterator[Any]:
            reads.set()
            both.append(loads.wait(ENOUGH_S))
            yield from one.pieces

        return replace(one, pieces=pieces())

    monkeypatch.setattr(together, "planned", noted)
    backend = ScriptedBackend(at_open=at_open)
    outcomes = list(runner(backend).run([wav(tmp_path / "a.wav"), wav(tmp_path / "b.wav")]))
    assert [outcome.envelope.status for outcome in outcomes] == ["ok", "ok"]
    assert both == [True, True, True]
    assert backend.n_opened == 1


def test_the_model_is_told_to_be_loading_before_the_file_is_listened_to(tmp_path: Path) -> None:
    steps: list[Step] = []
    list(runner(ScriptedBackend(), steps.append).run([wav(tmp_path / "a.wav"), wav(tmp_path / "b.wav")]))
    assert [step.what for step in steps if step.what != "answering"] == [
        "reading",
        "loading",
        "listening",
        "reading",
        "listening",
    ]


def test_what_loading_took_is_the_first_files(tmp_path: Path) -> None:
    backend = ScriptedBackend()
    backend.info = replace(backend.info, load_seconds=12.5)
    outcomes = list(runner(backend).run([wav(tmp_path / "a.wav"), wav(tmp_path / "b.wav")]))
    usages = [outcome.envelope.usage for outcome in outcomes]
    assert [usage.load_seconds for usage in usages if usage] == [12.5, 0.0]


@pytest.mark.parametrize("error", [ModelError("no such tensor"), DeviceError("no room")])
def test_a_model_that_cannot_be_loaded_ends_the_run_before_any_result(tmp_path: Path, error: MossError) -> None:
    backend = raising(error)
    outcomes = runner(backend).run([wav(tmp_path / "a.wav"), wav(tmp_path / "b.wav")])
    with pytest.raises(type(error), match=str(error)):
        next(outcomes)
    assert "prefetch" not in {thread.name for thread in threading.enumerate()}


def test_what_else_goes_wrong_with_loading_is_said_of_every_file_and_it_is_not_tried_again(tmp_path: Path) -> None:
    backend = raising(UsageError("odd"))
    outcomes = list(runner(backend).run([wav(tmp_path / "a.wav"), wav(tmp_path / "b.wav")]))
    assert [str(outcome.error) for outcome in outcomes] == ["odd", "odd"]
    assert backend.n_opened == 1


def test_a_run_in_which_nothing_can_be_opened_loads_no_model(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_bytes(b"no audio")
    backend = ScriptedBackend()
    outcomes = list(runner(backend).run([Input(tmp_path / "gone.wav"), Input(tmp_path / "text.wav")]))
    assert [outcome.envelope.status for outcome in outcomes] == ["error", "error"]
    assert backend.n_opened == 0


def test_a_file_that_breaks_off_before_its_first_chunk_does_not_wait_for_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    def at_open() -> None:
        go_on.wait(ENOUGH_S)

    def broken(opened: OpenInput, job: Job, *shared: Any) -> PlannedInput:
        def pieces() -> Iterator[Any]:
            raise ValueError("torn")
            yield

        return replace(planned(opened, job, *shared), pieces=pieces())

    monkeypatch.setattr(together, "planned", broken)
    [outcome] = runner(ScriptedBackend(at_open=at_open)).run([wav(tmp_path / "a.wav")])
    assert str(outcome.error) == "ValueError: torn"
    assert "loading" in {thread.name for thread in threading.enumerate()}
    go_on.set()


def test_loading_is_begun_once_and_raises_each_time_it_is_asked() -> None:
    n_opened = 0

    def open_backend() -> ScriptedBackend:
        nonlocal n_opened
        n_opened += 1
        raise ModelError("no")

    loading = Loading(open_backend)
    for _ in range(2):
        loading.start()
        with pytest.raises(ModelError, match="no"):
            loading.result()
    assert n_opened == 1


def test_a_runner_of_another_job_has_the_model_that_is_loaded_and_holds_its_job_to_it(tmp_path: Path) -> None:
    backend = ScriptedBackend()
    backend.info = replace(backend.info, load_seconds=12.5, can_think=False, warnings=("slow",))
    warned: list[str] = []
    first = Runner(Job(Transcribe(), resolve("tiny")), on_warning=warned.append, open_backend=opening(backend))
    list(first.run([wav(tmp_path / "a.wav")]))
    [outcome] = first.with_job(replace(first.job, seed=7)).run([wav(tmp_path / "a.wav")])
    assert outcome.envelope.usage is not None
    assert (outcome.envelope.params.seed, outcome.envelope.usage.load_seconds) == (7, 0.0)
    [outcome] = first.with_job(replace(first.job, think=True)).run([wav(tmp_path / "a.wav")])
    assert str(outcome.error) == "tiny does not support thinking"
    assert (backend.n_opened, warned) == (1, ["slow"])


def test_a_model_that_could_not_be_loaded_is_tried_again_for_another_job(tmp_path: Path) -> None:
    errors: list[Exception] = [DeviceError("no room")]

    def at_open() -> None:
        if errors:
            raise errors.pop()

    backend = ScriptedBackend(at_open=at_open)
    first = runner(backend)
    with pytest.raises(DeviceError, match="no room"):
        list(first.run([wav(tmp_path / "a.wav")]))
    [outcome] = first.with_job(first.job).run([wav(tmp_path / "a.wav")])
    assert (outcome.envelope.status, backend.n_opened) == ("ok", 2)


def test_a_closed_runner_closes_its_backend_and_the_next_one_loads_its_own(tmp_path: Path) -> None:
    backend = ScriptedBackend()
    first = runner(backend)
    list(first.run([wav(tmp_path / "a.wav")]))
    fresh = first.without_model()
    first.close()
    assert backend.n_closed == 1
    assert not fresh.is_loaded
    list(fresh.run([wav(tmp_path / "a.wav")]))
    assert backend.n_opened == 2


def test_closing_a_runner_whose_model_could_not_be_loaded_is_quiet(tmp_path: Path) -> None:
    first = runner(raising(DeviceError("no room")))
    first.close()  # there is none yet
    with pytest.raises(DeviceError):
        list(first.run([wav(tmp_path / "a.wav")]))
    first.close()
