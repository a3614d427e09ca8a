"""What the rules for times make of what they match: places in a recording.

The functions take what a rule has matched, and give the place that it means.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from moss_cli.errors import UsageError

EDGE_S, EDGE_SHARE = 30.0, 0.2  # how much of a file its beginning and end are, at most
_UNIT_S = {"h": 3600, "小": 3600, "m": 60, "分": 60, "s": 1, "秒": 1}  # by their first letter
_PARTS = {"half": 2, "third": 3, "quarter": 4}


@dataclass(frozen=True)
class TimeRange:
    """What a question is about, in seconds from the start of the file. A point has no length; a range that ends before
    it starts is one that was asked for backwards."""

    start_s: float
    end_s: float


def hull(ranges: Sequence[TimeRange]) -> TimeRange:
    return TimeRange(min(r.start_s for r in ranges), max(r.end_s for r in ranges))


@dataclass(frozen=True)
class Found:
    """What a rule has matched: its named groups, and the marks in it, in their order."""

    match: re.Match[str]
    marks: Sequence[TimeRange]
    duration_s: float


def point(seconds: float) -> TimeRange:
    return TimeRange(seconds, seconds)


def clock_time(found: Found) -> TimeRange:
    hours, minutes, seconds = (float(found.match[group] or 0) for group in ("h", "m", "s"))
    return point(hours * 3600 + minutes * 60 + seconds)


def nth(found: Found) -> TimeRange:
    """The third minute is 120-180 s; the second to last one is counted from the end."""
    n, unit_s = float(found.match["n"]), _UNIT_S[found.match["unit"][0]]
    if found.match["last"]:
        return TimeRange(max(found.duration_s - n * unit_s, 0), max(found.duration_s - (n - 1) * unit_s, 0))
    return TimeRange(max(n - 1, 0) * unit_s, n * unit_s)


def share(found: Found) -> TimeRange:
    parts, which = _PARTS[found.match["part"]], found.match["which"]
    n = int(which[0]) if which[0].isdigit() else 2 if which == "middle" else parts
    return part(found, (n - 1) / parts, n / parts)


def zh_share(found: Found) -> TimeRange:
    share = float(found.match["n"] or 1) / float(found.match["of"] or 2)
    return part(found, 0, share) if found.match["first"] else part(found, 1 - share, 1)


def percent(found: Found) -> float:
    return float(found.match["percent"]) / 100


def part(found: Found, start: float, end: float) -> TimeRange:
    return TimeRange(max(start, 0) * found.duration_s, min(end, 1) * found.duration_s)


def way(found: Found) -> TimeRange:
    n, of = found.match["n"] or found.match["zh_n"], found.match["of"] or found.match["zh"]
    share = (1 if n == "a" else int(n)) / (_PARTS.get(of) or int(of))
    return point(min(share, 1) * found.duration_s)


def hull_of(found: Found) -> TimeRange:
    return hull(found.marks)


def length(found: Found) -> float:
    """The seconds of the first mark, taken as a length. Raises UsageError (code "range") for none at all."""
    return _some(found.marks[0].start_s)


def percent_length(found: Found) -> float:
    """A percentage, taken as a length. Raises UsageError (code "range") for none at all."""
    return _some(percent(found))


def _some(length: float) -> float:
    if not length:
        raise UsageError(
            "the question asks about a part of no length",
            hint="name a length that is more than 0, as in: the last 30 seconds; or a moment, as in: at 1:30",
            code="range",
        )
    return length


def first(found: Found, seconds: float) -> TimeRange:
    return TimeRange(0, min(seconds, found.duration_s))


def last(found: Found, seconds: float) -> TimeRange:
    return TimeRange(max(found.duration_s - seconds, 0), found.duration_s)


def edge_s(found: Found) -> float:
    return min(EDGE_S, EDGE_SHARE * found.duration_s)


def beside(found: Found, base_s: float, sign: int) -> TimeRange:
    """ "30 s before the end" is a point, "the 30 s before the end" all of them."""
    all_of_it = bool(found.match["the"])
    other_s = max(base_s + sign * (length(found) if all_of_it else found.marks[0].start_s), 0)
    return TimeRange(min(base_s, other_s), max(base_s, other_s)) if all_of_it else point(other_s)


def lasting(found: Found) -> TimeRange:
    """ "from 1:00 for 30 seconds", "30 seconds starting at 1:00" """
    place, lasts = found.marks[::-1] if found.match["length_first"] else found.marks
    return TimeRange(place.start_s, place.start_s + _some(lasts.start_s))


def without(found: Found) -> TimeRange | str:
    """All but the first or the last of the file; of anything else left out, no place follows."""
    [left_out] = found.marks
    if left_out.start_s <= 0:
        return TimeRange(left_out.end_s, inf)
    return TimeRange(0, left_out.start_s) if left_out.end_s >= found.duration_s else "…"


def between(found: Found) -> TimeRange:
    one, other = found.marks
    is_backwards = other.start_s < one.start_s and other.end_s < one.end_s
    return TimeRange(one.start_s, other.start_s if is_backwards else other.end_s)
