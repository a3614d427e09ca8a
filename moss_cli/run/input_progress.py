"""One input on its way through the runner: what was found of its pieces so far."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from moss_cli.errors import MossError
from moss_cli.run.conversation import Answered
from moss_cli.run.inputs import Input
from moss_cli.run.journal import Journal, Opened
from moss_cli.run.open_input import Facts, Recording
from moss_cli.run.speech_pieces import Piece
from moss_cli.schema import InputInfo, Notice
from moss_cli.span import Span
from moss_cli.tasks.reading.task import Reading, Task


class FileRun:
    """One input. It is `done` when it has failed, or when it was read to its end and all its pieces are answered."""

    def __init__(self, source: Input, task: Task, journal: Journal) -> None:
        self.source, self.task, self._journal = source, task, journal
        self.error: MossError | None = None
        self.load_s, self.seconds = 0.0, 0.0
        self.total_s: float | None = None
        self._offset_s, self._end_s = 0.0, 0.0
        self._found: list[list[Answered] | None] = []
        self._n_pieces = 0
        self._facts: Facts | None = None
        self._since: float | None = None

    def begin(self, recording: Recording, sha256: str) -> None:
        """The input could be opened."""
        self.task, self.total_s = recording.task, recording.total_s
        self._offset_s = self._end_s = recording.offset_s
        self._journal.begin(Opened(sha256, self._offset_s, self.total_s))

    def expect(self, piece: Piece | Span) -> int | None:
        """Make room for what will be found of a piece: the place of it, or None where it is known already."""
        span = piece.span if isinstance(piece, Piece) else piece
        self._end_s = max(self._end_s, span.end_s)
        if isinstance(piece, Span):  # nobody speaks in it
            self._found.append([Answered(piece, self.task.unspoken(piece), "no_speech")])
            return None
        self._n_pieces += 1
        known = self._known(piece)
        self._found.append(known)
        return len(self._found) - 1 if known is None else None

    def _known(self, piece: Piece) -> list[Answered] | None:
        """What an earlier run found of a piece."""
        stored = self._journal.get(piece.name)
        try:
            return None if not stored else [Answered.from_json(self.task.name, one) for one in stored]
        except (KeyError, TypeError, ValueError, OverflowError):  # a journal that somebody changed
            return None

    def found(self, place: int, piece: Piece, answered: list[Answered]) -> None:
        """What was found of a piece."""
        self._found[place] = answered
        if self._facts is None or self._n_pieces > 1:  # the result of an only piece follows at once
            self._journal.put(piece.name, [one.to_json() for one in answered])

    def end(self, facts: Facts) -> None:
        """The input was read to its end."""
        self._facts = facts

    def fail(self, error: MossError) -> None:
        """It has no result. The first reason stands."""
        self.error = self.error or error

    @property
    def done(self) -> bool:
        return self.error is not None or (self._facts is not None and None not in self._found)

    @property
    def is_one_piece(self) -> bool:
        """Whether it is known to have one piece and no more."""
        return self._facts is not None and len(self._found) == 1

    @property
    def answered(self) -> list[Answered]:
        """What was found, in order."""
        return [one for found in self._found for one in found or ()]

    @property
    def done_s(self) -> float:
        """Seconds of it that are answered."""
        return sum(one.span.duration_s for one in self.answered)

    @property
    def span(self) -> Span:
        """The part of the file that was analysed."""
        return Span(self._offset_s, self._end_s)

    @property
    def complete(self) -> bool:
        return self._facts is not None and self._facts.complete

    def reading(self) -> Reading:
        """All that was found as one."""
        answered = self.answered
        if len(answered) == 1:
            return answered[0].reading
        return self.task.merge([one.part for one in answered])

    def notices(self) -> tuple[Notice, ...]:
        """What is to be said of the audio."""
        return self._facts.warnings if self._facts else ()

    def input_info(self) -> InputInfo:
        """The input as it stands in the envelope."""
        assert self._facts is not None
        info = self._facts.info
        return InputInfo(
            path=self.source.shown,
            path_bytes=self.source.path_bytes,
            duration=info.duration_s,
            sample_rate=info.sample_rate,
            channels=info.channels,
            sha256=info.sha256,
        )

    @contextmanager
    def timed(self) -> Iterator[None]:
        """What happens in here takes this input's time."""
        self._since = time.monotonic()
        try:
            yield
        finally:
            self.seconds += time.monotonic() - self._since
            self._since = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Within `timed`: what happens in here does not count."""
        assert self._since is not None
        self.seconds += time.monotonic() - self._since
        try:
            yield
        finally:
            self._since = time.monotonic()
