"""A server in the background: a process of its own session, whose messages go to a file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from moss_cli.errors import OutputError
from moss_cli.serve.address import Address
from moss_cli.serve.running import folder, key_of, make_folder

MOST_LOG_BYTES = 10_000_000  # of a log, which then begins anew, the old one beside it; chosen
_TELLS = "_MOSS_TELLS"  # the variable that says on which descriptor a server tells that it can be used
SHOWN_LINES = 5  # of the log of one that did not come up


@dataclass(frozen=True)
class Detached:
    """A server that was started: its URL, or what it said when it ended instead, and its exit code."""

    url: str | None
    code: int = 0
    said: tuple[str, ...] = ()


def log_of(address: Address) -> Path:
    """The file for a detached server's messages."""
    return folder() / f"{key_of(address)}.log"


def start(words: Sequence[str], log: Path) -> Detached:
    """Start `moss` with these words and wait until it can be used, or has ended. Raises OutputError."""
    try:
        make_folder()
        if log.exists() and log.stat().st_size > MOST_LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise OutputError(f"{log} cannot be written: {error.strerror}") from error
    begins_at = os.fstat(descriptor).st_size
    ready, tells = os.pipe()
    try:
        child = subprocess.Popen(
            [sys.executable, "-m", "moss_cli", *words],
            env={**os.environ, _TELLS: str(tells)},
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            pass_fds=(tells,),
            start_new_session=True,
        )
    finally:
        os.close(descriptor)
        os.close(tells)
    try:
        with os.fdopen(ready, encoding="utf-8") as told:
            url = told.readline().strip()
    except BaseException:  # whoever waits was interrupted
        child.terminate()
        raise
    if url:
        return Detached(url)
    code = child.wait()
    with log.open("rb") as file:
        file.seek(begins_at)
        said = file.read().decode("utf-8", "replace").splitlines()
    return Detached(None, code if code >= 0 else 128 - code, tuple(said[-SHOWN_LINES:]))


def is_detached() -> bool:
    """Whether this process is a server that `start` has started."""
    return _TELLS in os.environ


def tell_ready(url: str) -> None:
    """Tell whoever started this server, if it is a detached one, that it can be used."""
    if is_detached():
        with os.fdopen(int(os.environ[_TELLS]), "w", encoding="utf-8") as told:
            told.write(url + "\n")
