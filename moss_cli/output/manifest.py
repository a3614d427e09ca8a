"""What moss wrote into a folder, so that it overwrites its own files and no others.

Kept in `DIR/.moss/outputs.json`: the input that each name was given to, and size and time of each
file as it was written. Runs that write into one folder at once add to the record one after another.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from moss_cli.errors import MossError, OutputError
from moss_cli.output.atomic import write_atomic
from moss_cli.output.paths import STATE_FOLDER
from moss_cli.output.terminal import one_line


@dataclass
class Manifest:
    """The record of one folder. `names`: stem to input identity; `files`: name to [size, mtime_ns]."""

    folder: Path
    names: dict[str, str] = field(default_factory=dict)
    files: dict[str, list[int]] = field(default_factory=dict)

    @property
    def _file(self) -> Path:
        return self.folder / STATE_FOLDER / "outputs.json"

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """The record of `folder`; an empty one where there is none or it cannot be understood."""
        manifest = cls(folder)
        try:
            values = json.loads(manifest._file.read_text(encoding="utf-8", errors="surrogateescape"))
            names = {str(k): str(v) for k, v in values["names"].items()}
            files = {str(k): [int(v[0]), int(v[1])] for k, v in values["files"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
            return manifest
        manifest.names, manifest.files = names, files
        return manifest

    def is_ours(self, path: Path) -> bool:
        """Whether moss wrote the file at `path`, and nobody changed it since."""
        try:
            status = path.stat()
        except OSError:
            return False
        return self.files.get(self._key(path)) == [status.st_size, status.st_mtime_ns]

    def wrote(self, path: Path, *, name: tuple[str, str] | None = None) -> None:
        """Take down a file just written, with the stem that was given to an input's identity. Raises OutputError."""
        status = path.stat()
        self.files[self._key(path)] = [status.st_size, status.st_mtime_ns]
        if name is not None:
            self.names[name[0]] = name[1]
        with self._locked():
            # What runs beside this one have written is kept in the record, and does not become this one's own.
            record = Manifest.load(self.folder)
            record.files[self._key(path)] = self.files[self._key(path)]
            record.names |= dict([name] if name is not None else [])
            record._save()

    def _key(self, path: Path) -> str:
        return str(path.relative_to(self.folder))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the folder of the record, made if there is none, against other runs."""
        folder = self._file.parent
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise OutputError(f"{one_line(str(folder))} cannot be made: {error.strerror}") from error
        try:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _save(self) -> None:
        values = json.dumps({"names": self.names, "files": self.files}, indent=0)
        try:
            write_atomic(self._file, values.encode(), overwrite=True)
        except MossError as error:
            raise OutputError(f"the record of what was written cannot be kept: {error.message}") from error
