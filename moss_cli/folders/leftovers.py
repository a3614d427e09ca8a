"""Temporary files that killed runs left behind."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from moss_cli.output.atomic import TEMPORARY_GLOB

_NAME = re.compile(re.escape(TEMPORARY_GLOB).replace(r"\*", "[0-9a-f]{16}"))


def remove_leftovers(folders: Iterable[Path]) -> int:
    """Remove the temporary files of `write_atomic` in `folders` whose writers are dead, and return how many.

    On a file system without locks, dead writers cannot be told from living ones, and nothing is removed.
    """
    return sum(_remove(file) for folder in folders for file in _leftovers(folder))


def _leftovers(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            named = [Path(entry.path) for entry in entries if _NAME.fullmatch(entry.name)]
    except OSError:  # it is gone, or may not be read
        return
    yield from named


def _remove(file: Path) -> bool:
    with suppress(OSError):  # BlockingIOError: its writer is alive
        descriptor = os.open(file, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.unlink()
        finally:
            os.close(descriptor)
        return True
    return False
