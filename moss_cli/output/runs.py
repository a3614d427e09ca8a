"""Which runs are at work on a folder: each holds a locked file in `DIR/.moss/runs/` as long as it lives."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from moss_cli.errors import OutputError
from moss_cli.output.atomic import code_of, write_all
from moss_cli.output.terminal import one_line

FOLDER = "runs"  # below the state folder


@dataclass(frozen=True)
class RunAtWork:
    """A run, by what it says of itself. `started`: ISO 8601, in UTC."""

    pid: int
    host: str
    task: str
    started: str


class AtWork:
    """Makes a run known until `close`. Raises OutputError where that cannot be."""

    def __init__(self, state: Path, task: str) -> None:
        """`state` is the folder's `.moss`, which exists and whose record is locked: see `runs_at_work`."""
        started = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        run = RunAtWork(os.getpid(), platform.node(), task, started)
        self._file = state / FOLDER / f"{run.pid}-{secrets.token_hex(4)}.json"
        try:
            self._file.parent.mkdir(mode=0o700, exist_ok=True)
            self._descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with suppress(OSError):  # a file system without locks
                fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            write_all(self._descriptor, json.dumps(asdict(run)).encode())
        except OSError as error:
            what = f"{one_line(str(self._file))} cannot be written: {(error.strerror or str(error)).lower()}"
            raise OutputError(what, code=code_of(error)) from error

    def close(self) -> None:
        """The run is over."""
        if self._descriptor >= 0:
            with suppress(OSError):
                self._file.unlink()
            os.close(self._descriptor)
            self._descriptor = -1


def runs_at_work(state: Path) -> list[RunAtWork]:
    """The runs that are alive; files of dead ones are removed.

    A run that is just beginning is missed, unless the folder's record is locked meanwhile.
    """
    files = sorted((state / FOLDER).glob("*.json"))
    return [run for file in files for run in _alive(file)]


def _alive(file: Path) -> Iterator[RunAtWork]:
    with suppress(OSError), _opened(file) as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield _said_in(os.pread(descriptor, 4096, 0))
        else:
            file.unlink()


@contextmanager
def _opened(file: Path) -> Iterator[int]:
    descriptor = os.open(file, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)  # NFS locks what is open for writing
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _said_in(text: bytes) -> RunAtWork:
    try:
        values = json.loads(text)
        return RunAtWork(**{field.name: values[field.name] for field in fields(RunAtWork)})
    except (ValueError, TypeError, KeyError):
        return RunAtWork(0, "", "", "")  # it lives, and has not said more yet
