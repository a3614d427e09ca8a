"""What moss wrote into a folder, so that it overwrites its own files and no others, and does nothing twice.

Kept in `DIR/.moss/outputs.jsonl`, to which runs add lines one after another. A line holds names that were given to
inputs, or files that are written together, each with size, time and SHA-256, and what they were made from. That
is written twice: before the files are put in place, without times, so that those of a run that is killed right then
are known as moss's own all the same, and when they stand. The last line about a file counts. One that is torn or of
another form is passed over.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from moss_cli.errors import MossError, OutputError
from moss_cli.output.atomic import write_atomic
from moss_cli.output.lines import Line, Made, Written, sha256
from moss_cli.output.paths import STATE_FOLDER
from moss_cli.output.terminal import one_line


class Manifest:
    """The record of one folder. `names`: stem to input identity; `lines`: a file's name to the line that it stands in.

    What runs beside this one add is seen after `refresh`, and does not become this one's own.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[str, str] = {}
        self.lines: dict[str, Line] = {}
        # What runs were about to write: each may have come to it before it was killed, and the last one not.
        self.announced: dict[str, list[Line]] = {}
        self._of_others: set[str] = set()
        self._n_lines = 0
        self._read_to = 0  # bytes
        self._inode: int | None = None

    @property
    def file(self) -> Path:
        return self.folder / STATE_FOLDER / "outputs.jsonl"

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """The record of `folder`; an empty one where there is none or it cannot be read."""
        manifest = cls(folder)
        manifest.refresh()
        manifest._of_others.clear()
        return manifest

    def refresh(self) -> None:
        """Take in what was added since."""
        try:
            status = self.file.stat()
            if (status.st_ino, status.st_size) == (self._inode, self._read_to):
                return
            with self.file.open("rb") as file:
                known = self._from_its_beginning(file.fileno())
                file.seek(self._read_to)
                added = file.read()
        except OSError:
            return
        added = added[: added.rfind(b"\n") + 1]
        self._read_to += len(added)
        lines = [line for text in added.split(b"\n") if (line := Line.parse(text))]
        for line in lines:
            self._take(line)
        keys = {key for line in lines for key in line.files} & self.lines.keys()
        self._of_others |= {k for k in keys if k not in known or known[k].files[k] != self.lines[k].files[k]}

    def _from_its_beginning(self, descriptor: int) -> dict[str, Line]:
        """Forget everything where the file is a new one. What was known until now."""
        known, status = dict(self.lines), os.fstat(descriptor)
        if status.st_ino != self._inode or status.st_size < self._read_to:
            self._inode, self._read_to, self._n_lines = status.st_ino, 0, 0
            self.names, self.lines, self.announced = {}, {}, {}
        return known

    def is_ours(self, path: Path) -> bool:
        """Whether moss wrote the file at `path`, and nobody changed it since: not runs beside this one either, but
        those of them that died in the act."""
        key = self._key(path)
        settled = [] if key in self._of_others or key not in self.lines else [self.lines[key]]
        return any(line.files[key].is_at(path) for line in (*settled, *self.announced.get(key, ())))

    def is_new(self, path: Path) -> bool:
        """Whether a run beside this one wrote the file at `path`."""
        return self._key(path) in self._of_others

    def made(self, path: Path) -> Made | None:
        """What the file at `path` was made from; None where that is not known, or it is gone or was changed."""
        key = self._key(path)
        line = self.lines.get(key)
        return line.made if line is not None and line.made is not None and line.files[key].is_at(path) else None

    def give(self, choose: Callable[[Mapping[str, str]], Mapping[str, str]]) -> None:
        """Give names to inputs while no other run does: `choose` makes of those that are taken those that it wants.

        Raises OutputError.
        """
        with self._locked():
            new = {stem: who for stem, who in choose(self.names).items() if self.names.get(stem) != who}
            if new:
                self._append(Line(names=new))

    def announce(self, outputs: Mapping[Path, bytes]) -> None:
        """Take down what is about to be written. Raises OutputError."""
        files = {self._key(path): Written(len(data), None, sha256(data)) for path, data in outputs.items()}
        with self._locked():
            self._append(Line(files))

    def wrote(self, *paths: Path, made: Made | None = None) -> None:
        """Take down files just written, and what they were made from. Raises OutputError."""
        with self._locked(), _reported():
            files = {self._key(path): Written.of(path) for path in paths}
            self._append(Line(files, made))
            self._of_others -= files.keys()

    def tidy(self) -> None:
        """Drop lines that later ones replaced, if most are. Raises OutputError."""
        if self._n_lines > 3 * len(self._live()) + 100:
            with self._locked():
                self._save()

    def forget(self, files: Iterable[str], inputs: Iterable[str]) -> None:
        """Drop what is known of files, by their names in the folder, and of the names of inputs. Raises OutputError."""
        with self._locked():
            for name in files:
                self.lines.pop(name, None)
                self.announced.pop(name, None)
            forgotten = set(inputs)
            self.names = {stem: who for stem, who in self.names.items() if who not in forgotten}
            self._save()

    def _live(self) -> list[Line]:
        announced = [line for lines in self.announced.values() for line in lines]
        return list({id(line): line for line in (*self.lines.values(), *announced)}.values())

    def _take(self, line: Line) -> None:
        self._n_lines += 1
        self.names |= line.names
        for key, written in line.files.items():
            if written.mtime_ns is None:
                self.announced.setdefault(key, []).append(line)
            else:
                self.lines[key] = line
                self.announced.pop(key, None)

    def _key(self, path: Path) -> str:
        return str(path.relative_to(self.folder))

    def _append(self, line: Line) -> None:
        text = line.dump()
        with _reported():
            descriptor = os.open(self.file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                status = os.fstat(descriptor)
                if status.st_size != self._read_to:  # the torn line of a run that was killed in the act
                    text = b"\n" + text
                _write_all(descriptor, text)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        self._inode, self._read_to = status.st_ino, status.st_size + len(text)
        self._take(line)

    def _save(self) -> None:
        """The record anew, without what is not needed."""
        lines = [Line(names=self.names)]
        for live in self._live():
            still = {k: w for k, w in live.files.items() if live in (self.lines.get(k), *self.announced.get(k, ()))}
            lines.append(Line(still, live.made))
        with _reported():
            write_atomic(self.file, b"".join(line.dump() for line in lines), overwrite=True)
            status = self.file.stat()
        self._inode, self._read_to, self._n_lines = status.st_ino, status.st_size, len(lines)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the record, in its folder made if there is none, against other runs, and know what they added."""
        lock = self.file.parent / "locks" / "record"
        try:
            lock.parent.parent.mkdir(mode=0o700, exist_ok=True)
            lock.parent.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise OutputError(f"{one_line(str(self.file.parent))} cannot be made: {error.strerror}") from error
        try:
            with suppress(OSError):  # a file system without locks
                fcntl.lockf(descriptor, fcntl.LOCK_EX)
            self.refresh()
            yield
        finally:
            os.close(descriptor)


@contextmanager
def _reported() -> Iterator[None]:
    what = "the record of what was written cannot be kept"
    try:
        yield
    except MossError as error:
        raise OutputError(f"{what}: {error.message}", code=error.code) from error
    except OSError as error:
        raise OutputError(f"{what}: {(error.strerror or str(error)).lower()}") from error


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
