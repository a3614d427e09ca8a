"""Temporary files that killed runs left behind."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from moss_cli.output.atomic import TEMPORARY_GLOB

_NAME = re.compile(re.escape(TEMPORARY_GLOB).replace(r"\*", "[0-9a-f]{16}"))


def remove_leftovers(folders: Iterable[Path], *, older_than_s: float = 0.0) -> int:
    """Remove the temporary files of `write_atomic` that lie in `folders`, and say how many there were.

    Only this user's own regular files that were not written to for `older_than_s` seconds. For a caller who knows
    that no run is at work, or asks for an age that no write in progress has.
    """
    n_removed = 0
    for folder in folders:
        for file in _leftovers(folder, time.time() - older_than_s):
            with suppress(OSError):
                file.unlink()
                n_removed += 1
    return n_removed


def _leftovers(folder: Path, before: float) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            named = [entry for entry in entries if _NAME.fullmatch(entry.name)]
    except OSError:  # it is gone, or not to be looked into
        return
    for entry in named:
        with suppress(OSError):
            status = entry.stat(follow_symlinks=False)
            if entry.is_file(follow_symlinks=False) and status.st_uid == os.geteuid() and status.st_mtime <= before:
                yield Path(entry.path)
