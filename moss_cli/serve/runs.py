"""Transcriptions as runs: each goes through `run/`, as that of a command would, in a thread of its own."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

from moss_cli.errors import MossError
from moss_cli.run.inputs import Input
from moss_cli.run.job import Job, Outcome
from moss_cli.run.runner import Runner
from moss_cli.serve.config import ServeConfig
from moss_cli.serve.engine_thread import EngineThread
from moss_cli.serve.spool import path_of
from moss_cli.serve.view import RunBackend

MOST_RUNS = 16  # at once, each of which reads ahead; chosen


@dataclass(eq=False)
class FileRun:
    """One file on its way. `stop` has it fail, soon: also where it only reads, for its file ends there."""

    job: Job
    file: IO[bytes]
    backend: RunBackend
    outcome: asyncio.Future[Outcome]

    def stop(self, error: MossError) -> None:
        self.backend.stop(error)
        if not self.file.closed:
            os.ftruncate(self.file.fileno(), 0)


class Runs:
    """The runs of a server. They are begun in the order in which they came, as many together as the engine answers
    requests together; they share its slots. Used in the event loop."""

    def __init__(self, config: ServeConfig, engine: EngineThread) -> None:
        self._config, self._engine = config, engine
        self._active: set[FileRun] = set()
        self._waiting: deque[tuple[FileRun, asyncio.Future[None]]] = deque()

    @property
    def n_waiting(self) -> int:
        return len(self._waiting)

    async def outcome(self, job: Job, file: IO[bytes]) -> Outcome:
        """What comes of a file, which stays the caller's. Cancelled, it stops the run and waits for its end."""
        loop = asyncio.get_running_loop()
        run = FileRun(job, file, RunBackend(self._engine, self._share), loop.create_future())
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append((run, turn))
        self._begin_next()
        try:
            await turn
        except asyncio.CancelledError:
            self._waiting = deque(one for one in self._waiting if one[0] is not run)
            self._end(run)
            raise
        thread = threading.Thread(target=_go, args=(run, loop), name="run", daemon=True)
        thread.start()
        try:
            return await asyncio.shield(run.outcome)
        except asyncio.CancelledError:
            run.stop(MossError("nobody waits for the result any more", code="stopped"))
            await asyncio.wait([run.outcome])
            raise
        finally:
            self._end(run)

    def stop(self) -> None:
        """Stop all of them."""
        for run in self._active:
            run.stop(MossError("the server is stopping", code="stopped"))

    def _share(self) -> int:
        """How many of the engine's slots each run may take."""
        return self._engine.n_slots // max(1, len(self._active))

    def _begin_next(self) -> None:
        while self._waiting and len(self._active) < min(MOST_RUNS, self._engine.n_slots):
            run, turn = self._waiting.popleft()
            self._active.add(run)
            if not turn.done():
                turn.set_result(None)

    def _end(self, run: FileRun) -> None:
        self._active.discard(run)
        self._begin_next()


def _go(run: FileRun, loop: asyncio.AbstractEventLoop) -> None:
    """FileRun it, in its thread."""
    try:
        runner = Runner(run.job, open_backend=lambda *args, **settings: run.backend)
        [outcome] = runner.run([Input(path_of(run.file))])
        _tell(loop, lambda: run.outcome.set_result(outcome))
    except Exception as error:  # noqa: BLE001 - raised where it is waited for
        failure = error
        _tell(loop, lambda: run.outcome.set_exception(failure))


def _tell(loop: asyncio.AbstractEventLoop, what: Callable[[], Any]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(what)
