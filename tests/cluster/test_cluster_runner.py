"""A job on a cluster whose workers are threads of this process: what comes of inputs, whoever dies meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from scripted_backend import ScriptedBackend, opening

from moss_cli.backends.protocol import Request
from moss_cli.cluster.connection import Cluster, WorkerDied, WorkerSize, worker_size
from moss_cli.cluster.options import ClusterOptions
from moss_cli.cluster.runner import AHEAD, ClusterRunner
from moss_cli.cluster.worker import Worker
from moss_cli.errors import DeviceError, ModelError, UsageError
from moss_cli.folders.journal import FileJournal
from moss_cli.models.registry import resolve
from moss_cli.run.inputs import Input
from moss_cli.run.job import Job, Outcome
from moss_cli.run.journal import NoJournal
from moss_cli.run.runner import Runner
from moss_cli.tasks.transcribe import Transcribe

RATE = 16_000


@pytest.fixture(autouse=True)
def everything_is_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moss_cli.run.speech_pieces.silent_stretches", lambda *_: [])


class Method:
    """A method of an actor, called in this process."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self.remote = call


class ThreadActor:
    """A worker in threads of this process, which can be dead."""

    def __init__(self, worker: Worker, *, version: str | None = None) -> None:
        self.worker, self.is_dead, self.given = worker, False, []
        self.hello = Method(lambda: ("hello", self, version))
        self.known = Method(worker.known)
        self.give = Method(self._give)

    def _give(self, given: Any) -> None:
        self.given.append(given)
        if not self.is_dead:
            self.worker.give(given)


class Threads(Cluster):
    """A cluster of such workers, each with a backend of its own. `at_message` is called before what a worker tells is
    read, and may kill it."""

    def __init__(self, backends: Iterator[ScriptedBackend], n_workers: int = 2) -> None:
        self.backends, self.n_workers = backends, n_workers
        self.actors: list[ThreadActor] = []
        self.version: str | None = None
        self.at_message: Callable[[ThreadActor, list[Any]], None] = lambda actor, batch: None

    def size_of(self, job: Job, n_workers: int | None) -> WorkerSize:
        return WorkerSize(n_workers or self.n_workers, 1, 0)

    def start(self, job: Job, size: WorkerSize) -> ThreadActor:
        actor = ThreadActor(Worker(job, open_backend=opening(next(self.backends))), version=self.version)
        self.actors.append(actor)
        return actor

    def stop(self, actor: ThreadActor) -> None:
        actor.is_dead = True
        actor.worker.finish()

    def messages(self, actor: ThreadActor) -> Any:
        return ("messages", actor, actor.worker.messages())

    def wait(self, what: Sequence[Any], timeout_s: float) -> list[Any]:
        return list(what)

    def get(self, what: Any) -> Any:
        kind, actor, value = what
        if kind == "hello":
            return (value, "here") if value else actor.worker.hello()
        batch = [] if actor.is_dead else next(value)
        self.at_message(actor, batch)
        if actor.is_dead:
            raise WorkerDied("killed")
        return batch


def backends(say: Callable[[Request, int], Any] | None = None) -> Iterator[ScriptedBackend]:
    while True:
        yield ScriptedBackend() if say is None else ScriptedBackend(say)


def inputs(folder: Path, n: int, seconds: float = 0.2) -> list[Input]:
    found = []
    for i in range(n):
        samples = np.random.default_rng(i).uniform(-0.1, 0.1, round(seconds * RATE)).astype(np.float32)
        soundfile.write(folder / f"{i:02}.wav", samples, RATE)
        found.append(Input(folder / f"{i:02}.wav"))
    return found


def on(cluster: Threads, options: ClusterOptions | None = None, **job: Any) -> tuple[ClusterRunner, list[str]]:
    """A runner on a cluster, and what it warns of."""

    @contextmanager
    def connect(options: ClusterOptions) -> Iterator[Cluster]:
        yield cluster

    warned: list[str] = []
    made = Job(Transcribe(), resolve("tiny"), **job)
    return ClusterRunner(made, options or ClusterOptions(), None, warned.append, connect=connect), warned


def told(outcomes: Sequence[Outcome]) -> dict[str, dict[str, Any]]:
    """What stands in envelopes, by the name of the file, but for what it took."""
    return {one.input.path.name: one.envelope.model_dump(mode="json") | {"usage": None} for one in outcomes}


def no_journal(one: Input) -> NoJournal:
    return NoJournal()


def test_outcomes_are_those_of_a_local_run(tmp_path: Path) -> None:
    files = inputs(tmp_path, 3 * AHEAD)
    runner, warned = on(Threads(backends()))
    found = list(runner.run(files, no_journal))
    local = Runner(Job(Transcribe(), resolve("tiny")), open_backend=opening(ScriptedBackend()))
    assert told(found) == told(list(local.run(files)))
    assert (len(found), warned) == (len(files), [])


def test_all_workers_have_a_share(tmp_path: Path) -> None:
    cluster = Threads(backends(), n_workers=3)
    list(on(cluster)[0].run(inputs(tmp_path, 9), no_journal))
    assert all(actor.given for actor in cluster.actors)


def test_what_a_dead_worker_had_is_done_by_others(tmp_path: Path) -> None:
    cluster, files = Threads(backends()), inputs(tmp_path, 40)

    def kill_first(actor: ThreadActor, batch: list[Any]) -> None:
        if actor is cluster.actors[0] and actor.given:
            actor.is_dead = True

    cluster.at_message = kill_first
    runner, warned = on(cluster)
    found = list(runner.run(files, no_journal))
    assert sorted(told(found)) == [one.path.name for one in files]
    assert {one.envelope.status for one in found} == {"ok"}
    n_lost = len(cluster.actors[0].given)
    assert warned == [
        f"a worker on {cluster.actors[1].worker.hello()[1]} has died; its {n_lost} inputs will be done by others"
    ]
    assert len(cluster.actors) == 3  # another one was started in its place


def test_an_input_that_kills_its_workers_fails_and_the_others_are_done(tmp_path: Path) -> None:
    cluster, files = Threads(backends()), inputs(tmp_path, 6)

    def die_of_it(actor: ThreadActor, batch: list[Any]) -> None:
        actor.is_dead = actor.is_dead or any(given.input.path.name == "02.wav" for given in actor.given)

    cluster.at_message = die_of_it
    found = {one.input.path.name: one for one in on(cluster)[0].run(files, no_journal)}
    assert sorted(found) == [one.path.name for one in files]
    assert {name for name, one in found.items() if one.error} == {"02.wav"}
    error = found["02.wav"].error
    assert error is not None and error.code == "worker_died"
    assert str(error) == "3 workers died while they were at it, the last with: killed"


def test_workers_that_die_at_once_again_and_again_end_the_run(tmp_path: Path) -> None:
    cluster = Threads(backends())

    def die(actor: ThreadActor, batch: list[Any]) -> None:
        actor.is_dead = True

    cluster.at_message = die
    with pytest.raises(DeviceError, match="9 workers have died one after another: killed"):
        list(on(cluster)[0].run(inputs(tmp_path, 60), no_journal))


def without_model(error: ModelError) -> ScriptedBackend:
    backend = ScriptedBackend()

    def fail() -> None:
        raise error

    backend.at_open = fail
    return backend


def test_a_node_without_the_model_leaves_its_work_to_others(tmp_path: Path) -> None:
    missing = without_model(ModelError("model tiny is not on the node b", code="model_missing"))
    files = inputs(tmp_path, 8)
    runner, warned = on(Threads(iter([missing, ScriptedBackend()])))
    found = list(runner.run(files, no_journal))
    assert sorted(told(found)) == [one.path.name for one in files]
    assert [line.partition(": ")[2] for line in warned] == ["model tiny is not on the node b"]


def test_a_model_that_is_on_no_node_ends_the_run(tmp_path: Path) -> None:
    missing = (without_model(ModelError("not here", code="model_missing")) for _ in range(2))
    with pytest.raises(ModelError, match="not here"):
        list(on(Threads(missing))[0].run(inputs(tmp_path, 8), no_journal))


def test_another_version_on_a_node_is_an_error(tmp_path: Path) -> None:
    cluster = Threads(backends())
    cluster.version = "0.0.1"
    with pytest.raises(UsageError, match=r"the node here has moss 0\.0\.1, and this one "):
        list(on(cluster)[0].run(inputs(tmp_path, 1), no_journal))


def test_a_file_that_a_node_does_not_see_is_an_error_with_the_option_that_helps(tmp_path: Path) -> None:
    [one] = inputs(tmp_path, 1)
    cluster = Threads(backends(), n_workers=1)
    runner, _ = on(cluster)
    give = Worker.give

    class Blind(Worker):
        def give(self, given: Any) -> None:
            give(self, replace(given, path=Path("/not/there.wav")))

    cluster.start = lambda job, size: ThreadActor(Blind(job, open_backend=opening(ScriptedBackend())))  # type: ignore[method-assign]
    with pytest.raises(UsageError, match=f"does not see {one.path}") as caught:
        list(runner.run([one], no_journal))
    assert caught.value.hint is not None and "--ray-collect" in caught.value.hint


def test_files_that_are_sent_leave_no_trace_and_keep_their_names(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    files = inputs(tmp_path / "in", 3)
    (tmp_path / "in" / "broken.wav").write_bytes(b"RIFF")
    broken = Input(tmp_path / "in" / "broken.wav")
    cluster = Threads(backends(), n_workers=1)
    runner, _ = on(cluster, ClusterOptions(collects=True))
    found = {one.input: one for one in runner.run([*files, broken], no_journal)}
    assert set(found) == {*files, broken}
    assert [found[one].envelope.input.path for one in files] == [str(one.path) for one in files]  # type: ignore[union-attr]
    local = Runner(Job(Transcribe(), resolve("tiny")), open_backend=opening(ScriptedBackend()))
    assert told(list(found.values())) == told(list(local.run([*files, broken])))
    assert all(given.data == given.path.read_bytes() for given in cluster.actors[0].given)
    folder = cluster.actors[0].worker._folder
    assert folder is not None and not folder.exists()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # a thread dies, as is wanted
def test_the_driver_keeps_the_journal_and_what_it_holds_is_not_asked_again(tmp_path: Path) -> None:
    [one] = inputs(tmp_path, 1, seconds=20.0)
    answered: list[str] = []

    def say(request: Request, n: int) -> str:
        answered.append(threading.current_thread().name)
        if len(answered) == 3:
            time.sleep(0.5)  # what was found before it reaches the driver
            raise SystemExit  # the worker's thread is gone
        return "[0.00]hello there[0.05]"

    def journal(input: Input) -> FileJournal:
        return FileJournal(tmp_path / "kept" / "journal.jsonl", {"work": "x"})

    cluster = Threads(backends(say), n_workers=1)

    def die_with_its_thread(actor: ThreadActor, batch: list[Any]) -> None:
        actor.is_dead = bool(actor.given) and not actor.worker._thread.is_alive() and not batch

    cluster.at_message = die_with_its_thread
    runner, _ = on(cluster, chunk_s=5.0, batch_size=1)
    [outcome] = runner.run([one], journal)
    assert outcome.envelope.status == "ok"
    n_chunks = len(outcome.envelope.chunks)
    assert n_chunks >= 4
    assert len(answered) == n_chunks + 1  # only the one at which the worker died was asked about twice
    assert len(cluster.actors) == 2


@pytest.mark.parametrize(
    ("nodes", "n_workers", "on_gpus", "expected"),
    [
        ([{"CPU": 8, "GPU": 2}, {"CPU": 8, "GPU": 1}], None, True, WorkerSize(3, 1, 1)),
        ([{"CPU": 8, "GPU": 2}], 1, True, WorkerSize(1, 1, 1)),
        ([{"CPU": 8, "GPU": 2}], 5, True, WorkerSize(2, 1, 1)),
        ([{"CPU": 8, "GPU": 2}], None, False, WorkerSize(1, 8, 0)),
        ([{"CPU": 8}, {"CPU": 4}], None, True, WorkerSize(2, 4, 0)),
        ([{"CPU": 8}, {"CPU": 4}], 5, True, WorkerSize(5, 2, 0)),
        ([{"CPU": 1}, {"CPU": 1}], 9, True, WorkerSize(2, 1, 0)),
        ([{"memory": 5}, {"CPU": 4}], None, True, WorkerSize(1, 4, 0)),
    ],
)
def test_there_is_a_worker_a_gpu_or_one_a_node(
    nodes: list[dict[str, float]], n_workers: int | None, on_gpus: bool, expected: WorkerSize
) -> None:
    assert worker_size(nodes, n_workers, on_gpus=on_gpus) == expected


def test_a_cluster_that_has_nothing_to_give_is_an_error() -> None:
    with pytest.raises(DeviceError, match="neither GPUs nor CPUs"):
        worker_size([{"memory": 5.0}], None, on_gpus=True)
