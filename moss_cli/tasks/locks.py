"""Which input is whose, among runs that share an output folder.

Locks are byte ranges of one file (POSIX `fcntl` locks): the system takes them from a process that dies,
however it dies, and there is nothing to clean up. They hold between processes of one machine, and between
machines over NFSv4 as far as its server keeps locks (it forgets them where a client is cut off for longer than its
lease). They do not hold on file systems that know no locks, where `works` is False: there, one run at a time.
A process may have one `Claims` on a folder: closing the file anywhere in it gives all of its locks back.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from pathlib import Path

from moss_cli.errors import OutputError

FILE = "locks/claims"  # below the state folder

_AT_WORK = 0  # the byte that every run holds, shared
_FIRST_NAME = 16  # where the bytes of names begin
_HELD = (errno.EAGAIN, errno.EACCES)


class Claims:
    """The names that this run holds. Raises OutputError where the file of the locks cannot be made."""

    def __init__(self, state: Path, *, make: bool = True) -> None:
        """`state` is the folder's `.moss`. Without `make`, FileNotFoundError where no run ever was."""
        file = state / FILE
        self.works = True
        try:
            if make:
                state.mkdir(mode=0o700, exist_ok=True)
                file.parent.mkdir(mode=0o700, exist_ok=True)
            self._descriptor = os.open(file, os.O_RDWR | (os.O_CREAT if make else 0) | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise OutputError(f"{state} cannot be made or read: {(error.strerror or str(error)).lower()}") from error

    def join(self) -> None:
        """Be one of the runs at work. Waits while another is `alone`; gives that up itself."""
        self._lock(fcntl.LOCK_SH, _AT_WORK)

    def alone(self) -> bool:
        """Keep others from joining; False where another run is at work, or none could be seen."""
        return self._lock(fcntl.LOCK_EX | fcntl.LOCK_NB, _AT_WORK) and self.works

    def take(self, name: str) -> bool:
        """Claim `name`; False where another process holds it."""
        return self._lock(fcntl.LOCK_EX | fcntl.LOCK_NB, _byte(name))

    def release(self, name: str) -> None:
        """Give `name` back."""
        self._lock(fcntl.LOCK_UN, _byte(name))

    def close(self) -> None:
        """Give everything back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _lock(self, how: int, byte: int) -> bool:
        try:
            fcntl.lockf(self._descriptor, how, 1, byte)
        except OSError as error:
            if error.errno in _HELD:
                return False
            self.works = False
        return True


def _byte(name: str) -> int:
    """A place in a file that need not be that long. Two names on one byte, one in 10^18, wait for each other."""
    digest = hashlib.sha256(os.fsencode(name)).digest()
    return _FIRST_NAME + (int.from_bytes(digest[:8], "big") >> 2)
