"""Results in an output folder, which several runs may share; each input is done once."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from pathlib import Path

from moss_cli.errors import OutputError, UsageError
from moss_cli.folders.claims import Claims
from moss_cli.folders.freshness import FileStat, JobFingerprint, Provenance, SkipStatus, file_stat
from moss_cli.folders.journal import UNFINISHED, FileJournal
from moss_cli.folders.leftovers import remove_leftovers
from moss_cli.folders.manifest import Manifest
from moss_cli.folders.manifest_entry import ManifestEntry, result_key
from moss_cli.folders.names import PlannedOutput, plan
from moss_cli.folders.runs import RunMarker, forget_dead_runs
from moss_cli.folders.single_files import files_elsewhere
from moss_cli.output.atomic import check_writable, write_atomic
from moss_cli.output.layout import Layout
from moss_cli.output.links import Place
from moss_cli.output.terminal import one_line
from moss_cli.run.inputs import Input, identity
from moss_cli.schema import Envelope


@dataclass(frozen=True)
class Redo:
    """What is done again: with `force` everything; `checksum` reads inputs to see whether they have changed."""

    force: bool = False
    checksum: bool = False


class FolderWriter:
    """A file for each input and format, in a folder that mirrors the tree of the inputs.

    The `Manifest` says what moss wrote; an input belongs to the run that has claimed it; a journal keeps what is found
    of its chunks until its files are in place. Raises OutputError and UsageError.
    """

    resumes = True

    def __init__(
        self,
        folder: Path,
        formats: Sequence[str],
        inputs: Sequence[Input],
        job: JobFingerprint,
        *,
        layout: Layout,
        redo: Redo,
        on_warning: Callable[[str], None],
    ) -> None:
        self.folder, self.job, self.redo = folder, job, redo
        self.layout, self._layout_values = layout, layout.values
        self._on_warning, self._journals_fail = on_warning, False
        self._seen: dict[str, FileStat | None] = {}
        self._outputs: dict[str, PlannedOutput] = {}
        self._kept: dict[str, dict[Path, str]] = {}
        _make_folder(folder)
        self._manifest, self._single_files = Manifest.load(folder), files_elsewhere()

        def choose(taken: Mapping[str, str]) -> dict[str, str]:
            outputs = plan(inputs, folder, formats, job.task, taken)
            self._outputs = {output.input.identity: output for output in outputs}
            forget_dead_runs(self._manifest.state)
            self._marker = RunMarker(self._manifest.state, job.task)
            return {output.stem: who for who, output in self._outputs.items()}

        self._manifest.give(choose)
        self._claims = Claims(self._manifest.state)
        remove_leftovers(self._manifest.folders)

    def done_status(self, one: Input) -> SkipStatus | None:
        self._seen[one.identity] = seen = file_stat(one.path)
        self._kept[one.identity] = {} if seen is None else self._not_ours(one)
        if self._kept[one.identity] and not self.outputs(one):
            return "kept"
        found = [(record, Provenance.from_json(record.provenance)) for record in self._records(one)]
        if seen is None or not found or not all(self._is_same(one, seen, each) for _, each in found):
            return None
        if self.redo.force and not all(self._manifest.is_new(path) for path in self.outputs(one)):
            return None
        for record, each in found:
            if each is not None and each.look != seen:
                with suppress(OutputError):  # the next run will have to read the input again
                    self._manifest.add_provenance(record, each.seen_as(seen).as_json())
        self._delete_journal(one)
        return "partial" if any(each is not None and each.status == "partial" for _, each in found) else "ok"

    def kept(self, one: Input) -> Mapping[Path, str]:
        return self._kept.get(one.identity, {})

    def _not_ours(self, one: Input) -> dict[Path, str]:
        """What lies in the place of an input's result and is not as moss wrote it, and why it is kept."""
        if self.redo.force:
            return {}
        found = [path for path in self._paths(one) if self._is_not_ours(path, one)]
        if found:
            self._manifest.refresh()  # another run may have written it
        return {path: self._why_kept(path) for path in found if self._is_not_ours(path, one)}

    def _is_not_ours(self, path: Path, one: Input) -> bool:
        if identity(path) in self._outputs or _is_same_file(path, one.path):  # an input, which `check` refuses
            return False
        is_inside = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.folder))
        is_file = os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises where it may not look
        return is_file and is_inside and not self._is_ours(path)

    def _is_ours(self, path: Path) -> bool:
        """Whether moss wrote what lies there: as a result of this folder, or as a file that was named itself."""
        if self._manifest.record_of(path) is not None:
            return True
        return self._single_files.record_of(Path(identity(path))) is not None

    def _why_kept(self, path: Path) -> str:
        return "changed by you" if self._manifest.has_written(path) else "not written by moss"

    def _records(self, one: Input) -> list[ManifestEntry]:
        """The records of an input's files; none unless all of the files are as they were written."""
        found = [record for path in self.outputs(one) if (record := self._manifest.record_of(path)) is not None]
        return list(dict.fromkeys(found)) if len(found) == len(self.outputs(one)) else []

    def _is_same(self, one: Input, seen: FileStat, made: Provenance | None) -> bool:
        """Whether a result was made from this input by this job."""
        if made is None or made.input != one.identity or not made.is_of(self.job, self._layout_values):
            return False
        return made.is_from(one.path, seen, checksum=self.redo.checksum)

    def _delete_journal(self, one: Input) -> None:
        """Of an input that is done: a run may have been killed just before it did so itself."""
        if self._journal_file(one).exists() and self._claims.take(self._key(one)):
            self.journal(one).delete()
            self.release(one)

    def claim(self, one: Input) -> bool:
        if not self._claims.take(self._key(one)):
            return False
        self._manifest.refresh()
        return True

    def release(self, one: Input) -> None:
        self._claims.release(self._key(one))

    def outputs(self, one: Input) -> tuple[Path, ...]:
        return tuple(path for path in self._paths(one) if path not in self.kept(one))

    def _paths(self, one: Input) -> tuple[Path, ...]:
        return tuple(self._outputs[one.identity].paths.values())

    def journal(self, one: Input) -> FileJournal:
        work = {"result": self._key(one), "input": one.identity, "work": self.job.digest}
        work |= {"dtype": self.job.dtype, "device": self.job.device}
        return FileJournal(self._journal_file(one), work, self._warn_of_journal)

    def _journal_file(self, one: Input) -> Path:
        name = sha256(os.fsencode(self._key(one))).hexdigest()[:32] + ".jsonl"
        return self._manifest.state / UNFINISHED / name

    def _warn_of_journal(self, reason: str) -> None:
        if not self._journals_fail:
            self._on_warning(f"progress within files cannot be saved: {reason}")
        self._journals_fail = True

    def check(self, one: Input) -> None:
        for path in self.outputs(one):
            check_not_input(path, one)
            if identity(path) in self._outputs:
                raise UsageError(f"{one_line(str(path))} is another input", hint="choose another output")
            self._make_folder_of(path)
            if self._seen.get(one.identity) is None and not self.redo.force and os.path.lexists(path):
                raise _of_another_stream(path)
            check_writable(path, overwrite=self._may_overwrite(path), within=self.folder)

    def _make_folder_of(self, path: Path) -> None:
        if not Path(os.path.realpath(path.parent)).is_relative_to(os.path.realpath(self.folder)):
            check_writable(path, within=self.folder)  # raises; nothing is created outside the folder
        _make_folder(path.parent)

    def _may_overwrite(self, path: Path) -> bool:
        """Whether moss wrote the file; not if another run has made it with other options since this run started."""
        if self.redo.force:
            return True
        record = self._manifest.record_of(path)
        if record is None or not self._manifest.is_new(path):
            return self._is_ours(path)
        made = Provenance.from_json(record.provenance)
        return made is not None and made.is_of(self.job, self._layout_values)

    def write(self, one: Input, envelope: Envelope) -> None:
        from moss_cli.output.render import render

        key, who = self._key(one), one.identity
        if envelope.status == "error" and envelope.error is not None:
            code, message = envelope.error.code, envelope.error.message
            self._manifest.failed(key, {"input": who, "code": code, "message": message})
            return
        paths = {path: fmt for fmt, path in self._outputs[who].paths.items() if path not in self.kept(one)}
        data = {path: render(envelope, fmt, self.layout, Place(path.parent)).encode() for path, fmt in paths.items()}
        overwrite = {path: self._may_overwrite(path) for path in data}
        made = Provenance.of(envelope, self.job, who, self._seen.get(who), self._layout_values)
        self._manifest.announce(data, result=key, provenance=made.as_json() if made else {"input": who})
        for path, content in data.items():
            try:
                write_atomic(path, content, overwrite=overwrite[path], within=self.folder)
            except UsageError:  # a file has appeared in its place meanwhile
                if not self._is_not_ours(path, one):  # of another run
                    raise
                self._kept.setdefault(who, {})[path] = "not written by moss"
        self.journal(one).delete()

    def _key(self, one: Input) -> str:
        """The name of an input's claim, journal and result."""
        return result_key(self.job.task, self._outputs[one.identity].stem)

    def finish(self) -> None:
        self._claims.close()
        self._marker.close()
        with suppress(OutputError):  # the manifest stays longer than it needs to be
            self._manifest.compact()


def _of_another_stream(path: Path) -> UsageError:
    """There is no telling whether what a pipe holds, or a question without audio, is what it was then."""
    others = (path.with_name(f"{path.stem}-{n}{path.suffix}") for n in count(2))
    free = next(one for one in others if not os.path.lexists(one))
    hint = f"use -o {one_line(str(free))} to write this one beside it, or --force to replace it"
    return UsageError(f"{one_line(str(path))} already exists, from an earlier run", hint=hint, code="exists")


def check_not_input(path: Path, one: Input) -> None:
    """Raise UsageError where a result would overwrite the input that it is made from."""
    if _is_same_file(path, one.path):
        raise UsageError(f"{one_line(str(path))} is the input itself", hint="choose another output")


def _is_same_file(path: Path, other: Path) -> bool:
    with suppress(OSError, ValueError):
        return path.samefile(other)
    return False


def _make_folder(folder: Path) -> None:
    try:
        if folder.is_dir():
            return
        for missing in reversed([parent for parent in (folder, *folder.parents) if not parent.exists()]):
            missing.mkdir(exist_ok=True)  # one by one: `parents=True` recurses, and trees may be deep
        if not folder.is_dir():
            raise FileExistsError
    except FileExistsError as error:
        raise UsageError(f"{one_line(str(folder))} is a file; the output has to be a folder here") from error
    except OSError as error:
        raise OutputError(f"cannot create the folder {one_line(str(folder))}: {error.strerror}") from error
