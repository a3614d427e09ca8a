"""One record of the manifest of an output folder: a line of JSON."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Digest:
    """Identifies the bytes of a file."""

    size: int
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> Digest:
        return cls(len(data), hashlib.sha256(data).hexdigest())

    def is_at(self, path: Path) -> bool:
        """Whether the file at `path` has these bytes."""
        try:
            status = path.stat()
            is_like_it = stat.S_ISREG(status.st_mode) and status.st_size == self.size  # reading a FIFO would block
            return is_like_it and Digest.of(path.read_bytes()) == self
        except OSError:
            return False


@dataclass(frozen=True, eq=False)
class ManifestEntry:
    """Stems that were given to identities; or what came of one input: `files` that are written together, by name, and
    their `provenance`, or its `failure`. `result` is that input's task and stem."""

    names: dict[str, str] = field(default_factory=dict)
    result: str | None = None
    files: dict[str, Digest] = field(default_factory=dict)
    provenance: Mapping[str, Any] | None = None
    failure: dict[str, str] | None = None

    def dump(self) -> bytes:
        """JSON in ASCII: names that are not UTF-8 keep their bytes as escapes."""
        files = {name: [digest.size, digest.sha256] for name, digest in self.files.items()}
        values = {"names": self.names, "result": self.result, "files": files, "made": self.provenance}
        values["failure"] = self.failure
        return json.dumps({key: value for key, value in values.items() if value}).encode() + b"\n"

    @classmethod
    def parse(cls, text: bytes) -> ManifestEntry | None:
        """None for what `dump` does not give."""
        try:
            values = json.loads(text)
            _check_names(values)
            return cls(
                _texts(values.get("names", {})),
                None if values.get("result") is None else str(values["result"]),
                {str(name): Digest(int(size), str(sha256)) for name, (size, sha256) in values.get("files", {}).items()},
                dict(values["made"]) if "made" in values else None,
                _texts(values["failure"]) if "failure" in values else None,
            )
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            return None


def _check_names(values: Any) -> None:
    """Raise ValueError for text that cannot be part of a path: it holds a NUL, or has no bytes."""
    if isinstance(values, str):
        os.fsencode(values)
        if "\0" in values:
            raise ValueError("a NUL")
    elif isinstance(values, dict | list):
        for one in (*values, *values.values()) if isinstance(values, dict) else values:
            _check_names(one)


def result_key(task: str, stem: str) -> str:
    """The name of a task's result in the manifest: `transcribe talk`."""
    return f"{task} {stem}"


def _texts(values: Mapping[Any, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in values.items()}
