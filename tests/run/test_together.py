"""Several tasks about one input: each says what it says alone, and what they have in common is done once."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from scripted_backend import Said, ScriptedBackend, noise, opening

from moss_cli.audio.results import SAMPLE_RATE, Samples
from moss_cli.backends.protocol import Request
from moss_cli.errors import MossError
from moss_cli.models.registry import resolve
from moss_cli.run import speech_pieces, together
from moss_cli.run.inputs import Input
from moss_cli.run.job import Job, Outcome, Work
from moss_cli.run.journal import NoJournal
from moss_cli.run.runner import Runner
from moss_cli.run.tee import Tee, readers
from moss_cli.tasks.ask import Ask
from moss_cli.tasks.catalogue import TASKS, entry
from moss_cli.tasks.reading.task import Task

SCENE = "main sound events"


def task_of(name: str, question: str = "What is said?") -> Task[Any]:
    made: Any = entry(name).load()
    return made(question) if name == "ask" else made()  # type: ignore[no-any-return]


def all_jobs(**options: Any) -> list[Job]:
    return [Job(task_of(name), resolve("tiny"), **options) for name in TASKS]


def say(request: Request, n: int) -> Said:
    """An answer that depends on the question and the clip."""
    seconds = 0.0 if request.clip is None else request.clip.duration_s
    if "timestamps" in request.prompt:
        return f"[0.00]hello of {seconds:.3f}[{seconds:.2f}]"
    if SCENE in request.prompt:
        return f"0.0 - {seconds:.1f}: a noise of {seconds:.3f}"
    return f'{{"summary": "some {seconds:.3f} of {len(request.prompt)}"}}'


def run(jobs: list[Job], one: Input, backend: ScriptedBackend | None = None) -> dict[str, Outcome]:
    runner = Runner(jobs[0], also=jobs[1:], open_backend=opening(backend or ScriptedBackend(say)))
    journals = {job.task.name: NoJournal() for job in jobs}
    return {outcome.envelope.task: outcome for outcome in runner.run_all([Work(one, journals)])}


def said(outcome: Outcome) -> dict[str, Any]:
    return outcome.envelope.model_dump() | {"usage": None}


def recording(path: Path, seconds: float, quiet: tuple[float, float] | None = None) -> Input:
    samples = np.concatenate([noise(8.0, pause_at=6.0, seed=n) for n in range(-(-round(seconds) // 8))])
    if quiet is not None:
        samples[round(quiet[0] * SAMPLE_RATE) : round(quiet[1] * SAMPLE_RATE)] *= 0.01
    soundfile.write(path, samples[: round(seconds * SAMPLE_RATE)], SAMPLE_RATE, subtype="FLOAT")
    return Input(path)


@pytest.fixture
def speech(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Whatever is audible is speech; the sizes of what was searched."""
    searched: list[int] = []

    def probability(samples: Samples) -> Any:
        searched.append(len(samples))
        n_frames = -(-len(samples) // 512)
        frames = np.zeros(n_frames * 512, np.float32)
        frames[: len(samples)] = samples
        return (np.abs(frames.reshape(n_frames, 512)).max(axis=1) > 0.01).astype(np.float32)

    monkeypatch.setattr(speech_pieces, "speech_probability", probability)
    return searched


@pytest.mark.parametrize(
    ("seconds", "quiet", "options"),
    [
        (5.0, None, {}),
        (41.0, None, {}),
        (100.0, (20.0, 75.0), {}),
        (70.0, (20.0, 60.0), {"start_s": 3.0, "end_s": 66.5}),
        (60.0, (0.0, 60.0), {}),
        (50.0, (3.0, 9.0), {"vad": False, "chunk_s": 11.0}),
    ],
    ids=["one piece", "several", "a quiet piece", "a part", "all quiet", "no vad"],
)
def test_each_task_says_together_what_it_says_alone_and_no_piece_is_listened_to_twice(
    tmp_path: Path, speech: list[int], seconds: float, quiet: tuple[float, float] | None, options: dict[str, Any]
) -> None:
    one, jobs = recording(tmp_path / "a.wav", seconds, quiet), all_jobs(**options)
    alone, heard = {}, set()
    for job in jobs:
        backend = ScriptedBackend(say)
        alone |= run([job], one, backend)
        heard |= {samples.tobytes() for samples in backend.heard}
    backend = ScriptedBackend(say)
    found = run(jobs, one, backend)
    assert {task: said(outcome) for task, outcome in found.items()} == {
        task: said(outcome) for task, outcome in alone.items()
    }
    assert Counter(samples.tobytes() for samples in backend.heard) == dict.fromkeys(heard, 1)


def test_the_file_is_decoded_once_and_each_piece_searched_for_speech_once(
    tmp_path: Path, speech: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, opened = recording(tmp_path / "a.wav", 41.0), []
    for task in ("transcribe", "emotion"):
        run([Job(task_of(task), resolve("tiny"))], one)
    alone = sorted(speech)
    speech.clear()
    open_input = together.open_input

    def noted(input: Input, job: Job, *audio: Any) -> Any:
        opened.append(job.task.name)
        return open_input(input, job, *audio)

    monkeypatch.setattr(together, "open_input", noted)
    run(all_jobs(), one)
    assert (len(opened), sorted(speech)) == (1, alone)


def test_a_task_that_fails_leaves_the_others_alone(tmp_path: Path, speech: list[int]) -> None:
    one, jobs = recording(tmp_path / "a.wav", 41.0), all_jobs()
    expected = {task: said(outcome) for task, outcome in run(jobs, one).items()}

    def fails(request: Request, n: int) -> Said:
        return MossError("no scenes today", code="no_scene") if SCENE in request.prompt else say(request, n)

    found = run(jobs, one, ScriptedBackend(fails))
    assert {task for task, outcome in found.items() if outcome.error is not None} == {"scene"}
    assert found["scene"].envelope.error is not None
    assert found["scene"].envelope.error.code == "no_scene"
    assert {task: said(found[task]) for task in TASKS if task != "scene"} == {
        task: one for task, one in expected.items() if task != "scene"
    }


def test_a_clip_that_cannot_be_listened_to_fails_all_that_asked_about_it(tmp_path: Path, speech: list[int]) -> None:
    def hear(samples: Samples) -> None:
        if len(samples) > 8 * SAMPLE_RATE:
            raise MossError("too long for these ears", code="deaf")

    found = run(all_jobs(), recording(tmp_path / "a.wav", 41.0), ScriptedBackend(say, hear=hear))
    assert {task: outcome.error.code for task, outcome in found.items() if outcome.error is not None} == dict.fromkeys(
        (task for task in TASKS if task != "transcribe"), "deaf"
    )
    assert found["transcribe"].envelope.status == "ok"


def test_a_file_that_cannot_be_read_fails_for_every_task(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    found = run(all_jobs(), Input(tmp_path / "a.wav"))
    assert set(found) == set(TASKS)
    assert all(outcome.envelope.status == "error" for outcome in found.values())


def test_a_question_that_names_a_time_is_answered_from_there_and_the_others_from_all(
    tmp_path: Path, speech: list[int]
) -> None:
    one = recording(tmp_path / "a.wav", 100.0)
    jobs = [Job(task_of("transcribe"), resolve("tiny")), Job(Ask("What is said at 0:50?"), resolve("tiny"))]
    expected = run(jobs[:1], one) | run(jobs[1:], one)
    assert {task: said(found) for task, found in run(jobs, one).items()} == {
        task: said(found) for task, found in expected.items()
    }
    assert expected["ask"].envelope.chunks[0].start > 10


def test_a_question_about_a_time_that_is_not_there_fails_alone(tmp_path: Path, speech: list[int]) -> None:
    one = recording(tmp_path / "a.wav", 20.0)
    jobs = [Job(task_of("transcribe"), resolve("tiny")), Job(Ask("What is said at 5:00?"), resolve("tiny"))]
    found = run(jobs, one)
    assert found["transcribe"].envelope.status == "ok"
    assert found["ask"].error is not None
    assert "5:00" in found["ask"].error.message


def test_from_a_pipe_all_tasks_are_answered_also_beside_a_question_that_names_a_time(
    tmp_path: Path, speech: list[int]
) -> None:
    file = recording(tmp_path / "a.wav", 41.0)
    jobs = [Job(task_of("scene"), resolve("tiny")), Job(Ask("What is said at 0:20?"), resolve("tiny"))]
    expected = run(jobs, file)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=lambda: fifo.write_bytes(file.path.read_bytes()))
    writer.start()
    found = run(jobs, Input(fifo))
    writer.join()
    for task in ("scene", "ask"):
        assert said(found[task])["result"] == said(expected[task])["result"]
        assert found[task].envelope.chunks == expected[task].envelope.chunks


def test_tasks_that_are_done_are_not_asked_again_of_the_same_input(tmp_path: Path, speech: list[int]) -> None:
    one, jobs = recording(tmp_path / "a.wav", 20.0), all_jobs()
    runner = Runner(jobs[0], also=jobs[1:], open_backend=opening(ScriptedBackend(say)))
    work = [Work(one, {"emotion": NoJournal(), "scene": NoJournal()}), Work(one, {"transcribe": NoJournal()})]
    done = [outcome.envelope.task for outcome in runner.run_all(work)]
    assert (set(done[:2]), done[2:]) == ({"emotion", "scene"}, ["transcribe"])


def test_what_waits_for_the_slower_reader_is_no_more_than_the_longest_piece(
    tmp_path: Path, speech: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 0

    class Watched(Tee[Any]):
        def _read(self) -> bool:
            nonlocal most
            found = super()._read()
            for held in self._held:
                lengths = [len(one if isinstance(one, np.ndarray) else one.chunk.samples) for one in held]
                most = max(most, sum(lengths))
            return found

    def watched(stream: Iterator[Any], n: int) -> list[Iterator[Any]]:
        tee = Watched(stream, n)
        return [tee.reader(number) for number in range(n)]

    monkeypatch.setattr(together, "readers", watched)
    run(all_jobs(), recording(tmp_path / "a.wav", 400.0))
    assert 0 < most <= 64 * SAMPLE_RATE  # two of 30 s, and what is looked at behind them


def test_every_reader_of_a_stream_gets_all_of_it_and_its_error() -> None:
    def stream() -> Iterator[int]:
        yield from (1, 2, 3)
        raise ValueError("torn")

    first, second = readers(stream(), 2)
    assert [next(first), next(first), next(second)] == [1, 2, 1]
    for reader, rest in ((first, [3]), (second, [2, 3])):
        assert [next(reader) for _ in rest] == rest
        with pytest.raises(ValueError, match="torn"):
            next(reader)
    whole, other = readers("ab", 2)
    assert (list(whole), list(other)) == (["a", "b"], ["a", "b"])
