"""Which runs are active in a folder: each holds a lock on a file of its own in `DIR/.moss/runs/` while it lives."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from moss_cli.errors import OutputError
from moss_cli.folders.kinds import check_kind
from moss_cli.output.atomic import code_of, write_all
from moss_cli.output.terminal import one_line

FOLDER = "runs"  # below the state folder


@dataclass(frozen=True)
class ActiveRun:
    """A run as it describes itself. `started`: ISO 8601, in UTC."""

    pid: int
    host: str
    task: str
    started: str


class RunMarker:
    """Announces a run until `close`. Raises OutputError where its file cannot be written."""

    def __init__(self, state: Path, task: str) -> None:
        """`state` is the folder's `.moss`, which exists and whose manifest is locked."""
        started = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        run = ActiveRun(os.getpid(), platform.node(), task, started)
        self._file = state / FOLDER / f"{run.pid}-{secrets.token_hex(4)}.json"
        check_kind(self._file.parent, is_folder=True)
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


def active_runs(state: Path) -> list[ActiveRun]:
    """The runs that are alive. One that is just starting is missed unless the folder's manifest is locked."""
    return [_said_in(file) for file in _files(state) if _is_alive(file)]


def forget_dead_runs(state: Path) -> None:
    """Remove the files of dead runs; the folder's manifest must be locked, so that no run is just starting."""
    for file in _files(state):
        if not _is_alive(file):
            with suppress(OSError):
                file.unlink()


def _files(state: Path) -> list[Path]:
    return sorted((state / FOLDER).glob("*.json"))


def _is_alive(file: Path) -> bool:
    """Whether somebody holds its lock, or that cannot be determined."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # it has gone meanwhile
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _said_in(file: Path) -> ActiveRun:
    try:
        values = json.loads(file.read_bytes() if file.is_file() else b"")  # reading a FIFO would block
        return ActiveRun(**{field.name: values[field.name] for field in fields(ActiveRun)})
    except (OSError, ValueError, TypeError, KeyError):
        return ActiveRun(0, "", "", "")  # it is alive, and has not written more yet
