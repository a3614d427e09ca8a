"""A worker of a cluster: one engine on one node, which answers the inputs that it is given, together.

It writes only temporary files. What it finds it tells the driver, which keeps the journals and writes the results.
"""

from __future__ import annotations

import platform
import queue
import shutil
import tempfile
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from moss_cli import __version__
from moss_cli.backends.opening import OpenBackend, open_backend
from moss_cli.cluster.messages import Began, FoundPiece, Given, InputEnded, Message, Pieces, Stepped, Stopped, Warned
from moss_cli.errors import ModelError, MossError, as_moss_error
from moss_cli.models.registry import locate
from moss_cli.run.inputs import Input
from moss_cli.run.job import Job, Outcome, Step
from moss_cli.run.journal import Opened
from moss_cli.run.runner import Runner

_WAIT_S = 0.2  # for the first message of a batch; chosen: a driver that has died is noticed soon enough


class Worker:
    """Runs as an actor of Ray whose methods are called in threads of their own: `messages` all the time, the others
    beside it."""

    def __init__(self, job: Job, *, open_backend: OpenBackend = open_backend) -> None:
        self._job, self._open_backend = job, open_backend
        self._told: queue.Queue[Message] = queue.Queue()
        self._given: deque[Given] = deque()
        self._changed = threading.Condition()  # of _given, _known and _is_over
        self._known: dict[int, Pieces] = {}
        self._is_over = False
        self._numbers: dict[Path, int] = {}  # of the inputs that are being worked on, by the path that they have here
        self._originals: dict[int, Input] = {}
        self._folder: Path | None = None  # of files whose bytes were sent
        self._thread = threading.Thread(target=self._work, name="cluster worker", daemon=True)

    def hello(self) -> tuple[str, str]:
        """The version of moss here, and the node's name."""
        return __version__, platform.node()

    def give(self, given: Given) -> None:
        """Take an input, after those that were given before."""
        with self._changed:
            self._given.append(given)
            if not self._thread.is_alive() and not self._is_over:
                self._thread.start()
            self._changed.notify_all()

    def known(self, number: int, pieces: Pieces) -> None:
        """Answer `Began`: what an earlier run found of the input's pieces."""
        with self._changed:
            self._known[number] = pieces
            self._changed.notify_all()

    def finish(self) -> None:
        """No more inputs will be given."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def messages(self) -> Iterator[list[Message]]:
        """What there is to tell, in order, several at once; empty now and then where there is nothing."""
        while True:
            batch = []
            with suppress(queue.Empty):
                batch.append(self._told.get(timeout=_WAIT_S))
                while True:
                    batch.append(self._told.get_nowait())
            yield batch
            if self._is_over and not batch:
                return

    def _work(self) -> None:
        try:
            job, opens = self._own_job(), self._open_backend
            runner = Runner(job, self._tell_step, lambda text: self._told.put(Warned(text)), open_backend=opens)
            while self._waits_for_input():
                for outcome in runner.run(self._inputs(), self._journal):
                    self._tell_outcome(outcome)
        except Exception as error:  # noqa: BLE001 - told to the driver, which gives the inputs to others
            self._told.put(Stopped(as_moss_error(error)))
        finally:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)

    def _own_job(self) -> Job:
        """The job, with the model as it lies on this node. Raises ModelError."""
        if self._job.model.entry.url is not None:  # a server answers for it
            return self._job
        model = locate(self._job.model.entry)
        if model is None or model.revision != self._job.model.revision:
            name, where = self._job.model.entry.name, platform.node()
            hint = f"download it on each node: `moss models pull {name}`" if self._job.model.entry.hub else None
            raise ModelError(f"model {name} is not on the node {where}", hint=hint, code="model_missing")
        return replace(self._job, model=model)

    def _waits_for_input(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: bool(self._given) or self._is_over)
            return bool(self._given)

    def _inputs(self) -> Iterator[Input]:
        """What has been given so far. It ends where there is nothing more at the moment: whoever waited here would hold
        up what is being decoded."""
        while True:
            with self._changed:
                if not self._given:
                    return
                given = self._given.popleft()
            try:
                one = self._here(given)
            except OSError as error:
                failure = MossError(f"the node {platform.node()} cannot keep the file: {error.strerror}", code="disk")
                self._told.put(Stopped(failure))
                return
            self._numbers[one.path], self._originals[given.number] = given.number, given.input
            yield one

    def _here(self, given: Given) -> Input:
        """An input as a file that can be read on this node."""
        if given.data is None:
            return Input(given.path)  # not its own, which may be relative to the driver's working directory
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="moss-"))
        folder = self._folder / str(given.number)
        folder.mkdir(parents=True)
        path = folder / given.input.path.name  # the suffix says something of the format
        path.write_bytes(given.data)
        return Input(path)

    def _journal(self, one: Input) -> _ToldJournal:
        return _ToldJournal(self, self._numbers[one.path])

    def begin(self, number: int, opened: Opened) -> Pieces:
        """Tell the driver that an input is open, and wait for what it knows of it."""
        self._told.put(Began(number, opened))
        with self._changed:
            self._changed.wait_for(lambda: number in self._known or self._is_over)
            return self._known.pop(number, {})

    def keep(self, number: int, piece: str, found: list[dict[str, Any]]) -> None:
        """Have the driver keep what was found of a piece."""
        self._told.put(FoundPiece(number, piece, found))

    def _tell_step(self, step: Step) -> None:
        number = self._numbers.get(step.input.path)
        if number is not None:
            self._told.put(Stepped(number, replace(step, input=self._originals[number])))

    def _tell_outcome(self, outcome: Outcome) -> None:
        path = outcome.input.path
        number = self._numbers.pop(path)
        original = self._originals.pop(number)
        if self._folder is not None and self._folder in path.parents:
            shutil.rmtree(path.parent, ignore_errors=True)
            with suppress(OSError):  # others are in it
                self._folder.rmdir()
        self._told.put(InputEnded(number, named_as(original, outcome)))


class _ToldJournal:
    """A journal that the driver keeps."""

    def __init__(self, worker: Worker, number: int) -> None:
        self._worker, self._number = worker, number
        self._pieces: Pieces = {}

    def begin(self, opened: Opened) -> None:
        self._pieces = self._worker.begin(self._number, opened)

    @property
    def pieces(self) -> Pieces:
        return self._pieces

    def get(self, piece: str) -> list[dict[str, Any]] | None:
        return self._pieces.get(piece)

    def put(self, piece: str, found: list[dict[str, Any]]) -> None:
        self._worker.keep(self._number, piece, found)


def named_as(original: Input, outcome: Outcome) -> Outcome:
    """An outcome as that of an input which is called otherwise here."""
    copy, envelope, error = str(outcome.input.path), outcome.envelope, outcome.error
    if envelope.input is not None:
        info = envelope.input.model_copy(update={"path": original.shown, "path_bytes": original.path_bytes})
        envelope = envelope.model_copy(update={"input": info})
    if error is not None:
        error.message = error.message.replace(copy, original.shown)
        if envelope.error is not None:
            failure = envelope.error.model_copy(
                update={"message": envelope.error.message.replace(copy, original.shown)}
            )
            envelope = envelope.model_copy(update={"error": failure})
    return Outcome(original, envelope, error)
