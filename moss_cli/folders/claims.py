"""Which run works on which input, among runs that share an output folder.

A claim is a lock on one byte of one file (POSIX `fcntl` locks): the system releases it when the process dies, however
it dies, and there is nothing to clean up. It holds between processes of one machine, and between machines over NFS as
far as the server keeps locks. On a file system without locks `works` is False: use one run at a time there.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from pathlib import Path

from moss_cli.errors import OutputError
from moss_cli.folders.kinds import check_kind
from moss_cli.output.terminal import one_line

_HELD = (errno.EAGAIN, errno.EACCES)


class Claims:
    """The names that this run has claimed. At most one per process and folder: closing the file anywhere in the
    process releases all of its locks. Raises OutputError where the file of locks cannot be created."""

    def __init__(self, state: Path) -> None:
        """`state` is the folder's `.moss`, which exists."""
        file = state / "claims"
        check_kind(file)
        self.works = True
        try:
            self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise OutputError(f"{one_line(str(file))} cannot be opened: {reason}") from error

    def take(self, name: str) -> bool:
        """Claim `name`; False where another process holds it."""
        return self._lock(fcntl.LOCK_EX | fcntl.LOCK_NB, name)

    def release(self, name: str) -> None:
        """Release `name`."""
        self._lock(fcntl.LOCK_UN, name)

    def close(self) -> None:
        """Release everything."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _lock(self, how: int, name: str) -> bool:
        try:
            fcntl.lockf(self._descriptor, how, 1, _byte(name))
        except OSError as error:
            if error.errno in _HELD:
                return False
            self.works = False
        return True


def _byte(name: str) -> int:
    """An offset in the file, which need not be that long. Two names may share one, at odds of 10^-18, and then wait."""
    return int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:8], "big") >> 2
