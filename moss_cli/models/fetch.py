"""One file from the hub at a time, in a thread: from where it broke off to its end, tried again where that can help."""

from __future__ import annotations

import errno
import os
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import TypeVar

from moss_cli.errors import ModelError, OutputError
from moss_cli.models.hub import size_of
from moss_cli.models.hub_api import Passing, hub_host, opened
from moss_cli.models.hub_file import HubFile, Listing, damage_of

MOST_TRIES = 6  # in a row that bring nothing; chosen: with the pauses between them half a minute
LONGEST_WAIT_S = 300.0  # that the hub may ask for; the window in which it counts requests
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Pause = Callable[[float], object]  # waits so many seconds
Answer = TypeVar("Answer")


class DiskFullError(OutputError):
    """There is no room for what comes."""


@dataclass(frozen=True)
class Fetched:
    """How much nearer the whole is, which is less than nothing where bytes are given up; and how many bytes came."""

    n_bytes: int
    came: int


FetchEvent = Fetched | str | HubFile | Exception  # progress; what hinders it; a file that is done; why none will be


@dataclass(frozen=True)
class Fetcher:
    """Fetches files of a listing into a folder, in which they are called by their hashes; a file appears once it is
    whole and right. `put` takes what happens; `stop` ends everything soon; `pause` waits."""

    listing: Listing
    blobs: Path
    locks: Path
    put: Callable[[FetchEvent], None]
    stop: threading.Event
    pause: Pause

    def work(self, to_do: queue.SimpleQueue[HubFile]) -> None:
        """Fetch files until there are none left. Whatever is raised is put, and ends it."""
        try:
            while not self.stop.is_set():
                file = to_do.get_nowait()
                self.fetch(file)
                self.put(file)
        except queue.Empty:
            pass
        except OSError as error:
            self.put(_disk_error(Path(error.filename or self.blobs), error))
        except Exception as error:  # noqa: BLE001 - raised where it is taken
            self.put(error)

    def fetch(self, file: HubFile) -> None:
        """Fetch a file, unless another process does it first. Raises ModelError, OutputError."""
        blob, part = self.blobs / file.hash, self.blobs / f"{file.hash}.incomplete"
        with self._alone(file):
            if blob.is_file() and damage_of(blob, file) is None:
                self.put(Fetched(file.size - min(size_of(part), file.size), 0))
                part.unlink(missing_ok=True)
                return
            for attempt in (1, 2):
                self._fill(file, part)
                if self.stop.is_set():
                    return
                if damage_of(part, file) is None:
                    _put_in_place(part, blob)
                    return
                part.unlink()
                self.put(Fetched(-file.size, 0))
                if attempt == 1:
                    self.put(f"{file.name} came damaged; fetching it once more")
        raise ModelError(
            f"{hub_host()} gives a damaged {file.name}: it is not what its hash says",
            hint="run the same command again later",
            code="fetch_failed",
        )

    @contextmanager
    def _alone(self, file: HubFile) -> Iterator[None]:
        """Hold the lock of a file, the same that the library takes."""
        from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

        path = self.locks / f"{file.hash}.lock"
        with ExitStack() as held:
            try:
                held.enter_context(WeakFileLock(path, timeout=1))
            except TimeoutError:
                self.put(f"waiting for another process that downloads {file.name}")
                held.enter_context(WeakFileLock(path))
            yield

    def _fill(self, file: HubFile, part: Path) -> None:
        """Bring the part of a file to the file's length. Raises ModelError once that leads nowhere."""
        furthest, n_tries = size_of(part), 0
        if furthest > file.size:
            part.unlink()
            self.put(Fetched(-file.size, 0))
            furthest = 0
        while (start := size_of(part)) < file.size:
            hindrance = Passing(_cut_off(file))
            try:
                self._stream(file, part, start)
            except Passing as error:
                hindrance = error
            size = size_of(part)
            if self.stop.is_set() or size == file.size:
                return
            n_tries = 1 if size > furthest else n_tries + 1
            furthest = max(furthest, size)
            wait_for(hindrance, n_tries, MOST_TRIES, self.put, self.pause)

    def _stream(self, file: HubFile, part: Path, start: int) -> None:
        """Write what the hub gives of a file to the end of its part. Raises ModelError, OutputError, Passing."""
        with part.open("ab", buffering=0) as out, opened(self.listing, file, start) as (at, chunks):
            if at < start:
                out.truncate(0)
                self.put(Fetched(-start, 0))
            for chunk in chunks:
                kept = chunk[: file.size - at]
                _write_all(out, kept, part)
                at += len(kept)
                self.put(Fetched(len(kept), len(kept)))
                if self.stop.is_set() or at == file.size:
                    return


def patiently(ask: Callable[[], Answer], note: Callable[[str], None], pause: Pause, *, most_tries: int) -> Answer:
    """What the hub answers, asked again where that may help. Raises ModelError, UsageError."""
    n_tries = 0
    while True:
        try:
            return ask()
        except Passing as hindrance:
            n_tries += 1
            wait_for(hindrance, n_tries, most_tries, note, pause)


def wait_for(hindrance: Passing, n_tries: int, most_tries: int, note: Callable[[str], None], pause: Pause) -> None:
    """Wait before the next try, as long as the hub asks, or longer each time. Raises what hinders if that is no use."""
    wait_s = 2.0 ** (n_tries - 1) if hindrance.wait_s is None else hindrance.wait_s
    if n_tries >= most_tries or wait_s > LONGEST_WAIT_S:
        raise hindrance.error from hindrance
    note(f"{hindrance.error.message}; trying again in {wait_s:.0f} s")
    pause(wait_s)


def _cut_off(file: HubFile) -> ModelError:
    hint = "run the same command again to go on"
    return ModelError(f"{hub_host()} breaks off in {file.name}", hint=hint, code="fetch_failed")


def _write_all(out: FileIO, data: bytes, part: Path) -> None:
    """Write to a file without a buffer, so that what has come is kept if the process is killed. Raises OutputError."""
    try:
        view = memoryview(data)
        while view:
            view = view[out.write(view) :]
    except OSError as error:
        raise _disk_error(part, error) from error


def _disk_error(path: Path, error: OSError) -> OutputError:
    """An error of the disk as one of ours, so that nobody takes it for one of the network."""
    kind = DiskFullError if error.errno in _FULL else OutputError
    return kind(f"{path} cannot be written: {(error.strerror or str(error)).lower()}")


def _put_in_place(part: Path, blob: Path) -> None:
    """Give a whole file its name, once it is on the disk for good."""
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(blob)
