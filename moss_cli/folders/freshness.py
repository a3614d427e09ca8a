"""Whether a result that stands is the one that a job would give again: same input, same work."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import moss_cli
from moss_cli.audio.source import open_source
from moss_cli.errors import AudioError
from moss_cli.models.registry import Resolved
from moss_cli.run.job import Job
from moss_cli.schema import Envelope
from moss_cli.tasks.reading.task import Task

Standing = Literal["ok", "partial"]  # the status of a result that stands already

# What decides how fast an answer comes, or whether one is given at all, and not which. A new field of Job counts.
_NO_MATTER = {"device", "batch_size", "max_duration_s"}
_OF_ITS_OWN = {"task", "model", "dtype"}


@dataclass(frozen=True)
class Look:
    """What the file system says of a file without reading it."""

    size: int
    mtime_ns: int
    inode: int


def look(path: Path) -> Look | None:
    """None for what is no regular file: nothing says whether a pipe gives the same again."""
    try:
        status = path.stat()
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return None
    return Look(status.st_size, status.st_mtime_ns, status.st_ino) if stat.S_ISREG(status.st_mode) else None


@dataclass(frozen=True)
class Work:
    """What a job does to every input. `digest` stands for all that decides the answers, but for the weights' dtype."""

    task: str
    digest: str
    dtype: str  # as asked for
    device: str  # as asked for

    @classmethod
    def of(cls, job: Job) -> Work:
        left_out = _NO_MATTER | _OF_ITS_OWN
        values = {field.name: getattr(job, field.name) for field in fields(job) if field.name not in left_out}
        values |= {"chunk_s": job.longest_s, "sampling": asdict(job.sampling), "moss": moss_cli.__version__}
        values |= {"task": _asked(job.task), "model": _weights(job.model)}
        digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode(errors="surrogateescape")).hexdigest()
        return cls(job.task.name, digest, job.dtype, job.device)


@dataclass(frozen=True)
class Made:
    """What a result was made from, and how it came out; kept in the output folder's record as JSON.

    `layout` is that of the files' lines.
    """

    input: str
    task: str
    work: str
    dtype: tuple[str, str]  # as asked for, as the weights were held
    layout: tuple[int | None, ...]
    look: Look
    sha256: str
    status: Standing

    @classmethod
    def by(
        cls, work: Work, input_id: str, seen: Look | None, envelope: Envelope, layout: tuple[int | None, ...] = ()
    ) -> Made | None:
        """`seen` from before the input was opened: if it changed since, the hash decides next time.

        None for what could not be recognised again.
        """
        sha256 = envelope.input.sha256 if envelope.input else None
        if seen is None or sha256 is None or envelope.status == "error":
            return None
        dtype = (work.dtype, envelope.model.dtype)
        return cls(input_id, work.task, work.digest, dtype, layout, seen, sha256, envelope.status)

    def is_of(self, work: Work, layout: tuple[int | None, ...] = ()) -> bool:
        """Whether the same was asked. `--dtype auto` takes what it finds."""
        same = (self.task, self.work, self.layout) == (work.task, work.digest, layout)
        return same and (work.dtype == "auto" or work.dtype in self.dtype)

    def is_from(self, path: Path, seen: Look, *, checksum: bool) -> bool:
        """Whether the input is what it was. Times and inode say so, or else, and always with `checksum`, its bytes."""
        if seen == self.look and not checksum:
            return True
        return seen.size == self.look.size and _sha256_of(path) == self.sha256

    def seen_as(self, seen: Look) -> Made:
        """The same, of an input that looks otherwise but is the same."""
        return replace(self, look=seen)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any] | None) -> Made | None:
        """None for what is not what `as_json` gives."""
        if values is None:
            return None
        try:
            asked, used = values["dtype"]
            return cls(
                str(values["input"]),
                str(values["task"]),
                str(values["work"]),
                (str(asked), str(used)),
                tuple(None if n is None else int(n) for n in values["layout"]),
                Look(*(int(values["look"][field.name]) for field in fields(Look))),
                str(values["sha256"]),
                "ok" if values["status"] == "ok" else "partial",
            )
        except (KeyError, TypeError, ValueError, OverflowError):
            return None


def _sha256_of(path: Path) -> str | None:
    """Hexadecimal SHA-256 of a file's bytes; None where it cannot be read."""
    try:
        with open_source(path) as source:
            return source.sha256()
    except AudioError:
        return None


def _asked(task: Task) -> dict[str, Any]:
    return {"name": task.name, "questions": [asdict(question) for question in task.questions], "params": task.params}


def _weights(model: Resolved) -> list[Any]:
    """A model by its name and revision; one that has no revision by its files as well, which may be trained on."""
    named: list[Any] = [model.entry.name, model.revision]
    is_packaged = Path(moss_cli.__file__).parent in model.folder.parents  # moss's version stands for it
    if model.revision:
        return named
    return [*named, sorted((name, size) if is_packaged else (name, size, time) for name, size, time in _files(model))]


def _files(model: Resolved) -> Iterator[tuple[str, int, int]]:
    with os.scandir(model.folder) as entries:
        for entry in entries:
            if entry.name.endswith((".safetensors", ".json", ".txt")) and entry.is_file():
                status = entry.stat()
                yield entry.name, status.st_size, status.st_mtime_ns
