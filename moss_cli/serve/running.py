"""Which servers run: each holds a lock on a file of its own in the user's state folder while it lives."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from moss_cli.errors import MossError, OutputError
from moss_cli.serve.address import Address
from moss_cli.settings import state_folder

LOOKS_EVERY_S = 0.05
_PROBED = 5  # a reader may hold the lock for a moment


@dataclass(frozen=True)
class RunningServer:
    """A server as it describes itself. `started`: ISO 8601, in UTC. `log`: a detached one's file."""

    pid: int
    url: str
    model: str
    started: str
    log: str | None = None

    def document(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def folder() -> Path:
    """Where servers keep their records and logs."""
    return state_folder() / "serve"


def record_of(address: Address) -> Path:
    """The file of the server at an address."""
    return folder() / f"{key_of(address)}.json"


def key_of(address: Address) -> str:
    """A name for an address that a file can have."""
    if address.path is not None:
        return "socket-" + hashlib.sha256(os.fsencode(os.path.abspath(address.path))).hexdigest()[:12]  # noqa: PTH100
    return f"{address.host.replace(':', '_').replace('/', '_')}-{address.port}"


@contextmanager
def announced(address: Address, model: str, log: Path | None) -> Iterator[None]:
    """This process is the server at an address, as long as the context lasts. Raises MossError where another is, and
    OutputError where that cannot be written."""
    file = record_of(address)
    try:
        make_folder()
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise OutputError(f"{file} cannot be written: {error.strerror}") from error
    try:
        _lock(descriptor, address)
        started = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        running = RunningServer(os.getpid(), address.url, model, started, None if log is None else str(log))
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(running.document()).encode(), 0)
        yield
    finally:
        with suppress(OSError):
            file.unlink()
        os.close(descriptor)


def make_folder() -> None:
    """Make the folder of the records, for this user alone. Raises OSError."""
    folder().mkdir(mode=0o700, parents=True, exist_ok=True)


def _lock(descriptor: int, address: Address) -> None:
    for _ in range(_PROBED):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(LOOKS_EVERY_S)
        except OSError:  # a file system without locks
            return
    hint = "see `moss serve --status`"
    raise MossError(f"a server runs at {address.url} already", hint=hint, code="in_use")


def running_servers() -> list[RunningServer]:
    """The servers that are alive; the records of dead ones are removed."""
    found = []
    for file in sorted(folder().glob("*.json")):
        if is_alive(file):
            if (one := _said_in(file)) is not None:
                found.append(one)
        else:
            with suppress(OSError):
                file.unlink()
    return found


def is_alive(file: Path) -> bool:
    """Whether somebody holds a record's lock."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def stop(server: RunningServer, patience_s: float) -> bool:
    """Ask a server to finish and stop; whether it has, within `patience_s`. Asked twice, it stops at once.

    Raises MossError where it is not this user's.
    """
    with suppress(ProcessLookupError):
        try:
            os.kill(server.pid, signal.SIGTERM)
        except PermissionError as error:
            raise MossError(f"the server with pid {server.pid} is another user's") from error
    until = time.monotonic() + patience_s
    while server in running_servers():
        if time.monotonic() > until:
            return False
        time.sleep(LOOKS_EVERY_S)
    return True


def _said_in(file: Path) -> RunningServer | None:
    """What a record says; None where it is being written."""
    try:
        values = json.loads(file.read_bytes())
        return RunningServer(**{field.name: values[field.name] for field in fields(RunningServer)})
    except (OSError, ValueError, TypeError, KeyError):
        return None
