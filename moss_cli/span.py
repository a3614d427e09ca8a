"""A stretch of time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """From `start_s` to `end_s`, in seconds; of a recording, from its start."""

    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s

    def inside(self, other: Span) -> Span:
        """What of it lies in another one; of no length where nothing does."""
        start_s = min(max(self.start_s, other.start_s), other.end_s)
        return Span(start_s, max(start_s, min(self.end_s, other.end_s)))


def less(spans: Iterable[Span], holes: Iterable[Span]) -> list[Span]:
    """What of spans lies in none of the holes."""
    left = list(spans)
    for hole in holes:
        around = [
            (Span(one.start_s, min(one.end_s, hole.start_s)), Span(max(one.start_s, hole.end_s), one.end_s))
            for one in left
        ]
        left = [rest for pair in around for rest in pair if rest.duration_s > 0]
    return left


def joined(spans: Iterable[Span]) -> list[Span]:
    """Spans in order, those that touch or overlap as one."""
    found: list[Span] = []
    for one in sorted(spans, key=lambda span: (span.start_s, span.end_s)):
        if found and one.start_s <= found[-1].end_s:
            found[-1] = Span(found[-1].start_s, max(found[-1].end_s, one.end_s))
        else:
            found.append(one)
    return found
