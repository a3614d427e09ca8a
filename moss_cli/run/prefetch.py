"""Inputs read ahead: while the model is at one of them, the rest of it and the next ones are read in a thread, that is
decoded, cut into chunks and searched for speech.

One thread at a time. The next input is taken when the one before has been read, so that a run does not hold a file that
another run could be at. Whatever goes wrong is raised when its turn has come.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TypeVar

from moss_cli.audio.chunk import Chunk
from moss_cli.audio.results import SAMPLE_RATE, Samples
from moss_cli.errors import MossError
from moss_cli.run.input_progress import InputProgress
from moss_cli.run.inputs import Input
from moss_cli.run.job import Job
from moss_cli.run.open_input import Facts, is_file
from moss_cli.run.planned_input import PlannedInput
from moss_cli.run.together import Pieces, PlannedTogether, plan_together

T = TypeVar("T")

AHEAD_S = 120.0  # of an input's samples that wait, 8 MB; with 0 each input is read in its turn
_STOP_S = 0.5  # that is waited for a thread to end: it may be hashing a large file, or importing torch


@dataclass(frozen=True)
class _Taken:
    files: Sequence[InputProgress]
    ahead: Prefetch | None  # None: it is read in its turn

    @property
    def input(self) -> Input:
        return self.files[0].input

    @property
    def jobs(self) -> list[Job]:
        return [file.job for file in self.files]

    @property
    def is_read(self) -> bool:
        return self.ahead is not None and self.ahead.is_read


class InputQueue:
    """The inputs of a run, each for all jobs that are about it, to be iterated once. One thread uses it; `close` stops
    what is being read."""

    def __init__(self, files: Iterable[Sequence[InputProgress]]) -> None:
        self._files = iter(files)
        self._now: _Taken | None = None
        self._next: deque[_Taken] = deque()
        self._failure: Exception | None = None  # to take the next one
        self._is_open = False  # the one whose turn it is

    def __iter__(self) -> Iterator[Sequence[InputProgress]]:
        return self

    def __next__(self) -> Sequence[InputProgress]:
        if not self._next:
            if self._failure is not None:
                raise self._failure
            self._take()
        self._now, self._is_open = self._next.popleft(), False
        return self._now.files

    def look_ahead(self, n_inputs: int = 1) -> None:
        """Take the next input, if all that are taken have been read, unless `n_inputs` wait for their turn already."""
        last = self._next[-1] if self._next else self._now
        if last is None or not last.is_read or len(self._next) >= n_inputs or self._failure is not None:
            return
        try:
            self._take()
        except Exception as error:  # noqa: BLE001 - also that there is none; of no concern to the one before
            self._failure = error

    def _take(self) -> None:
        files = next(self._files)
        jobs = [file.job for file in files]
        ahead = Prefetch(files[0].input, jobs) if _can_be_read_ahead(files[0].input, jobs) else None
        self._next.append(_Taken(files, ahead))
        if ahead is not None:
            ahead.start()

    @property
    def may_block(self) -> bool:
        """Whether to open the one whose turn it is may take for ever: a pipe, into which somebody has yet to write."""
        assert self._now is not None
        return not self._is_open and self._now.ahead is None and not is_file(self._now.input)

    @property
    def is_ready(self) -> bool:
        """Whether the next piece, or the end, of the one whose turn it is can be had at once, as far as it is read
        ahead."""
        return self._now is None or self._now.ahead is None or self._now.ahead.is_ready

    def open(self) -> PlannedTogether:
        """The one whose turn it is, open. Raises what `plan_together` does."""
        assert self._now is not None
        self._is_open = True
        if self._now.ahead is None:
            return plan_together(self._now.input, self._now.jobs)
        return self._now.ahead.opened()

    def close(self) -> None:
        for taken in (self._now, *self._next):
            if taken is not None and taken.ahead is not None:
                taken.ahead.close()


def _can_be_read_ahead(input: Input, jobs: Iterable[Job]) -> bool:
    # To go to a place in an MP3 file, stderr is muted: the process's own.
    if any(job.start_s or job.task.may_name_a_time for job in jobs):
        return False
    # Standard input and a FIFO may keep a thread waiting for ever, and the interpreter with it.
    return AHEAD_S > 0 and is_file(input)


class Prefetch:
    """An input that a thread opens, hashes and reads, `AHEAD_S` and a chunk at most before its pieces are taken."""

    def __init__(self, input: Input, jobs: Sequence[Job]) -> None:
        self._input, self._jobs = input, jobs
        self._changed = threading.Condition()  # what follows is shared with the thread
        self._opened: PlannedTogether | None = None
        self._hashes: dict[int, str] = {}  # by job
        self._facts: dict[int, Facts] = {}
        self._pieces: deque[Pieces] = deque()
        self._n_waiting = 0
        self._end: bool | BaseException = False
        self._closed = False
        # A daemon: the process may end while it waits for a disk.
        self._thread = threading.Thread(target=self._run, name="prefetch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def is_read(self) -> bool:
        """Whether the thread has come to the end."""
        with self._changed:
            return self._end is not False

    @property
    def is_ready(self) -> bool:
        """Whether there is a piece, or the end, to be had."""
        with self._changed:
            return bool(self._pieces) or self._end is not False

    def opened(self) -> PlannedTogether:
        """The input, with pieces that the thread has read. Waits until it is open; its `sha256` waits, too."""
        with self._changed:
            self._changed.wait_for(lambda: self._opened or self._end)
            if self._opened is None:
                self._raise()
            assert self._opened is not None
            return self._opened

    def close(self) -> None:
        """Stop the thread, which closes the file."""
        with self._changed:
            was_closed, self._closed = self._closed, True
            self._pieces.clear()
            self._changed.notify_all()
        if not was_closed:  # else it was waited for already
            self._thread.join(_STOP_S)

    def _run(self) -> None:
        end: bool | BaseException = True
        try:
            self._read()
        except BaseException as error:  # noqa: BLE001 - raised where the input's turn has come
            end = error
        with self._changed:
            self._end = end
            self._changed.notify_all()

    def _read(self) -> None:
        with closing(plan_together(self._input, self._jobs, self._until_closed)) as read:
            ours = [self._in_turn(place, plan) for place, plan in enumerate(read.by_job)]
            with self._changed:
                self._opened = PlannedTogether(ours, self._taken(), self.close)
                self._changed.notify_all()
            plans = [(place, plan) for place, plan in enumerate(read.by_job) if isinstance(plan, PlannedInput)]
            for place, plan in plans:
                self._tell(self._hashes, place, plan.sha256())
            for pieces in read.pieces:
                self._put(pieces)
            for place, plan in plans:
                self._tell(self._facts, place, plan.facts())

    def _in_turn(self, place: int, plan: PlannedInput | MossError) -> PlannedInput | MossError:
        """A plan whose hash and facts are those that the thread has found."""
        if isinstance(plan, MossError):
            return plan
        return replace(plan, sha256=lambda: self._told(self._hashes, place), facts=lambda: self._facts[place])

    def _tell(self, found: dict[int, T], place: int, value: T) -> None:
        with self._changed:
            found[place] = value
            self._changed.notify_all()

    def _told(self, found: dict[int, T], place: int) -> T:
        with self._changed:
            self._changed.wait_for(lambda: place in found or self._end)
            if place not in found:
                self._raise()
            return found[place]

    def _until_closed(self, blocks: Iterator[Samples]) -> Iterator[Samples]:
        for block in blocks:
            if self._closed:
                raise _closed()
            yield block

    def _put(self, pieces: Pieces) -> None:
        """Give pieces, and wait until there is room for the next."""
        with self._changed:
            self._pieces.append(pieces)
            self._n_waiting += _n_samples(pieces)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._closed or self._n_waiting < AHEAD_S * SAMPLE_RATE)
            if self._closed:
                raise _closed()

    def _taken(self) -> Iterator[Pieces]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pieces or self._end)
                if not self._pieces:
                    self._raise()
                    return
                pieces = self._pieces.popleft()
                self._n_waiting -= _n_samples(pieces)
                self._changed.notify_all()
            yield pieces

    def _raise(self) -> None:
        if isinstance(self._end, BaseException):
            raise self._end


def _n_samples(pieces: Pieces) -> int:
    """How many samples wait in them: some of them may be the same ones."""
    return sum({id(piece.samples): len(piece.samples) for _, piece in pieces if isinstance(piece, Chunk)}.values())


def _closed() -> ValueError:
    return ValueError("the recording was closed while it was read")
