"""What moss wrote into a folder, so that it overwrites its own files and no others, and does nothing twice.

Kept in `DIR/.moss/outputs.jsonl`, to which runs add lines one after another. What is to be written is taken down
before it is put in place: a run that is killed in between leaves a file that is known for what it is, or none. So
a line says what may stand there, and the file's bytes whether it does. A line that is torn, or of another form, is
passed over.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from moss_cli.errors import MossError, OutputError
from moss_cli.folders.kinds import check_kind
from moss_cli.folders.lines import Digest, Line, Made
from moss_cli.folders.names import STATE_FOLDER
from moss_cli.output.atomic import code_of, write_all, write_atomic
from moss_cli.output.terminal import one_line


class Manifest:
    """The record of one folder. `names`: stem to input identity; `results`: stem and task to the last line about it.

    What runs beside this one add is seen after `refresh`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[str, str] = {}
        self.results: dict[str, Line] = {}
        self._lines: dict[str, list[Line]] = {}  # by file name: all that tell of it
        self._of_others: set[str] = set()  # names of files that runs beside this one took down last
        self._n_lines = 0
        self._read_to = 0  # bytes
        self._inode: int | None = None

    @property
    def state(self) -> Path:
        return self.folder / STATE_FOLDER

    @property
    def file(self) -> Path:
        return self.state / "outputs.jsonl"

    @property
    def folders(self) -> list[Path]:
        """That of the state, and those in which results lie or shall lie."""
        parents = {(self.folder / stem).parent for stem in self.names} | {self.folder}
        return [self.state, *sorted(parents, key=os.fsencode)]

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """The record of `folder`; an empty one where there is none or it cannot be read."""
        manifest = cls(folder)
        manifest.refresh()
        manifest._of_others.clear()
        return manifest

    def refresh(self) -> None:
        """Take in what was added since. Raises OutputError where the record is no regular file."""
        _check_regular(self.file)
        try:
            with self.file.open("rb") as file:  # opened each time: NFS looks anew at a file only then
                status = os.fstat(file.fileno())
                if (status.st_ino, status.st_size) == (self._inode, self._read_to):
                    return
                is_another = status.st_ino != self._inode or status.st_size < self._read_to
                if is_another:  # one that was written anew tells what is known already
                    self._forget(status.st_ino)
                file.seek(self._read_to)
                added = file.read()
        except OSError:
            return
        added = added[: added.rfind(b"\n") + 1]
        self._read_to += len(added)
        for line in filter(None, map(Line.parse, added.split(b"\n"))):
            self._of_others |= {name for name in line.files if not is_another or not self._knows(name, line)}
            self._take(line)

    def line_of(self, path: Path) -> Line | None:
        """The line that tells of the file as it stands at `path`: moss wrote it, and nobody changed it since."""
        name = self._name(path)
        return next((line for line in reversed(self._lines.get(name, [])) if line.files[name].is_at(path)), None)

    def is_new(self, path: Path) -> bool:
        """Whether it is a run beside this one that last took down the file at `path`."""
        return self._name(path) in self._of_others

    def give(self, choose: Callable[[Mapping[str, str]], Mapping[str, str]]) -> None:
        """Give names to inputs while no other run does: `choose` makes of those that are taken those that it wants.

        Raises OutputError.
        """
        with self.locked():
            new = {stem: who for stem, who in choose(self.names).items() if self.names.get(stem) != who}
            if new:
                self._append(Line(names=new))

    def announce(self, outputs: Mapping[Path, bytes], *, result: str | None = None, made: Made | None = None) -> None:
        """Take down what is about to be written. Raises OutputError."""
        files = {self._name(path): Digest.of(data) for path, data in outputs.items()}
        self._add(Line(result=result, files=files, made=made))

    def again(self, line: Line, made: Made) -> None:
        """Take down that files which stand are also what is `made` from this. Raises OutputError."""
        self._add(Line(result=line.result, files=line.files, made=made))

    def failed(self, result: str, failure: dict[str, str]) -> None:
        """Take down why an input has no result. Raises OutputError."""
        last = self.results.get(result)
        if last is None or last.failure != failure:
            self._add(Line(result=result, failure=failure))

    def tidy(self) -> None:
        """Drop lines that later ones replaced, if most are. Raises OutputError."""
        if self._n_lines > 3 * (len(self.results) + len(self._lines)) + 100:
            with self.locked():
                self._save()

    def tidy_all(self) -> None:
        """While it is `locked`: drop them, and all that is known of inputs without a result. Raises OutputError."""
        self.results = {key: line for key, line in self.results.items() if line.failure is None}
        with_result = {(line.made or {}).get("input") for line in self.results.values()}
        self.names = {stem: who for stem, who in self.names.items() if who in with_result}
        self._save()

    def _knows(self, name: str, line: Line) -> bool:
        return any(known.files[name] == line.files[name] for known in self._lines.get(name, []))

    def _forget(self, inode: int) -> None:
        self._inode, self._read_to, self._n_lines = inode, 0, 0
        self.names, self.results = {}, {}

    def _take(self, line: Line) -> None:
        self._n_lines += 1
        self.names |= line.names
        if line.result is not None:
            self.results[line.result] = line
        for name, digest in line.files.items():
            others = [other for other in self._lines.get(name, []) if other.files[name] != digest]
            self._lines[name] = [*others, line]

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self.folder))

    def _add(self, line: Line) -> None:
        with self.locked():
            self._append(line)
            self._of_others -= line.files.keys()

    def _append(self, line: Line) -> None:
        text = line.dump()
        with _reported():
            descriptor = os.open(self.file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                status = os.fstat(descriptor)
                if status.st_size != self._read_to:  # the torn line of a run that was killed in the act
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
        self._take(line)

    def _save(self) -> None:
        """The record anew, without what is not needed."""
        live = {id(line): line for line in self.results.values()}
        for name, lines in self._lines.items():
            live |= {id(line): line for line in lines if line.files[name].is_at(self.folder / name)}
        kept = [Line(names=self.names), *sorted(live.values(), key=lambda line: line.failure is not None)]
        with _reported():
            write_atomic(self.file, b"".join(line.dump() for line in kept), overwrite=True)
            status = self.file.stat()
        self._forget(status.st_ino)
        self._read_to, self._lines = status.st_size, {}
        for line in kept:
            self._take(line)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the record, in its folder made if there is none, against other runs, and know what they added.

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
            what = f"{one_line(str(file))} is no regular file, and the record of what was written should be one"
            raise OutputError(what, hint="move it away; moss then takes the results for files that it did not write")


@contextmanager
def _reported() -> Iterator[None]:
    what = "the record of what was written cannot be kept"
    try:
        yield
    except MossError as error:
        raise OutputError(f"{what}: {error.message}", code=error.code) from error
    except OSError as error:
        raise OutputError(f"{what}: {(error.strerror or str(error)).lower()}", code=code_of(error)) from error
