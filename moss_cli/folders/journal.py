"""Finished chunks of an unfinished input, kept so that a run that was killed goes on where it stopped."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from moss_cli.run.journal import Opened

UNFINISHED = "unfinished"  # the folder of journals, below the state folder


class FileJournal:
    """A line of JSON for each chunk, on the disk before `put` returns; the first line says which work it belongs to.

    The first `put` starts the file anew if it belongs to other work or is damaged, and overwrites an unfinished last
    line. Where the file cannot be written, as on a full disk, `on_failure` gets the reason once and the work goes on
    without a journal.
    """

    def __init__(
        self, file: Path, work: Mapping[str, Any], on_failure: Callable[[str], None] = lambda reason: None
    ) -> None:
        """`work`: JSON-able values that identify the input and what is done to it."""
        self.file = file
        self._work, self._on_failure = work, on_failure
        self._header: dict[str, Any] = {}
        self._found: dict[str, list[dict[str, Any]]] = {}
        self._n_bytes = 0  # of the file that count; 0: it is to be started anew
        self._keeps = False

    def begin(self, opened: Opened) -> None:
        self._header = {**self._work, **asdict(opened)}
        header, found, n_bytes = read_journal(self.file)
        self._found, self._n_bytes = (found, n_bytes) if header == self._header else ({}, 0)
        self._keeps = True

    @property
    def pieces(self) -> Mapping[str, list[dict[str, Any]]]:
        return self._found

    def get(self, piece: str) -> list[dict[str, Any]] | None:
        return self._found.get(piece)

    def put(self, piece: str, found: list[dict[str, Any]]) -> None:
        if not self._keeps:
            return
        header = [self._header] if self._n_bytes == 0 else []
        try:
            self._append(b"".join(_line(value) for value in (*header, {"piece": piece, "found": found})))
        except OSError as error:
            self._keeps = False
            self._on_failure(self._reason(error))
        else:
            self._found[piece] = found

    def delete(self) -> None:
        """Delete the file: the input is done."""
        with suppress(OSError):
            self.file.unlink(missing_ok=True)
        self._found, self._n_bytes, self._keeps = {}, 0, False

    def _reason(self, error: OSError) -> str:
        if isinstance(error, FileExistsError):  # only the folder raises this
            return f"{self.file.parent} is not a folder; move it away"
        if error.errno == errno.ENXIO:  # a FIFO, which nobody reads, or another kind of file
            return f"{self.file} is not a regular file; move it away"
        if isinstance(error, IsADirectoryError):
            return f"{self.file} is a folder; move it away"
        return (error.strerror or str(error)).lower()

    def _append(self, lines: bytes) -> None:
        self.file.parent.mkdir(mode=0o700, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO would block
        descriptor = os.open(self.file, flags, 0o600)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.ENXIO, "not a regular file")
            os.ftruncate(descriptor, self._n_bytes)
            left = memoryview(lines)
            os.lseek(descriptor, self._n_bytes, os.SEEK_SET)
            while left:
                left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._n_bytes += len(lines)


def read_journal(file: Path) -> tuple[dict[str, Any] | None, dict[str, list[dict[str, Any]]], int]:
    """The first line of a journal, its chunks, and the number of bytes up to the end of its last whole line.

    The first line is None where the file is not a journal or cannot be read.
    """
    try:
        data = file.read_bytes() if file.is_file() else b""  # opening a FIFO would block
    except OSError:
        return None, {}, 0
    whole = data[: data.rfind(b"\n") + 1]
    found: dict[str, list[dict[str, Any]]] = {}
    header, n_bytes = None, 0
    for line in whole.splitlines(keepends=True):
        try:
            value = json.loads(line)
            if header is None:
                header = dict(value)
            else:
                found[str(value["piece"])] = [dict(one) for one in value["found"]]
        except (ValueError, TypeError, KeyError, RecursionError):
            break  # nothing after a damaged line is trusted
        n_bytes += len(line)
    return header, found, n_bytes


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"  # ASCII: names that are not UTF-8 keep their bytes as escapes
