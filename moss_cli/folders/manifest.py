"""What moss wrote into a folder, so that it overwrites its own files and no others, and does nothing twice.

Kept in `DIR/.moss/outputs.jsonl`, to which runs append records. A file is recorded before it is put in place: a run
that is killed in between leaves a file that is known, or none. A record therefore says which bytes may be in a file,
and the file itself whether they are. Torn or malformed records are ignored.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from moss_cli.errors import MossError, OutputError
from moss_cli.folders.kinds import check_kind
from moss_cli.folders.manifest_entry import Digest, ManifestEntry
from moss_cli.folders.names import STATE_FOLDER
from moss_cli.output.atomic import code_of, write_all, write_atomic
from moss_cli.output.terminal import one_line


class Manifest:
    """The manifest of one folder. `names`: stem to input identity; `results`: task and stem to the last record of it.

    It lies in `state`: the folder's `.moss`, unless given. What other runs append is seen after `refresh`.
    """

    def __init__(self, folder: Path, state: Path | None = None) -> None:
        self.folder, self.state = folder, state or folder / STATE_FOLDER
        self.names: dict[str, str] = {}
        self.results: dict[str, ManifestEntry] = {}
        self._records: dict[str, list[ManifestEntry]] = {}  # by file name: all that mention it
        self._of_others: set[str] = set()  # names of files that other runs recorded last
        self._n_records = 0
        self._read_to = 0  # bytes
        self._inode: int | None = None

    @property
    def file(self) -> Path:
        return self.state / "outputs.jsonl"

    @property
    def folders(self) -> list[Path]:
        """The state folder, and those that results are or will be in."""
        parents = {(self.folder / stem).parent for stem in self.names} | {self.folder}
        return [self.state, *sorted(parents, key=os.fsencode)]

    @classmethod
    def load(cls, folder: Path, state: Path | None = None) -> Manifest:
        """The manifest of `folder`; an empty one where there is none or it cannot be read."""
        manifest = cls(folder, state)
        manifest.refresh()
        manifest._of_others.clear()
        return manifest

    def refresh(self) -> None:
        """Read what was appended since. Raises OutputError where the manifest is not a regular file."""
        _check_regular(self.file)
        try:
            with self.file.open("rb") as file:  # opened each time: only then does NFS look at the file again
                status = os.fstat(file.fileno())
                if (status.st_ino, status.st_size) == (self._inode, self._read_to):
                    return
                is_another = status.st_ino != self._inode or status.st_size < self._read_to
                if is_another:  # one that was rewritten holds what is known already
                    self._forget(status.st_ino)
                file.seek(self._read_to)
                added = file.read()
        except OSError:
            return
        added = added[: added.rfind(b"\n") + 1]
        self._read_to += len(added)
        for record in filter(None, map(ManifestEntry.parse, added.split(b"\n"))):
            self._of_others |= {name for name in record.files if not is_another or not self._knows(name, record)}
            self._take(record)

    def record_of(self, path: Path) -> ManifestEntry | None:
        """The record of the file at `path` as it is now: moss wrote it, and nobody has changed it since."""
        name = self._name(path)
        return next(
            (record for record in reversed(self._records.get(name, [])) if record.files[name].is_at(path)), None
        )

    def has_written(self, path: Path) -> bool:
        """Whether there is a record of a file at `path`, whatever lies there now."""
        return self._name(path) in self._records

    def is_new(self, path: Path) -> bool:
        """Whether another run was the last to record the file at `path`, while this one was running."""
        return self._name(path) in self._of_others

    def give(self, choose: Callable[[Mapping[str, str]], Mapping[str, str]]) -> None:
        """Give names to inputs while no other run does: `choose` maps the names in use to those that it wants.

        Raises OutputError.
        """
        with self.locked():
            new = {stem: who for stem, who in choose(self.names).items() if self.names.get(stem) != who}
            if new:
                self._append(ManifestEntry(names=new))

    def announce(
        self, outputs: Mapping[Path, bytes], *, result: str | None = None, provenance: Mapping[str, Any] | None = None
    ) -> None:
        """ManifestEntry what is about to be written. Raises OutputError."""
        files = {self._name(path): Digest.of(data) for path, data in outputs.items()}
        self._add(ManifestEntry(result=result, files=files, provenance=provenance))

    def add_provenance(self, record: ManifestEntry, provenance: Mapping[str, Any]) -> None:
        """ManifestEntry that existing files also have this provenance. Raises OutputError."""
        self._add(ManifestEntry(result=record.result, files=record.files, provenance=provenance))

    def failed(self, result: str, failure: dict[str, str]) -> None:
        """ManifestEntry why an input has no result. Raises OutputError."""
        last = self.results.get(result)
        if last is None or last.failure != failure:
            self._add(ManifestEntry(result=result, failure=failure))

    def compact(self) -> None:
        """Drop replaced records, once they are most of the file. Raises OutputError."""
        if self._n_records > 3 * (len(self.results) + len(self._records)) + 100:
            with self.locked():
                self._save()

    def forget_unfinished(self) -> None:
        """Drop replaced records and all that is known of inputs without a result; the manifest must be `locked`.

        Raises OutputError.
        """
        self.results = {key: record for key, record in self.results.items() if record.failure is None}
        with_result = {(record.provenance or {}).get("input") for record in self.results.values()}
        self.names = {stem: who for stem, who in self.names.items() if who in with_result}
        self._save()

    def _knows(self, name: str, record: ManifestEntry) -> bool:
        return any(known.files[name] == record.files[name] for known in self._records.get(name, []))

    def _forget(self, inode: int) -> None:
        self._inode, self._read_to, self._n_records = inode, 0, 0
        self.names, self.results = {}, {}

    def _take(self, record: ManifestEntry) -> None:
        self._n_records += 1
        self.names |= record.names
        if record.result is not None:
            self.results[record.result] = record
        for name, digest in record.files.items():
            others = [other for other in self._records.get(name, []) if other.files[name] != digest]
            self._records[name] = [*others, record]

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self.folder))

    def _add(self, record: ManifestEntry) -> None:
        with self.locked():
            self._append(record)
            self._of_others -= record.files.keys()

    def _append(self, record: ManifestEntry) -> None:
        text = record.dump()
        with _reported():
            descriptor = os.open(self.file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                status = os.fstat(descriptor)
                if status.st_size != self._read_to:  # a record torn by a run that was killed while writing it
                    text = b"\n" + text
                try:
                    write_all(descriptor, text)
                    os.fsync(descriptor)
                except OSError:
                    with suppress(OSError):
                        os.ftruncate(descriptor, status.st_size)
                    raise
            finally:
                os.close(descriptor)
        self._inode, self._read_to = status.st_ino, status.st_size + len(text)
        self._take(record)

    def _save(self) -> None:
        """Rewrite the file without what is not needed."""
        live = {id(record): record for record in self.results.values()}
        for name, records in self._records.items():
            live |= {id(record): record for record in records if record.files[name].is_at(self.folder / name)}
        kept = [ManifestEntry(names=self.names), *sorted(live.values(), key=lambda record: record.failure is not None)]
        with _reported():
            write_atomic(self.file, b"".join(record.dump() for record in kept), overwrite=True)
            status = self.file.stat()
        self._forget(status.st_ino)
        self._read_to, self._records = status.st_size, {}
        for record in kept:
            self._take(record)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the manifest against other runs, creating its folder if needed, and read what they appended.

        Raises OutputError.
        """
        try:
            check_kind(self.state, is_folder=True)
            check_kind(self.state / "lock")
            self.state.mkdir(mode=0o700, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(self.state / "lock", flags, 0o600)
        except OSError as error:
            code = code_of(error)
            raise OutputError(f"{one_line(str(self.state))} cannot be made: {error.strerror}", code=code) from error
        try:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            self.refresh()
            yield
        finally:
            os.close(descriptor)


def _check_regular(file: Path) -> None:
    with suppress(OSError):  # there is none yet
        if not stat.S_ISREG(file.lstat().st_mode):
            what = f"{one_line(str(file))} should be a regular file: moss keeps its list of written files there"
            raise OutputError(
                what, hint="move it away; moss will then treat existing results as files it did not write"
            )


@contextmanager
def _reported() -> Iterator[None]:
    what = "the list of written files cannot be saved"
    try:
        yield
    except MossError as error:
        raise OutputError(f"{what}: {error.message}", code=error.code) from error
    except OSError as error:
        raise OutputError(f"{what}: {(error.strerror or str(error)).lower()}", code=code_of(error)) from error
