"""One line of the record of what moss wrote into a folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Made = Mapping[str, Any]  # what a result was made from, in the words of whoever made it


@dataclass(frozen=True)
class Written:
    """A file as it was written. `mtime_ns` None: it was about to be."""

    size: int
    mtime_ns: int | None
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Written:
        """The file at `path` as it is. Raises OSError."""
        status = path.stat()
        return cls(status.st_size, status.st_mtime_ns, sha256(path.read_bytes()))

    def is_at(self, path: Path) -> bool:
        """Whether the file at `path` is this one: size and time say so, or else its bytes."""
        try:
            status = path.stat()
            if status.st_size != self.size:
                return False
            return status.st_mtime_ns == self.mtime_ns or sha256(path.read_bytes()) == self.sha256
        except OSError:
            return False


@dataclass(frozen=True, eq=False)
class Line:
    """Files that were written together, by name. `names`: stems, and the identities that they were given to."""

    files: dict[str, Written] = field(default_factory=dict)
    made: Made | None = None
    names: dict[str, str] = field(default_factory=dict)

    def dump(self) -> bytes:
        """JSON in ASCII: names that are not UTF-8 keep their bytes as escapes."""
        files = {name: [written.size, written.mtime_ns, written.sha256] for name, written in self.files.items()}
        values = {"names": self.names, "files": files, "made": self.made}
        return json.dumps({key: value for key, value in values.items() if value}).encode() + b"\n"

    @classmethod
    def parse(cls, text: bytes) -> Line | None:
        """None for what `dump` does not give."""
        try:
            values = json.loads(text)
            files = {
                str(name): Written(int(size), None if time is None else int(time), str(sha256))
                for name, (size, time, sha256) in values.get("files", {}).items()
            }
            names = {str(stem): str(who) for stem, who in values.get("names", {}).items()}
            made = dict(values["made"]) if "made" in values else None
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            return None
        return cls(files, made, names)


def sha256(data: bytes) -> str:
    """In hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()
