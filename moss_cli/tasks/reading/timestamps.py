"""Reading `[x.xx]text[y.yy]` as models really write it: ends missing, segments merged, times that
run backwards or past the clip, text before, between and after."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

TIME = re.compile(r"\[\s*(?:(\d{1,3}):)?(?:(\d{1,3}):)?(\d{1,6}(?:[.,]\d{1,6})?)\s*s?\s*\]", re.ASCII)
TOLERANCE_S = 0.05  # a repair smaller than this is rounding, not worth a word


@dataclass(frozen=True)
class TimedText:
    """A stretch of text and when it is said, in seconds from the clip's start."""

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True)
class TimedAnswer:
    """An answer as texts with times. `untimed`: it had text and not one time. `repaired`: times were missing, ran
    backwards or lay outside the clip, and were bounded by their neighbours'."""

    texts: tuple[TimedText, ...]
    untimed: bool = False
    repaired: bool = False


@dataclass(frozen=True)
class Draft:
    """A stretch of text with the times that the answer itself gives it, in seconds from the clip's start."""

    text: str
    start: float | None = None
    end: float | None = None


def read_timestamps(answer: str, duration_s: float) -> TimedAnswer:
    """Read an answer about a clip of `duration_s`. Never raises; never drops a word.

    The segments come in the answer's order, and their times never run backwards or overlap:
    0 <= start <= end <= next start <= duration.
    """
    found = drafts(answer)
    if not found:
        return TimedAnswer(())
    untimed = all(draft.start is None and draft.end is None for draft in found)
    times, repaired = _ordered([t for d in found for t in (d.start, d.end)], duration_s)
    texts = tuple(
        TimedText(start, end, draft.text) for draft, start, end in zip(found, times[::2], times[1::2], strict=True)
    )
    return TimedAnswer(texts, untimed=untimed, repaired=repaired)


def drafts(answer: str) -> list[Draft]:
    """Stretches of text between times. A time after text ends it; a time before text starts it;
    one that stands alone between two texts does both."""
    found: list[Draft] = []
    opened: float | None = None  # a time that has no text yet
    ended: float | None = None  # the time that ended the last text
    at = 0
    for match in [*TIME.finditer(answer), None]:
        text = " ".join(answer[at : match.start() if match else None].split())
        at = match.end() if match else at
        time = _seconds(match) if match else None
        if text:
            found.append(Draft(text, opened if opened is not None else ended, time))
            opened, ended = None, time
        else:
            opened = time
    return found


def _seconds(match: re.Match[str]) -> float:
    first, second, seconds = match.groups()
    parts = [int(p) for p in (first, second) if p is not None]
    minutes = parts[-1] if parts else 0
    hours = parts[0] if len(parts) == 2 else 0
    return hours * 3600 + minutes * 60 + float(seconds.replace(",", "."))


def _ordered(times: list[float | None], duration_s: float) -> tuple[list[float], bool]:
    """Bring times into order: the longest run that does not go backwards is believed, the others
    become the nearest believed time before them (starts) or after them (ends)."""
    inside = [i for i, t in enumerate(times) if t is not None and t <= duration_s + TOLERANCE_S]
    believed = dict.fromkeys(_longest_rising([(i, times[i]) for i in inside]))  # type: ignore[misc]
    result: list[float | None] = [
        min(t, duration_s) if t is not None and i in believed else None for i, t in enumerate(times)
    ]
    repaired = any(r is None for r in result)
    last = 0.0
    for i in range(0, len(result), 2):  # starts
        if result[i] is None:
            result[i] = last
        last = max(last, *(t for t in result[i : i + 2] if t is not None))
    following = duration_s
    for i in range(len(result) - 1, -1, -1):
        value = result[i]
        following = value if value is not None else following
        result[i] = following
    return [t if t is not None else duration_s for t in result], repaired


def _longest_rising(items: list[tuple[int, float]]) -> list[int]:
    """Indexes of a longest subsequence whose times never fall."""
    tails: list[float] = []
    tail_items: list[int] = []
    before: list[int] = []
    for at, (_, time) in enumerate(items):
        place = bisect_right(tails, time)
        before.append(tail_items[place - 1] if place else -1)
        tails[place : place + 1] = [time]
        tail_items[place : place + 1] = [at]
    kept: list[int] = []
    at = tail_items[-1] if tail_items else -1
    while at >= 0:
        kept.append(items[at][0])
        at = before[at]
    return kept[::-1]
