"""Whether an existing result is what a job would give again: the same input, the same job."""

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
from moss_cli.audio.source import open_file
from moss_cli.errors import AudioError
from moss_cli.models.registry import Resolved
from moss_cli.run.job import Job
from moss_cli.schema import Envelope
from moss_cli.tasks.reading.task import Task

DoneStatus = Literal["ok", "partial"]  # of a result that exists
SkipStatus = Literal["ok", "partial", "kept"]  # "kept": what lies in the place of the result is not for moss to replace

# These decide how fast an answer comes, or whether there is one, and not which. Any new field of Job counts.
_IRRELEVANT = {"device", "batch_size", "max_duration_s"}
_SEPARATE = {"task", "model", "dtype"}
_FOUR_BIT = {"nf4", "int4"}  # what 4bit turns out to be


@dataclass(frozen=True)
class FileStat:
    """What the file system says of a file without reading it."""

    size: int
    mtime_ns: int
    inode: int


def file_stat(path: Path) -> FileStat | None:
    """None for anything but a regular file: nothing says whether a pipe would give the same again."""
    try:
        status = path.stat()
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return None
    return FileStat(status.st_size, status.st_mtime_ns, status.st_ino) if stat.S_ISREG(status.st_mode) else None


@dataclass(frozen=True)
class JobFingerprint:
    """What a job does to every input. `digest` covers all that decides the answers, except the weights' dtype."""

    task: str
    digest: str
    dtype: str  # as asked for
    device: str  # as asked for

    @classmethod
    def of(cls, job: Job) -> JobFingerprint:
        left_out = _IRRELEVANT | _SEPARATE
        values = {field.name: getattr(job, field.name) for field in fields(job) if field.name not in left_out}
        values |= {"chunk_s": job.longest_s, "sampling": asdict(job.sampling), "moss": moss_cli.__version__}
        values |= {"task": _task_values(job.task), "model": _model_values(job.model)}
        digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode(errors="surrogateescape")).hexdigest()
        return cls(job.task.name, digest, job.dtype, job.device)


@dataclass(frozen=True)
class Provenance:
    """What a result was made from, and its status; kept in the folder's manifest as JSON.

    `work` is the digest of the job's fingerprint, `dtype` the dtype that was asked for and the one that was used,
    `layout` the settings for the lines of its files, `look` what the file system said of the input.
    """

    input: str
    task: str
    work: str
    dtype: tuple[str, str]
    layout: tuple[int | None, ...]
    look: FileStat
    sha256: str
    status: DoneStatus

    @classmethod
    def of(
        cls,
        envelope: Envelope,
        job: JobFingerprint,
        input_id: str,
        seen: FileStat | None,
        layout: tuple[int | None, ...] = (),
    ) -> Provenance | None:
        """`seen` was taken before the input was opened: if the file has changed since, its hash decides next time.

        None for a result that could not be recognised again.
        """
        sha256 = envelope.input.sha256 if envelope.input else None
        if seen is None or sha256 is None or envelope.status == "error":
            return None
        dtype = (job.dtype, envelope.model.dtype)
        return cls(input_id, job.task, job.digest, dtype, layout, seen, sha256, envelope.status)

    def is_of(self, job: JobFingerprint, layout: tuple[int | None, ...] = ()) -> bool:
        """Whether the same was asked for. `--dtype auto` accepts any dtype."""
        same = (self.task, self.work, self.layout) == (job.task, job.digest, layout)
        return same and (job.dtype in ("auto", *self.dtype) or (job.dtype == "4bit" and self.dtype[1] in _FOUR_BIT))

    def is_from(self, path: Path, seen: FileStat, *, checksum: bool) -> bool:
        """Whether the input is unchanged, by size, time and inode, else (with `checksum` always) by its bytes."""
        if seen == self.look and not checksum:
            return True
        return seen.size == self.look.size and _sha256_of(path) == self.sha256

    def seen_as(self, seen: FileStat) -> Provenance:
        """The same, for an input that was touched or moved but has the same bytes."""
        return replace(self, look=seen)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any] | None) -> Provenance | None:
        """None for anything that `as_json` does not give."""
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
                FileStat(*(int(values["look"][field.name]) for field in fields(FileStat))),
                str(values["sha256"]),
                "ok" if values["status"] == "ok" else "partial",
            )
        except (KeyError, TypeError, ValueError, OverflowError):
            return None


def _sha256_of(path: Path) -> str | None:
    """Hexadecimal SHA-256 of a file's bytes; None where it cannot be read."""
    try:
        with open_file(path) as file:
            return file.sha256()
    except AudioError:
        return None


def _task_values(task: Task[Any]) -> dict[str, Any]:
    return {"name": task.name, "questions": [asdict(question) for question in task.questions], "params": task.params}


def _model_values(model: Resolved) -> list[Any]:
    """A model's name and revision; without a revision also its files, which may be trained further."""
    named: list[Any] = [model.entry.name, model.revision]
    if model.checkpoint is None:  # of a server's model nothing but its name is known
        return named
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
