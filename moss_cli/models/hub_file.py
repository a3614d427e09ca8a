"""A checkpoint's files as the hub has them: which ones are wanted, and their hashes."""

from __future__ import annotations

import errno
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from hashlib import _Hash

# Weights, configuration and tokenizer; never code, never pickles, and nothing in folders.
WANTED = ("*.json", "*.safetensors", "merges.txt", "*.jinja", "README.md", "LICENSE*")
HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")

_BLOCK = 1 << 20  # bytes read at a time
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")


@dataclass(frozen=True)
class HubFile:
    """A file of a checkpoint. hash: the SHA-256 of a large one (64 digits), the SHA-1 that git has of a small one."""

    name: str
    size: int
    hash: str


@dataclass(frozen=True)
class Listing:
    """The files of a hub model at a commit that a checkpoint consists of."""

    hub_id: str
    commit: str
    files: tuple[HubFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return sum(file.size for file in self.files)


Fault = Literal["missing", "size", "content"]


@dataclass(frozen=True)
class Damage:
    """What is wrong with a file on this machine. detail: a size that is wrong, or why it cannot be read."""

    name: str
    fault: Fault
    detail: str = ""

    def __str__(self) -> str:
        if self.fault == "missing":
            return f"{self.name}  missing"
        if self.fault == "size":
            return f"{self.name}  damaged: {self.detail}"
        return f"{self.name}  damaged: {self.detail or 'its content is not what the hub has'}"


def is_wanted(name: str) -> bool:
    """Whether a file of a repository belongs to a checkpoint."""
    return "/" not in name and any(fnmatchcase(name, pattern) for pattern in WANTED)


def is_pickle(name: str) -> bool:
    """Whether a file may hold weights that are never read: loading them runs code."""
    return name.endswith(_PICKLES)


def damage_of(path: Path, file: HubFile, tell: Callable[[int], None] = lambda n_bytes: None) -> Damage | None:
    """What is wrong with a file, None if it is what the hub has. `tell` is given the bytes read, as they are."""
    hasher = _hasher(file)
    try:
        size = path.stat().st_size
        if size != file.size:
            return Damage(file.name, "size", f"{size} of {file.size} bytes")
        with path.open("rb", buffering=0) as stream:
            while block := stream.read(_BLOCK):
                hasher.update(block)
                tell(len(block))
    except FileNotFoundError:
        return Damage(file.name, "missing")
    except OSError as error:
        if error.errno == errno.ENOTDIR:
            return Damage(file.name, "missing")
        return Damage(file.name, "content", f"it cannot be read: {(error.strerror or str(error)).lower()}")
    return None if hasher.hexdigest() == file.hash else Damage(file.name, "content")


def _hasher(file: HubFile) -> _Hash:
    """What gives a file's hash once it has seen its bytes."""
    if len(file.hash) == 64:
        return hashlib.sha256()
    # Source: Git's book, "Git Internals - Git Objects": a header, and then the content.
    return hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
