"""Inputs read ahead: while the model is at one of them, the rest of it and the next one are decoded in a thread.

One thread at a time, and one input ahead at most: the next is taken when the one whose turn it is has been read, so
that a run does not hold a file that another run could be at. Whatever goes wrong is raised when its turn has come.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace

from moss_cli.audio.results import SAMPLE_RATE, Samples
from moss_cli.audio.source import STDIN
from moss_cli.run.input_progress import FileRun
from moss_cli.run.inputs import Input
from moss_cli.run.job import Job
from moss_cli.run.open_input import Facts, Recording, open_recording

AHEAD_S = 120.0  # of an input's samples that wait, 8 MB; with 0 each input is read in its turn
_STOP_S = 1.0  # that is waited for a thread to end: it may be hashing a large file


@dataclass(frozen=True)
class _Taken:
    file: FileRun
    ahead: ReadAhead | None  # None: it is read in its turn

    @property
    def is_read(self) -> bool:
        return self.ahead is not None and self.ahead.is_read


class Inputs:
    """The inputs of a run, to be iterated once. One thread uses it; `close` stops what is being read."""

    def __init__(self, files: Iterable[FileRun], job: Job) -> None:
        self._files, self._job = iter(files), job
        self._now: _Taken | None = None
        self._next: _Taken | None = None
        self._failure: Exception | None = None  # to take the next one

    def __iter__(self) -> Iterator[FileRun]:
        return self

    def __next__(self) -> FileRun:
        if self._failure is not None:
            raise self._failure
        if self._next is None:
            self._take()
        self._now, self._next = self._next, None
        assert self._now is not None
        return self._now.file

    def look_ahead(self) -> None:
        """Take the next input, if all of the one whose turn it is has been read."""
        if self._now is None or not self._now.is_read or self._next is not None or self._failure is not None:
            return
        try:
            self._take()
        except Exception as error:  # noqa: BLE001 - also that there is none; of no concern to the one before
            self._failure = error

    def _take(self) -> None:
        file = next(self._files)
        ahead = ReadAhead(file.source, self._job) if _can_be_read_ahead(file.source, self._job) else None
        self._next = _Taken(file, ahead)
        if ahead is not None:
            ahead.start()

    def open(self) -> Recording:
        """The one whose turn it is, open. Raises what `open_recording` and the recording's `sha256` do."""
        assert self._now is not None
        if self._now.ahead is None:
            return open_recording(self._now.file.source, self._job)
        return self._now.ahead.recording()

    def close(self) -> None:
        for taken in (self._now, self._next):
            if taken is not None and taken.ahead is not None:
                taken.ahead.close()


def _can_be_read_ahead(source: Input, job: Job) -> bool:
    if job.start_s or job.task.may_name_a_time:  # to go to a place in an MP3 file, stderr is muted: the process's own
        return False
    # Standard input and a FIFO may keep a thread waiting for ever, and the interpreter with it.
    return AHEAD_S > 0 and source.path != STDIN and os.path.isfile(source.path)  # noqa: PTH113 - Path's raises


class ReadAhead:
    """An input that a thread opens, hashes and decodes, `AHEAD_S` and a block at most before its blocks are taken."""

    def __init__(self, source: Input, job: Job) -> None:
        self._source, self._job = source, job
        self._changed = threading.Condition()  # what follows is shared with the thread
        self._opened: Recording | None = None
        self._blocks: deque[Samples] = deque()
        self._n_waiting = 0
        self._end: Facts | BaseException | None = None
        self._closed = False
        # A daemon: the process may end while it waits for a disk.
        self._thread = threading.Thread(target=self._run, name="read-ahead", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def is_read(self) -> bool:
        """Whether the thread has come to the end."""
        with self._changed:
            return self._end is not None

    def recording(self) -> Recording:
        """What `open_recording` gives, with blocks that the thread has decoded. Waits until it is open."""
        with self._changed:
            self._changed.wait_for(lambda: self._opened or self._end)
            if self._opened is None:
                self._raise()
            assert self._opened is not None
            return self._opened

    def close(self) -> None:
        """Stop the thread, which closes the file."""
        with self._changed:
            self._closed = True
            self._blocks.clear()
            self._changed.notify_all()
        self._thread.join(_STOP_S)

    def _run(self) -> None:
        end: Facts | BaseException
        try:
            end = self._read()
        except BaseException as error:  # noqa: BLE001 - raised where the input's turn has come
            end = error
        with self._changed:
            self._end = end
            self._changed.notify_all()

    def _read(self) -> Facts:
        with closing(open_recording(self._source, self._job)) as recording:
            sha256 = recording.sha256()
            with self._changed:
                self._opened = replace(
                    recording, blocks=self._taken(), sha256=lambda: sha256, facts=self._facts, close=self.close
                )
                self._changed.notify_all()
            for block in recording.blocks:
                self._put(block)
            return recording.facts()

    def _put(self, block: Samples) -> None:
        """Give a block, and wait until there is room for the next."""
        with self._changed:
            self._blocks.append(block)
            self._n_waiting += len(block)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._closed or self._n_waiting < AHEAD_S * SAMPLE_RATE)
            if self._closed:
                raise ValueError("the recording was closed while it was read")

    def _taken(self) -> Iterator[Samples]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._blocks or self._end)
                if not self._blocks:
                    self._raise()
                    return
                block = self._blocks.popleft()
                self._n_waiting -= len(block)
                self._changed.notify_all()
            yield block

    def _raise(self) -> None:
        if isinstance(self._end, BaseException):
            raise self._end

    def _facts(self) -> Facts:
        assert isinstance(self._end, Facts)
        return self._end
