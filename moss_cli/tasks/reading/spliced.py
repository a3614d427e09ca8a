"""The segments of pieces in their order, as one line that grows: pieces that overlap are spliced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from moss_cli.span import Span
from moss_cli.tasks.reading.overlap import LEAST_REACH_S, splice
from moss_cli.tasks.reading.timed import Segment

ROUNDING_S = 0.001  # by which a segment may begin before its piece: times are rounded to milliseconds


@dataclass(frozen=True)
class _Stretch:
    """What one piece has heard, or several that overlap: segments, and the time up to which they were heard."""

    segments: list[Segment]
    heard_to_s: float


class Spliced:
    """A line of segments to which pieces are added. What comes of it does not depend on when `settle` is called."""

    def __init__(self) -> None:
        self.certain: list[Segment] = []  # that no piece can change any more
        self._open: list[_Stretch] = []

    @property
    def segments(self) -> list[Segment]:
        """All of the line."""
        return [*self.certain, *_all_of(self._open)]

    def add(self, segments: Sequence[Segment], span: Span) -> None:
        """What a piece over `span` has heard. What it has not heard is no reason to drop what another has."""
        if not segments:
            return
        n_before = next((n for n, one in enumerate(self._open) if one.heard_to_s > span.start_s), len(self._open))
        overlapped = self._open[n_before:]
        heard_to_s = max((one.heard_to_s for one in overlapped), default=span.start_s)
        spliced = splice(_all_of(overlapped), segments, Span(span.start_s, heard_to_s)) if overlapped else segments
        self._open[n_before:] = [_Stretch(list(spliced), max(heard_to_s, span.end_s))]

    def settle(self, next_s: float) -> float:
        """Take note that whatever is added from now on begins at `next_s` or later. The time before which no segment
        begins that has yet to become certain."""
        while self._open and self._open[0].heard_to_s <= next_s:  # no piece to come has heard any of it
            self.certain += self._open.pop(0).segments
        n_certain = _n_out_of_reach(_all_of(self._open), next_s)
        for one in self._open:
            taken = one.segments[:n_certain]
            del one.segments[: len(taken)]
            self.certain += taken
            n_certain -= len(taken)
        return min([next_s - ROUNDING_S, *(one.start for one in _all_of(self._open))])


def _all_of(stretches: Sequence[_Stretch]) -> list[Segment]:
    return [segment for one in stretches for segment in one.segments]


def _n_out_of_reach(segments: Sequence[Segment], next_s: float) -> int:
    """How many of the first segments `splice` leaves as they are, whatever it is given of a piece from `next_s` on.

    It compares words up to `LEAST_REACH_S` before what both pieces have heard, and lets no segment end after one that
    follows it begins.
    """
    starts = [next_s - ROUNDING_S]  # of all from each segment on, the earliest
    for one in reversed(segments):
        starts.append(min(starts[-1], one.start))
    n_certain, latest_s = 0, 0.0
    for place, (one, next_start_s) in enumerate(zip(segments, reversed(starts[:-1]), strict=True)):
        latest_s = max([latest_s, one.end, *(word.end for word in one.words or ())])
        if latest_s + LEAST_REACH_S >= next_s - ROUNDING_S:
            break
        if latest_s <= next_start_s:
            n_certain = place + 1
    return n_certain
