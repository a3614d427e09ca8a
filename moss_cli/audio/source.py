"""Where the bytes come from: a regular file held open, or a pipe spooled to a temporary one."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from moss_cli.errors import AudioError, OutputError

STDIN = Path("-")

_BLOCK_BYTES = 1 << 20


def printable(path: Path) -> str:
    """The path for a message: control characters, line ends and bytes that are not UTF-8 are escaped."""
    if path == STDIN:
        return "standard input"
    return "".join(_escaped(c) for c in os.fspath(path))


def _escaped(char: str) -> str:
    if char.isprintable():
        return char
    if "\udc80" <= char <= "\udcff":  # surrogateescape: a byte of a name that is not UTF-8
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape", "backslashreplace").decode("ascii")


class OpenedFile:
    """A regular file, held open so that renaming or deleting it meanwhile changes nothing.

    `name` is the printable name for messages, `size` the length in bytes when it was opened.
    """

    def __init__(self, fd: int, name: str) -> None:
        self.fd = fd
        self.name = name
        self._opened = os.fstat(fd)
        self.size = self._opened.st_size

    def read_at(self, offset: int, n_bytes: int) -> bytes:
        """Up to `n_bytes` from `offset`, without moving the file's position. AudioError where reading fails."""
        if not 0 <= offset < self.size:  # a header may point anywhere
            return b""
        try:
            return os.pread(self.fd, n_bytes, offset)
        except OSError as error:
            raise unreadable(self.name, error) from error

    def rewind(self) -> None:
        """Set the position back to the start: libsndfile takes a file to begin where it finds the position."""
        os.lseek(self.fd, 0, os.SEEK_SET)

    def sha256(self) -> str:
        """Hexadecimal SHA-256 of the file's bytes."""
        digest, offset = hashlib.sha256(), 0
        while block := self.read_at(offset, _BLOCK_BYTES):
            digest.update(block)
            offset += len(block)
        return digest.hexdigest()

    def check_unchanged(self) -> None:
        """AudioError where the file was written to since it was opened."""
        now = os.fstat(self.fd)
        if (now.st_size, now.st_mtime_ns) != (self._opened.st_size, self._opened.st_mtime_ns):
            raise AudioError(f"{self.name} changed while it was being read", code="changed")


class FilePart:
    """Some of the bytes of an open file, for one decoder: `prefix`, then bytes start..end of the file.

    `patches` are (offset, bytes) that stand in the place of what the part has there. `name` and `size` are as a file's.
    """

    def __init__(
        self,
        file: OpenedFile,
        *,
        start: int = 0,
        end: int | None = None,
        prefix: bytes = b"",
        patches: tuple[tuple[int, bytes], ...] = (),
    ) -> None:
        self.name = file.name
        self._file, self._start, self._prefix, self._patches = file, start, prefix, patches
        n_bytes = (file.size if end is None else min(end, file.size)) - start
        self.size = len(prefix) + n_bytes
        whole = n_bytes == file.size and not prefix and not patches
        self.fd = file.fd if whole else None  # by which the same bytes can be read

    def patched(self, patches: tuple[tuple[int, bytes], ...]) -> FilePart:
        """The same part with patches."""
        end = self._start + self.size - len(self._prefix)
        return FilePart(self._file, start=self._start, end=end, prefix=self._prefix, patches=patches)

    def read_at(self, offset: int, n_bytes: int) -> bytes:
        """Up to `n_bytes` from `offset`. AudioError where reading fails."""
        if not 0 <= offset < self.size:
            return b""
        n_bytes = min(n_bytes, self.size - offset)
        data = self._prefix[offset : offset + n_bytes]
        if n_bytes > len(data):
            at = self._start + max(offset - len(self._prefix), 0)
            data += self._file.read_at(at, n_bytes - len(data))
        for at, patch in self._patches:
            low, high = max(at - offset, 0), min(at + len(patch) - offset, len(data))
            if low < high:
                data = data[:low] + patch[low + offset - at : high + offset - at] + data[high:]
        return data


class PartReader:
    """A part for libraries: `read`, `seek` and `tell`, and no `name`, which they would take for a path."""

    def __init__(self, part: FilePart) -> None:
        self._part = part
        self._position = 0

    def read(self, n_bytes: int = -1) -> bytes:
        data = self._part.read_at(self._position, n_bytes if n_bytes >= 0 else self._part.size)
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._part.size}[whence]
        self._position = max(start + offset, 0)
        return self._position

    def tell(self) -> int:
        return self._position


@contextmanager
def open_file(path: Path) -> Iterator[OpenedFile]:
    """The file at `path`, open; a pipe (`-`, a FIFO, `/dev/stdin`, `<(command)`) is read to its end first.

    AudioError where there is no such file, it may not be read, is a folder, a device or empty.
    """
    name = printable(path)
    with ExitStack() as stack:
        if path == STDIN:
            path = stack.enter_context(read_stdin(sys.stdin.buffer))
        try:
            if stat.S_ISFIFO(path.stat().st_mode):
                path = stack.enter_context(_spooled(stack.enter_context(path.open("rb")), name))
            # Not to wait for a writer, should a FIFO have taken the file's place since.
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            stack.callback(os.close, fd)
            mode = os.fstat(fd).st_mode
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            raise unreadable(name, error) from error
        if stat.S_ISDIR(mode):
            raise AudioError(f"{name} is a folder, not an audio file", code="is_directory")
        if not stat.S_ISREG(mode):
            raise AudioError(f"{name} is not a regular file", code="not_a_file")
        source = OpenedFile(fd, name)
        if source.size == 0:
            raise AudioError(f"{name} is empty", code="empty")
        yield source


@contextmanager
def read_stdin(stream: BinaryIO) -> Iterator[Path]:
    """A temporary file with everything that `stream` gives, for containers that need seeking; removed afterwards.

    AudioError where nothing comes or reading fails, OutputError where the temporary folder has no room.
    """
    with _spooled(stream, "standard input") as path:
        yield path


@contextmanager
def _spooled(stream: BinaryIO, name: str) -> Iterator[Path]:
    with _temporary_file(name) as spool:
        while block := _read_block(stream, name):
            try:
                spool.write(block)
                spool.flush()
            except OSError as error:
                raise _no_room(name, error) from error
        if spool.tell() == 0:
            raise AudioError(f"{name} is empty", code="empty")
        yield Path(spool.name)


def _temporary_file(name: str) -> IO[bytes]:
    try:
        return tempfile.NamedTemporaryFile(prefix="moss-")
    except OSError as error:
        raise _no_room(name, error) from error


def _read_block(stream: BinaryIO, name: str) -> bytes:
    try:
        return stream.read(_BLOCK_BYTES)
    except (OSError, ValueError) as error:  # ValueError: the stream is closed
        raise unreadable(name, error) from error


def _no_room(name: str, error: OSError) -> OutputError:
    folder = printable(Path(tempfile.gettempdir()))
    reason = error.strerror or "it cannot be written"
    return OutputError(f"{name} cannot be stored in {folder}: {reason}", hint="set TMPDIR to a folder with more space")


def unreadable(name: str, error: OSError | ValueError) -> AudioError:
    """The AudioError for a failed open or read."""
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ENOENT, errno.ENOTDIR):
        return AudioError(f"no such file: {name}", code="not_found")
    if number in (errno.EACCES, errno.EPERM):
        return AudioError(f"{name} cannot be read: permission denied", code="permission")
    if number == errno.EISDIR:
        return AudioError(f"{name} is a folder, not an audio file", code="is_directory")
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return AudioError(f"{name} cannot be read: {reason or type(error).__name__}", code="unreadable")
