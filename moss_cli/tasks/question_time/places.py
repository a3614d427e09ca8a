"""What the rules for times make of what they match: places in a recording.

The functions take what a rule has matched, and give the place that it means: a span in seconds from the start of the
file. A point has no length; a span that ends before it starts is one that was asked for backwards.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from moss_cli.errors import UsageError
from moss_cli.span import Span

EDGE_S, EDGE_SHARE = 30.0, 0.2  # how much of a file its beginning and end are, at most
_UNIT_S = {"h": 3600, "小": 3600, "m": 60, "分": 60, "s": 1, "秒": 1}  # by their first letter
_PARTS = {"half": 2, "third": 3, "quarter": 4}


def hull(ranges: Sequence[Span]) -> Span:
    return Span(min(r.start_s for r in ranges), max(r.end_s for r in ranges))


@dataclass(frozen=True)
class RuleMatch:
    """What a rule has matched: its named groups, and the marks in it, in their order."""

    match: re.Match[str]
    marks: Sequence[Span]
    duration_s: float


def point(seconds: float) -> Span:
    return Span(seconds, seconds)


def clock_time(found: RuleMatch) -> Span:
    hours, minutes, seconds = (float(found.match[group] or 0) for group in ("h", "m", "s"))
    return point(hours * 3600 + minutes * 60 + seconds)


def nth(found: RuleMatch) -> Span:
    """The third minute is 120-180 s; the second to last one is counted from the end."""
    n, unit_s = float(found.match["n"]), _UNIT_S[found.match["unit"][0]]
    if found.match["last"]:
        return Span(max(found.duration_s - n * unit_s, 0), max(found.duration_s - (n - 1) * unit_s, 0))
    return Span(max(n - 1, 0) * unit_s, n * unit_s)


def share(found: RuleMatch) -> Span:
    parts, which = _PARTS[found.match["part"]], found.match["which"]
    n = int(which[0]) if which[0].isdigit() else 2 if which == "middle" else parts
    return part(found, (n - 1) / parts, n / parts)


def zh_share(found: RuleMatch) -> Span:
    share = float(found.match["n"] or 1) / float(found.match["of"] or 2)
    return part(found, 0, share) if found.match["first"] else part(found, 1 - share, 1)


def percent(found: RuleMatch) -> float:
    return float(found.match["percent"]) / 100


def part(found: RuleMatch, start: float, end: float) -> Span:
    return Span(max(start, 0) * found.duration_s, min(end, 1) * found.duration_s)


def way(found: RuleMatch) -> Span:
    n, of = found.match["n"] or found.match["zh_n"], found.match["of"] or found.match["zh"]
    share = (1 if n == "a" else int(n)) / (_PARTS.get(of) or int(of))
    return point(min(share, 1) * found.duration_s)


def hull_of(found: RuleMatch) -> Span:
    return hull(found.marks)


def length(found: RuleMatch) -> float:
    """The seconds of the first mark, taken as a length. Raises UsageError (code "range") for none at all."""
    return _some(found.marks[0].start_s)


def percent_length(found: RuleMatch) -> float:
    """A percentage, taken as a length. Raises UsageError (code "range") for none at all."""
    return _some(percent(found))


def _some(length: float) -> float:
    if not length:
        raise UsageError(
            "the question asks about a part with no length",
            hint="name a length greater than 0, such as 'the last 30 seconds', or a moment, such as 'at 1:30'",
            code="range",
        )
    return length


def first(found: RuleMatch, seconds: float) -> Span:
    return Span(0, min(seconds, found.duration_s))


def last(found: RuleMatch, seconds: float) -> Span:
    return Span(max(found.duration_s - seconds, 0), found.duration_s)


def edge_s(found: RuleMatch) -> float:
    return min(EDGE_S, EDGE_SHARE * found.duration_s)


def beside(found: RuleMatch, base_s: float, sign: int) -> Span:
    """ "30 s before the end" is a point, "the 30 s before the end" all of them."""
    all_of_it = bool(found.match["the"])
    other_s = max(base_s + sign * (length(found) if all_of_it else found.marks[0].start_s), 0)
    return Span(min(base_s, other_s), max(base_s, other_s)) if all_of_it else point(other_s)


def lasting(found: RuleMatch) -> Span:
    """ "from 1:00 for 30 seconds", "30 seconds starting at 1:00" """
    place, lasts = found.marks[::-1] if found.match["length_first"] else found.marks
    return Span(place.start_s, place.start_s + _some(lasts.start_s))


def without(found: RuleMatch) -> Span | str:
    """All but the first or the last of the file; of anything else left out, no place follows."""
    [left_out] = found.marks
    if left_out.start_s <= 0:
        return Span(left_out.end_s, inf)
    return Span(0, left_out.start_s) if left_out.end_s >= found.duration_s else "…"


def between(found: RuleMatch) -> Span:
    one, other = found.marks
    is_backwards = other.start_s < one.start_s and other.end_s < one.end_s
    return Span(one.start_s, other.start_s if is_backwards else other.end_s)
