"""Journals of results that go to stdout or into one file: in the user's state folder, until the result is done.

A journal is found by the bytes of its input and by what is done to it, whatever the input is called and wherever its
result goes. So standard input has one too, and a run that goes to stdout goes on from one into a file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from moss_cli.errors import MossError
from moss_cli.folders.claims import Claims
from moss_cli.folders.freshness import JobFingerprint
from moss_cli.folders.journal import UNFINISHED, FileJournal
from moss_cli.output.terminal import one_line
from moss_cli.run.inputs import Input
from moss_cli.run.journal import Opened
from moss_cli.settings import state_folder

KEPT_DAYS = 30  # that a journal waits to be gone on from; chosen


class UnfinishedResults:
    """The journals of one run. Where they cannot be kept, `on_warning` gets the reason once, and the work goes on.

    A journal belongs to the run that has claimed it. Another run of the same work uses what it finds and keeps nothing.
    """

    def __init__(self, job: JobFingerprint, on_warning: Callable[[str], None]) -> None:
        self._work = {"task": job.task, "work": job.digest, "dtype": job.dtype, "device": job.device}
        self._on_warning = on_warning
        self._has_failed = False
        self._claims: Claims | None = None
        self._journals: dict[str, _ClaimedJournal] = {}  # by input

    @property
    def folder(self) -> Path:
        return state_folder() / UNFINISHED

    def journal(self, one: Input) -> _ClaimedJournal:
        """A journal for an input."""
        if not self._journals:
            self._delete_old()
        self._journals[one.identity] = journal = _ClaimedJournal(self, self._work)
        return journal

    def kept_s(self, one: Input) -> float:
        """How much of an input a later run need not decode again, in seconds without what has no speech."""
        journal = self._journals.get(one.identity)
        return 0.0 if journal is None or self._has_failed else journal.kept_s

    def done(self, one: Input) -> None:
        """The input's result is written."""
        journal = self._journals.pop(one.identity, None)
        if journal is not None:
            journal.delete()

    def claim(self, name: str) -> bool:
        """Claim a journal for this run; False where another has it, or where claims cannot be kept."""
        try:
            if self._claims is None:
                make_private(self.folder)
                self._claims = Claims(self.folder)
            return self._claims.take(name)
        except OSError as error:
            self.warn(f"{one_line(str(error.filename or self.folder))}: {(error.strerror or str(error)).lower()}")
        except MossError as error:
            self.warn(error.message)
        return False

    def release(self, name: str) -> None:
        if self._claims is not None:
            self._claims.release(name)

    def warn(self, reason: str) -> None:
        """Say once that progress cannot be kept."""
        if not self._has_failed:
            self._on_warning(f"progress cannot be kept for a later run: {reason}")
        self._has_failed = True

    def _delete_old(self) -> None:
        """Delete the journals that nobody has gone on from for `KEPT_DAYS`."""
        oldest = time.time() - KEPT_DAYS * 86_400
        with suppress(OSError):
            for file in list(self.folder.glob("*.jsonl")):
                if file.lstat().st_mtime < oldest and self.claim(file.stem):
                    file.unlink(missing_ok=True)
                    self.release(file.stem)


class _ClaimedJournal:
    """A journal whose file is known once its input is open, and claimed when there is something to keep."""

    def __init__(self, results: UnfinishedResults, work: Mapping[str, Any]) -> None:
        self._results, self._work = results, work
        self._name = ""
        self._journal: FileJournal | None = None
        self._is_ours: bool | None = None  # None: not claimed yet

    def begin(self, opened: Opened) -> None:
        key = repr(sorted({**self._work, **asdict(opened)}.items()))
        self._name = sha256(key.encode(errors="surrogateescape")).hexdigest()[:32]
        file = self._results.folder / f"{self._name}.jsonl"
        self._journal = FileJournal(file, self._work, self._results.warn)
        if file.exists():  # before it is read: nobody is to delete it in between
            self._is_ours = self._results.claim(self._name)
        self._journal.begin(opened)

    @property
    def pieces(self) -> Mapping[str, list[dict[str, Any]]]:
        return self._journal.pieces if self._journal else {}

    @property
    def kept_s(self) -> float:
        spans = [part["span"] for found in self.pieces.values() for part in found]
        return float(sum(end_s - start_s for start_s, end_s in spans))

    def get(self, piece: str) -> list[dict[str, Any]] | None:
        return self._journal.get(piece) if self._journal else None

    def put(self, piece: str, found: list[dict[str, Any]]) -> None:
        if self._is_ours is None:
            self._is_ours = self._results.claim(self._name)
        if self._is_ours and self._journal is not None:
            self._journal.put(piece, found)

    def delete(self) -> None:
        if self._is_ours and self._journal is not None:
            self._journal.delete()
            self._results.release(self._name)


def make_private(folder: Path) -> None:
    """Make a folder of the state folder, for its owner alone, and the state folder. Raises OSError."""
    for missing in (folder.parent, folder):
        missing.mkdir(mode=0o700, parents=True, exist_ok=True)
