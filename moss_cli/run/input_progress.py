"""One input on its way through a run: what is known of its chunks so far."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator
from dataclasses import replace
from typing import Any

from moss_cli.audio.chunk import Chunk
from moss_cli.errors import MossError
from moss_cli.run.channels import SkippedSpan
from moss_cli.run.inputs import Input
from moss_cli.run.job import Job
from moss_cli.run.journal import Journal, Opened
from moss_cli.run.kept_parts import from_json, to_json
from moss_cli.run.open_input import Facts
from moss_cli.run.planned_input import PlannedInput
from moss_cli.run.second_pass import Whole
from moss_cli.schema import InputInfo, Notice
from moss_cli.span import Span
from moss_cli.tasks.reading.certain import Certain
from moss_cli.tasks.reading.task import Part, Reading


class InputProgress:
    """One input. It is `done` when it has failed, or when it was read to its end and the `whole` of it is known."""

    def __init__(self, input: Input, job: Job, journal: Journal) -> None:
        self.input, self.job, self.task, self._journal = input, job, job.task, journal
        self.source: Hashable = None  # of its samples
        self.error: MossError | None = None
        self.whole: Whole | None = None
        self.is_settling = False  # its chunks are being brought together
        self.load_s, self.seconds = 0.0, 0.0
        self.total_s: float | None = None
        self.known_s = 0.0  # of what an earlier run has answered
        self.sha256 = ""
        self._offset_s, self._end_s = 0.0, 0.0
        self._found: list[list[Part[Any]] | None] = []  # by chunk
        self._next_s: list[float] = []  # by chunk: what follows it begins no earlier
        self._merging, self._n_merged = job.task.merging(), 0
        self._n_asked, self._n_channels = 0, 1
        self._facts: Facts | None = None

    def begin(self, opened: PlannedInput, sha256: str) -> None:
        """The input could be opened."""
        self.task, self.total_s, self.sha256 = opened.task, opened.total_s, sha256
        # What one channel says may come before what another has said already.
        self._merging = self.task.merging() if opened.n_channels == 1 else None
        self._offset_s = self._end_s = opened.offset_s
        self._n_channels = opened.n_channels
        self.source = opened.source
        self._journal.begin(Opened(sha256, self._offset_s, self.total_s))

    def expect(self, chunk: Chunk | Span) -> int | None:
        """Make room for what will come of a chunk: the place of it, or None where it is known already."""
        span = chunk.span if isinstance(chunk, Chunk) else chunk
        self._end_s = max(self._end_s, span.end_s)
        if isinstance(chunk, Span):  # nobody speaks in it
            self._next_s += self._next_s[-1:] or [self._offset_s]
            channel = chunk.channel if isinstance(chunk, SkippedSpan) else None
            self._found.append([Part(chunk, self.task.unspoken(chunk), "no_speech", channel=channel)])
            return None
        self._n_asked += 1
        self._next_s.append(chunk.next_s)
        known = self._known(chunk)
        self.known_s += sum(part.span.duration_s for part in known or ()) / self._n_channels
        self._found.append(known)
        return len(self._found) - 1 if known is None else None

    def _known(self, chunk: Chunk) -> list[Part[Any]] | None:
        """What an earlier run found of a chunk; None unless all of it can be read."""
        parts = [from_json(self.task, kept) for kept in self._journal.get(chunk.name) or ()]
        whole = [replace(part, channel=chunk.channel) for part in parts if part is not None]
        return whole if whole and len(whole) == len(parts) else None

    def found(self, place: int, chunk: Chunk, parts: list[Part[Any]]) -> None:
        """What came of a chunk."""
        self._found[place] = parts
        if chunk.next_s < math.inf or self._n_asked > 1:  # the result of an only chunk follows at once
            self._journal.put(chunk.name, [to_json(part) for part in parts])

    def certain(self) -> Iterator[Certain[Any]]:
        """What has become certain of its merged result since the last call, for each chunk that is answered and has
        none before it that is not. Nothing where the task does not say before the end what comes first."""
        while self._merging is not None and self._n_merged < len(self._found):
            parts, next_s = self._found[self._n_merged], self._next_s[self._n_merged]
            if parts is None:
                return
            self._n_merged += 1
            yield self._merging.add(parts, next_s)

    def end(self, facts: Facts) -> None:
        """The input was read to its end."""
        self._facts = facts

    def fail(self, error: MossError) -> None:
        """It has no result. The first reason stands."""
        self.error = self.error or error

    @property
    def is_answered(self) -> bool:
        """Whether it was read to its end and all its chunks are answered."""
        return self._facts is not None and None not in self._found

    @property
    def done(self) -> bool:
        return self.error is not None or self.whole is not None

    @property
    def is_one_chunk(self) -> bool:
        """Whether it is known to have one chunk and no more."""
        return self._facts is not None and len(self._found) == 1

    @property
    def parts(self) -> list[Part[Any]]:
        """What came of its chunks, in order."""
        return [part for found in self._found for part in found or ()]

    @property
    def done_s(self) -> float:
        """Seconds of it that are answered."""
        return sum(part.span.duration_s for part in self.parts) / self._n_channels

    @property
    def span(self) -> Span:
        """The part of the file that was analysed."""
        return Span(self._offset_s, self._end_s)

    @property
    def is_whole(self) -> bool:
        """Whether all of its audio could be read."""
        return self._facts is not None and self._facts.complete

    def merged(self) -> Reading[Any]:
        """What came of all chunks as one, by rule."""
        parts = self.parts
        return parts[0].reading if len(parts) == 1 and self._n_channels == 1 else self.task.merge(parts)

    def notices(self) -> tuple[Notice, ...]:
        """What is to be said of the audio."""
        return self._facts.warnings if self._facts else ()

    def info(self) -> InputInfo:
        """The input as it stands in the envelope."""
        assert self._facts is not None
        facts = self._facts.info
        return InputInfo(
            path=self.input.shown,
            path_bytes=self.input.path_bytes,
            duration=facts.duration_s,
            sample_rate=facts.sample_rate,
            channels=facts.channels,
            sha256=facts.sha256,
        )

    def took(self, seconds: float) -> None:
        """So much time went into it."""
        self.seconds += seconds
