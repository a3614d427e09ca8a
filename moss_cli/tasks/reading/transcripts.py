"""Transcripts of pieces as one, all at once or while they come. Speakers are told apart only within a piece."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Generic, TypeVar

from moss_cli.schema import Notice, Record
from moss_cli.tasks.reading.certain import Certain
from moss_cli.tasks.reading.merge_rules import join_texts
from moss_cli.tasks.reading.spliced import Spliced
from moss_cli.tasks.reading.task import Part
from moss_cli.tasks.reading.timed import Segment

_LABELS = re.compile(r"\[\s*(S\d{1,3})\s*\]", re.ASCII)

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Pieces:
    """How the pieces of a transcript are read. `segments_of`: those of a result. With `timed` False the texts have no
    times, and each is as one segment. `speakers`: they are labelled."""

    segments_of: Callable[[Any], Sequence[Segment]]
    timed: bool
    speakers: bool

    def has_speakers(self, part: Part[Any]) -> bool:
        """Whether anybody is named in a piece."""
        if not self.timed:
            return self.speakers and _LABELS.search(part.reading.text) is not None
        return any(segment.speaker for segment in self.segments_of(part.reading.result))

    def of(self, part: Part[Any], number: int | None) -> list[Segment]:
        """The segments of a piece; its speakers' labels carry its number, where it is given."""
        text, span = part.reading.text, part.span
        numbered = self.speakers and number is not None
        if self.timed:
            segments = self.segments_of(part.reading.result)
            return [_renamed(one, number) for one in segments] if numbered else list(segments)
        text = _LABELS.sub(rf"[\1/{number}]", text) if numbered else text
        return [Segment(start=span.start_s, end=span.end_s, text=text)] if text else []


def merged_segments(parts: Sequence[Part[Any]], pieces: Pieces, *, speakers: bool) -> list[Segment]:
    """The segments of all pieces in order, those that overlap spliced where both have heard the same. `speakers`: their
    labels carry the number of the piece in which they hold."""
    line = Spliced()
    starts_s = [part.span.start_s for part in parts]
    next_starts_s = [*accumulate(reversed(starts_s), min)][-2::-1]  # after each piece, the earliest of all that follow
    for number, part in enumerate(parts, 1):
        line.add(pieces.of(part, number if speakers else None), part.span)
        if number < len(parts):
            line.settle(next_starts_s[number - 1])
    return line.segments


def by_piece(parts: Sequence[Part[Any]], pieces: Pieces) -> bool:
    """Whether speakers are named in several pieces, so that a label alone would not say who it is."""
    return sum(map(pieces.has_speakers, parts)) > 1


def told_apart(several: bool) -> Iterator[Notice]:
    """What is to be said of labels that hold for a piece each."""
    if several:
        message = "speakers are told apart only within a chunk; each label carries the number of its chunk"
        yield Notice(code="speakers_by_piece", message=message)


class TranscriptMerging(Generic[R]):
    """`Merging` of transcripts. `result_of` makes a result of segments.

    Nobody knows whether labels will carry the numbers of their pieces until speakers are named in a second one; until
    then nothing is certain from the first label on.
    """

    def __init__(self, pieces: Pieces, result_of: Callable[[Iterable[Segment]], R]) -> None:
        self._pieces, self._result_of = pieces, result_of
        self._line = Spliced()
        self._n_parts = self._n_with_speakers = self._n_given = 0
        self._last = ""  # of the text that was given

    def add(self, parts: Sequence[Part[Any]], next_s: float) -> Certain[R]:
        for part in parts:
            self._n_parts += 1
            self._n_with_speakers += self._pieces.has_speakers(part)
            self._line.add(self._pieces.of(part, self._n_parts), part.span)
        before_s = self._line.settle(next_s)
        new = self._line.certain[self._n_given :]
        if self._n_with_speakers == 1:
            n_new = next((n for n, one in enumerate(new) if one.speaker), len(new)) if self._pieces.timed else 0
            before_s = min([before_s, *(one.start for one in new[n_new:])])
            new = new[:n_new]
        self._n_given += len(new)
        if self._pieces.timed:
            return Certain(self._result_of(new), "", before_s)
        text = join_texts([self._last, *(one.text for one in new)]).removeprefix(self._last)
        self._last = (self._last + text)[-1:]
        return Certain(self._result_of(()), text, before_s)


def _renamed(segment: Segment, number: int | None) -> Segment:
    return segment.model_copy(update={"speaker": f"{segment.speaker}/{number}"}) if segment.speaker else segment
