"""Downloading a checkpoint into the hub's cache: several files at once, gone on with where it broke off, and accepted
only once each file has the hash that the hub gives for it.

The library's own download begins a file anew after it was killed, and looks only at its length (huggingface_hub issue
4196). The layout of the cache, its locks and the HTTP client are the library's.
"""

from __future__ import annotations

import os
import queue
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from moss_cli.errors import ModelError, MossError, OutputError, amount
from moss_cli.models.fetch import DiskFullError, Fetched, Fetcher, FetchEvent, Pause, patiently
from moss_cli.models.hub import COMMIT, MAIN, commit_of, hub_cache, repository_folder, repository_name, size_of
from moss_cli.models.hub_api import list_files
from moss_cli.models.hub_file import Damage, HubFile, Listing, damage_of
from moss_cli.models.pulled import PullRecord, known_listing, read_record, write_record

MARGIN_BYTES = 50_000_000  # that stay free on the disk; chosen
N_TOGETHER = 4  # files; chosen: the released models have three or four large ones
OTHER_DISK = "export HF_HUB_CACHE=FOLDER"

Stage = Literal["checking", "downloading"]
Tell = Callable[[Stage, int, int], None]  # bytes done, of how many
Note = Callable[[str], None]


@dataclass(frozen=True)
class Pulled:
    """A checkpoint that is on this machine. n_fetched: the bytes that came over the network. mended: what was there
    and was not what the hub has. unasked: why the hub was not asked whether there is a newer one, if it should be."""

    listing: Listing
    folder: Path
    n_fetched: int
    mended: tuple[Damage, ...] = ()
    unasked: MossError | None = None


@dataclass(frozen=True)
class _Cached:
    """A repository's place in the cache."""

    listing: Listing
    root: Path

    @property
    def snapshot(self) -> Path:
        return self.root / "snapshots" / self.listing.commit

    @property
    def blobs(self) -> Path:
        return self.root / "blobs"

    def find(self, file: HubFile) -> Path | None:
        """Where a file lies, if it is there, right or wrong."""
        return next((path for path in (self.snapshot / file.name, self.blobs / file.hash) if path.is_file()), None)

    def part(self, file: HubFile) -> Path:
        """Where the beginning of a file lies that was not fetched to its end."""
        return self.blobs / f"{file.hash}.incomplete"


def pull(
    hub_id: str,
    revision: str | None,
    *,
    tell: Tell = lambda stage, n_done, n_bytes: None,
    note: Note = lambda text: None,
    pause: Pause | None = None,
    n_together: int = N_TOGETHER,
) -> Pulled:
    """Bring a checkpoint at a revision, None for the main one, onto this machine, whole and as the hub has it.

    What is there already is read and compared, and fetched again where it is damaged. `tell` is given the progress,
    `note` what hinders it; `pause` waits before the hub is asked again. Raises ModelError, OutputError, UsageError.
    """
    stop = threading.Event()
    pause = pause or stop.wait
    listing, unasked = _listed(hub_id, revision, note, pause)
    cached = _Cached(listing, repository_folder(hub_id))
    with _reported(cached.root):
        missing, mended = _missing(cached, tell)
        if missing:
            _check_room(cached, missing)
        _keep(listing, fetched=bool(missing))
        n_fetched = _fetch_all(cached, missing, tell, note, stop, pause, n_together) if missing else 0
        _accept(cached, revision)
    return Pulled(listing, cached.snapshot, n_fetched, mended, unasked)


def _listed(hub_id: str, revision: str | None, note: Note, pause: Pause) -> tuple[Listing, MossError | None]:
    """What the revision consists of. A commit never changes: what is known of it need not be asked again. Of anything
    else, what was pulled last if the hub cannot be asked."""
    if revision is not None and COMMIT.fullmatch(revision) and (record := read_record(hub_id, revision)):
        return record.listing, None
    try:
        return patiently(lambda: list_files(hub_id, revision), note, pause, most_tries=3), None
    except ModelError as error:
        commit = commit_of(hub_id, revision)
        known = known_listing(hub_id, commit) if commit else None
        if known is None or not all(map(_Cached(known, repository_folder(hub_id)).find, known.files)):
            raise
        return known, error


def _missing(cached: _Cached, tell: Tell) -> tuple[list[HubFile], tuple[Damage, ...]]:
    """The files that are to be fetched, and what was wrong with those that were there. They are removed."""
    found = {file: path for file in cached.listing.files if (path := cached.find(file))}
    n_bytes, n_done = sum(file.size for file in found), 0
    damages = []

    def more(n_read: int) -> None:
        nonlocal n_done
        n_done += n_read
        tell("checking", n_done, n_bytes)

    for file, path in found.items():
        if damage := damage_of(path, file, more):
            damages.append(damage)
            if path.resolve().parent == cached.blobs.resolve():  # what a link leads to elsewhere is not ours
                path.resolve().unlink()
            path.unlink(missing_ok=True)
    wrong = {damage.name for damage in damages}
    return [file for file in cached.listing.files if file not in found or file.name in wrong], tuple(damages)


def _check_room(cached: _Cached, missing: Sequence[HubFile]) -> None:
    """Raise OutputError, saying how much is missing, if the files do not fit on the disk."""
    needed = sum(file.size - min(size_of(cached.part(file)), file.size) for file in missing) + MARGIN_BYTES
    there = next(one for one in (cached.root, *cached.root.parents) if one.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise _no_room(cached.listing, needed, free)


def _no_room(listing: Listing, needed: int, free: int) -> OutputError:
    return OutputError(
        f"the disk is full: {listing.hub_id} needs {amount(needed)} more in {hub_cache()}, which has {amount(free)}: "
        f"{amount(needed - free)} are missing",
        hint=f"make room and run the same command again, or use another disk: {OTHER_DISK}",
    )


def _keep(listing: Listing, *, fetched: bool) -> None:
    """Write down what the files should be, and whether moss fetched any of them, then or now."""
    before = read_record(listing.hub_id, listing.commit)
    record = PullRecord(listing, fetched or (before is not None and before.fetched))
    if record != before:
        write_record(record)


def _fetch_all(
    cached: _Cached,
    missing: Sequence[HubFile],
    tell: Tell,
    note: Note,
    stop: threading.Event,
    pause: Pause,
    n_together: int,
) -> int:
    """Fetch files, the largest first, and return how many bytes came. Everything is told from this thread.

    The threads are not waited for once one has failed, or this one is interrupted: a part of a file is gone on with.
    """
    listing = cached.listing
    cached.blobs.mkdir(parents=True, exist_ok=True)
    locks = hub_cache() / ".locks" / repository_name(listing.hub_id)
    locks.mkdir(parents=True, exist_ok=True)
    events: queue.SimpleQueue[FetchEvent] = queue.SimpleQueue()
    fetcher = Fetcher(listing, cached.blobs, locks, events.put, stop, pause)
    to_do: queue.SimpleQueue[HubFile] = queue.SimpleQueue()
    for file in sorted(missing, key=lambda one: -one.size):
        to_do.put(file)
    n_done = listing.size - sum(file.size - min(size_of(cached.part(file)), file.size) for file in missing)
    tell("downloading", n_done, listing.size)
    n_fetched, n_left = 0, len(missing)
    try:
        for _ in range(min(n_together, n_left)):
            threading.Thread(target=fetcher.work, args=(to_do,), daemon=True).start()
        while n_left:
            match events.get():
                case Fetched(n_bytes, came):
                    n_done, n_fetched = n_done + n_bytes, n_fetched + came
                    tell("downloading", n_done, listing.size)
                case str(text):
                    note(text)
                case HubFile():
                    n_left -= 1
                case DiskFullError():
                    raise _no_room(listing, listing.size - n_done, shutil.disk_usage(cached.blobs).free)
                case Exception() as error:
                    raise error
    finally:
        stop.set()
    return n_fetched


def _accept(cached: _Cached, revision: str | None) -> None:
    """Give the files their names, the configuration last: without it there is no checkpoint. All is already right
    where another tool has pulled the same; then nothing is written."""
    cached.snapshot.mkdir(parents=True, exist_ok=True)
    for file in sorted(cached.listing.files, key=lambda one: one.name == "config.json"):
        path = cached.snapshot / file.name
        if not path.is_file():
            _link(cached.blobs / file.hash, path)
    if revision is None or not COMMIT.fullmatch(revision):
        _write_reference(cached.root / "refs" / (revision or MAIN), cached.listing.commit)


def _link(blob: Path, path: Path) -> None:
    """Have a name lead to a file; on a disk without links the file itself goes there, as the library does it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    try:
        draft.symlink_to(os.path.relpath(blob, path.parent))
    except OSError:
        blob.replace(path)
        return
    draft.replace(path)


def _write_reference(path: Path, commit: str) -> None:
    if path.is_file() and path.read_text(encoding="ascii", errors="replace").strip() == commit:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    draft.write_text(commit, encoding="ascii")
    draft.replace(path)


@contextmanager
def _reported(root: Path) -> Iterator[None]:
    """What the disk refuses, as one of our errors."""
    try:
        yield
    except OSError as error:
        where = error.filename or root
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"{where} cannot be written: {reason}", hint=f"use another folder: {OTHER_DISK}") from error
