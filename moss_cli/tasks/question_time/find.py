"""The time that a question names: "at the two-minute mark", "between 1:30 and 2:00", "最后一分钟".

The rules (`rules`) rewrite the question until places in the recording are left; several make the smallest range
that holds all.
"""

from __future__ import annotations

import re
from math import inf

from moss_cli.errors import UsageError
from moss_cli.span import Span
from moss_cli.tasks.question_time.places import hull
from moss_cli.tasks.question_time.rules import RULES
from moss_cli.tasks.question_time.spoken_numbers import with_digits

TOLERANCE_S = 0.5  # "at 1:00" is inside a file of 59.9 s

_NO_MARKS = str.maketrans("⟦⟧", "  ")


def find_time(question: str, duration_s: float) -> Span | None:
    """The part of a file of `duration_s` that a question names, or None; 0 <= start <= end <= duration.

    A range that begins in the file is cut at its end, and so are "first" and "last".
    Raises UsageError (code "range") for a time that lies outside, a range that is named backwards and a part of no
    length.
    """
    text, marks = with_digits(question.translate(_NO_MARKS)), list[Span]()
    for rule in RULES:
        text = rule.apply(text, marks, duration_s)
    places = [_inside(marks[int(n)], duration_s) for n in re.findall(r"⟦[CEP](\d+)⟧", text)]
    return hull(places) if places else None


def _inside(asked: Span, duration_s: float) -> Span:
    point = asked.start_s == asked.end_s
    is_outside = asked.start_s > duration_s + TOLERANCE_S if point else asked.start_s >= duration_s > 0
    if is_outside:
        beyond = asked if asked.end_s >= asked.start_s else Span(asked.start_s, asked.start_s)
        raise UsageError(
            f"the question asks about {_shown(beyond)}, but the recording ends at {clock(duration_s)}",
            hint="a time in a question is a position in the recording; write a time of day as 5 pm or 5 o'clock",
            code="range",
        )
    if asked.end_s < asked.start_s:
        raise UsageError(
            f"the question asks about {_shown(asked)}, which ends before it starts",
            hint="name the earlier time first",
            code="range",
        )
    return Span(min(max(asked.start_s, 0.0), duration_s), min(max(asked.end_s, 0.0), duration_s))


def _shown(asked: Span) -> str:
    if asked.end_s == inf:
        return f"what comes after {clock(asked.start_s)}"
    start, end = clock(asked.start_s), clock(asked.end_s)
    return start if start == end else f"{start}-{end}"


def clock(seconds: float) -> str:
    """h:mm:ss or m:ss, with a fraction where there is one, never later than `seconds`."""
    hundredths = int(seconds * 100 + 1e-6)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    shown = f"{rest // 100:02}" + (f".{rest % 100:02}".rstrip("0") if rest % 100 else "")
    return f"{hours}:{minutes:02}:{shown}" if hours else f"{minutes}:{shown}"
