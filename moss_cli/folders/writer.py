"""Results in an output folder, which several runs may share, each input done once."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from hashlib import sha256
from pathlib import Path

from moss_cli.errors import OutputError, UsageError
from moss_cli.folders.claims import Claims
from moss_cli.folders.freshness import Look, Made, Standing, Work, look
from moss_cli.folders.journal import UNFINISHED, FileJournal
from moss_cli.folders.leftovers import remove_leftovers
from moss_cli.folders.lines import Line, result_key
from moss_cli.folders.manifest import Manifest
from moss_cli.folders.names import PlannedInput, PlannedOutput, identity, plan
from moss_cli.folders.runs import AtWork, forget_dead_runs
from moss_cli.output.atomic import check_writable, write_atomic
from moss_cli.output.terminal import one_line
from moss_cli.output.wrap import Layout
from moss_cli.schema import Envelope


@dataclass(frozen=True)
class Again:
    """What is done although it seems to be done: with `force` everything; `checksum` reads inputs to be sure."""

    force: bool = False
    checksum: bool = False


class FolderWriter:
    """A file for each input and format, in a folder that mirrors the inputs'.

    What is known of the folder is in its record (`Manifest`); an input belongs to the run that has claimed it; what
    is found of its pieces is in its journal until its files are in place. Raises OutputError and UsageError.
    """

    resumes = True

    def __init__(
        self,
        folder: Path,
        formats: Sequence[str],
        inputs: Sequence[PlannedInput],
        work: Work,
        *,
        layout: Layout,
        again: Again,
        on_warning: Callable[[str], None],
    ) -> None:
        self.folder, self.work, self.layout, self.again = folder, work, layout, again
        self._on_warning, self._unkept = on_warning, False
        self._seen: dict[str, Look | None] = {}
        self._outputs: dict[str, PlannedOutput] = {}
        _make_folder(folder)
        self._manifest = Manifest.load(folder)

        def choose(taken: Mapping[str, str]) -> dict[str, str]:
            outputs = plan(inputs, folder, formats, work.task, taken)
            self._outputs = {identity(output.input.path): output for output in outputs}
            forget_dead_runs(self._manifest.state)
            self._at_work = AtWork(self._manifest.state, work.task)
            return {output.stem: who for who, output in self._outputs.items()}

        self._manifest.give(choose)
        self._claims = Claims(self._manifest.state)
        remove_leftovers(self._manifest.folders)

    def standing(self, one: PlannedInput) -> Standing | None:
        self._seen[identity(one.path)] = seen = look(one.path)
        lines = self._lines(one)
        made = [Made.from_json(line.made) for line in lines]
        if seen is None or not made or not all(self._is_same(one, seen, each) for each in made):
            return None
        if self.again.force and not all(self._manifest.is_new(path) for path in self.outputs(one)):
            return None
        for line, each in zip(lines, made, strict=True):
            if each is not None and each.look != seen:
                with suppress(OutputError):  # or the next run reads the input once more
                    self._manifest.again(line, each.seen_as(seen).as_json())
        self._forget_pieces(one)
        return "partial" if any(each is not None and each.status == "partial" for each in made) else "ok"

    def _lines(self, one: PlannedInput) -> list[Line]:
        """The lines that tell of an input's files; none unless all of these stand as they were written."""
        lines = [line for path in self.outputs(one) if (line := self._manifest.line_of(path)) is not None]
        return list(dict.fromkeys(lines)) if len(lines) == len(self.outputs(one)) else []

    def _is_same(self, one: PlannedInput, seen: Look, made: Made | None) -> bool:
        """Whether a result is of this input and this work."""
        if made is None or made.input != identity(one.path) or not made.is_of(self.work, astuple(self.layout)):
            return False
        return made.is_from(one.path, seen, checksum=self.again.checksum)

    def _forget_pieces(self, one: PlannedInput) -> None:
        """Of an input that is done: a run may have been killed before it came to that."""
        if self._journal_file(one).exists() and self._claims.take(self._key(one)):
            self.journal(one).delete()
            self.release(one)

    def claim(self, one: PlannedInput) -> bool:
        if not self._claims.take(self._key(one)):
            return False
        self._manifest.refresh()
        return True

    def release(self, one: PlannedInput) -> None:
        self._claims.release(self._key(one))

    def outputs(self, one: PlannedInput) -> tuple[Path, ...]:
        return tuple(self._outputs[identity(one.path)].paths.values())

    def journal(self, one: PlannedInput) -> FileJournal:
        work = {"result": self._key(one), "input": identity(one.path), "work": self.work.digest}
        work |= {"dtype": self.work.dtype, "device": self.work.device}
        return FileJournal(self._journal_file(one), work, self._not_kept)

    def _journal_file(self, one: PlannedInput) -> Path:
        name = sha256(os.fsencode(self._key(one))).hexdigest()[:32] + ".jsonl"
        return self._manifest.state / UNFINISHED / name

    def _not_kept(self, reason: str) -> None:
        if not self._unkept:
            self._on_warning(f"what is done of unfinished files cannot be kept: {reason}")
        self._unkept = True

    def check(self, one: PlannedInput) -> None:
        for path in self.outputs(one):
            check_not_input(path, one)
            if identity(path) in self._outputs:
                raise UsageError(f"{one_line(str(path))} is another input", hint="name another output")
            self._make_folder_of(path)
            check_writable(path, overwrite=self._may_overwrite(path), within=self.folder)

    def _make_folder_of(self, path: Path) -> None:
        if not Path(os.path.realpath(path.parent)).is_relative_to(os.path.realpath(self.folder)):
            check_writable(path, within=self.folder)  # says so; nothing is made out there
        _make_folder(path.parent)

    def _may_overwrite(self, path: Path) -> bool:
        """What moss wrote, but for what another run has made of other options since this one began."""
        if self.again.force:
            return True
        line = self._manifest.line_of(path)
        if line is None or not self._manifest.is_new(path):
            return line is not None
        made = Made.from_json(line.made)
        return made is not None and made.is_of(self.work, astuple(self.layout))

    def write(self, one: PlannedInput, envelope: Envelope) -> None:
        from moss_cli.output.render import render

        key, who = self._key(one), identity(one.path)
        if envelope.status == "error" and envelope.error is not None:
            code, message = envelope.error.code, envelope.error.message
            self._manifest.failed(key, {"input": who, "code": code, "message": message})
            return
        paths = self._outputs[who].paths
        data = {path: render(envelope, fmt, self.layout).encode() for fmt, path in paths.items()}
        overwrite = {path: self._may_overwrite(path) for path in data}
        made = Made.by(self.work, who, self._seen.get(who), envelope, astuple(self.layout))
        self._manifest.announce(data, result=key, made=made.as_json() if made else {"input": who})
        for path, content in data.items():
            write_atomic(path, content, overwrite=overwrite[path], within=self.folder)
        self.journal(one).delete()

    def _key(self, one: PlannedInput) -> str:
        """What an input's claim, journal and result are called."""
        return result_key(self.work.task, self._outputs[identity(one.path)].stem)

    def finish(self) -> None:
        self._claims.close()
        self._at_work.close()
        with suppress(OutputError):  # the record stays longer than it need be
            self._manifest.tidy()


def check_not_input(path: Path, one: PlannedInput) -> None:
    """Raise UsageError where a result would be written over the input that it is of."""
    with suppress(OSError, ValueError):
        if path.samefile(one.path):
            raise UsageError(f"{one_line(str(path))} is the input itself", hint="name another output")


def _make_folder(folder: Path) -> None:
    try:
        if folder.is_dir():
            return
        for missing in reversed([parent for parent in (folder, *folder.parents) if not parent.exists()]):
            missing.mkdir(exist_ok=True)  # one by one: `parents=True` calls itself for each, and trees may be deep
        if not folder.is_dir():
            raise FileExistsError
    except FileExistsError as error:
        raise UsageError(f"{one_line(str(folder))} is a file, and a folder is needed to write to") from error
    except OSError as error:
        raise OutputError(f"the folder {one_line(str(folder))} cannot be made: {error.strerror}") from error
