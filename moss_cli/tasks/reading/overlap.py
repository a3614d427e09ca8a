"""What two pieces that overlap have heard, as one line: no word lost or doubled."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from moss_cli.span import Span
from moss_cli.tasks.reading.chains import BestChains, Pair
from moss_cli.tasks.reading.timed import Segment, Word
from moss_cli.tasks.reading.words import Unit, units

# A word without a time of its own is taken to be said where it stands in its segment's text, give or take so much.
LEAST_REACH_S = 1.25  # also the ends of segments are wrong by as much, where a piece ends within one
REACH_SHARE = 0.5  # of how far the word is from its segment's nearer end
SURE_RUN = 3  # so many words in a row are the same, whatever their times
EDGE_S = 0.3  # a sentence that begins or ends so near its piece's edge is cut there
TIMING_S = 0.25  # by as much the times of a sentence may be wrong
MOST_UNITS = 1_000  # compared of each piece: what two pieces share is 6 s at most, in which 30 words are said quickly
MISHEARD_SHARE = 2  # so many words at the cut may have been misheard for each that both pieces have


@dataclass(frozen=True)
class _Heard:
    """A unit of the segment at place `at`, and when it is said: surely so, or give or take `reach_s`."""

    at: int
    unit: Unit
    start_s: float
    end_s: float
    reach_s: float | None

    @property
    def middle_s(self) -> float:
        return (self.start_s + self.end_s) / 2


Numbers = npt.NDArray[np.float64]


def splice(before: Sequence[Segment], after: Sequence[Segment], shared: Span) -> list[Segment]:
    """Segments of two pieces as one line. Both pieces have heard the stretch `shared`.

    The words that both have heard there are found by what they are and when they are said, and the line goes over
    from one piece to the other in the middle of their longest run. Where they have none in common, all is kept. Either
    way times do not run backwards.
    """
    tail, head = _last(before, shared)[-MOST_UNITS:], _first(after, shared)[:MOST_UNITS]
    chain = _chain(tail, head, shared.duration_s)
    passages = [run[len(run) // 2] for run in _runs(chain, tail, head)]
    sure_tail, sure_head = _without_fragments(before, after, tail, head, shared)
    # The places of units that only one of the pieces has.
    alone_tail, alone_head = sorted(sure_tail - {i for i, _ in chain}), sorted(sure_head - {j for _, j in chain})
    most_dropped = MISHEARD_SHARE * len(chain) + 1
    likely = (
        (i, j)
        for i, j in passages
        if len(alone_tail) - bisect_left(alone_tail, i) + bisect_left(alone_head, j) <= most_dropped
    )
    passage = next(likely, None)
    if passage is None:
        return _in_turn(before, after)
    i, j = passage
    left, right = tail[i], head[j]
    kept, rest = before[: left.at], after[right.at + 1 :]
    joined = _joined(before[left.at], left.unit.start, after[right.at], right.unit.start)
    return _in_turn(_in_turn(kept, [joined]), rest)


def _last(segments: Sequence[Segment], shared: Span) -> list[_Heard]:
    """The units from the first on that may have been said in the stretch."""
    found: list[_Heard] = []
    for at in range(len(segments) - 1, -1, -1):
        own = [one for one in _timed_units(segments[at], at) if one.end_s + (one.reach_s or 0) >= shared.start_s]
        if not own and segments[at].end < shared.start_s:
            break
        found = own + found
    return found


def _first(segments: Sequence[Segment], shared: Span) -> list[_Heard]:
    """The units up to the last that may have been said in the stretch."""
    found: list[_Heard] = []
    for at, segment in enumerate(segments):
        own = [one for one in _timed_units(segment, at) if one.start_s - (one.reach_s or 0) <= shared.end_s]
        if not own and segment.start > shared.end_s:
            break
        found += own
    return found


def _timed_units(segment: Segment, at: int) -> list[_Heard]:
    """A segment's units with the times of its words, else as if it were said evenly from its start to its end."""
    places, found = _places(segment), []
    pace = (segment.end - segment.start) / max(1, len(segment.text))
    for unit in units(segment.text):
        place = bisect_right(places, unit.end - 1) - 1
        if segment.words and place >= 0:
            word = segment.words[place]
            found.append(_Heard(at, unit, word.start, word.end, None))
            continue
        start_s, end_s = segment.start + unit.start * pace, segment.start + unit.end * pace
        reach_s = LEAST_REACH_S + REACH_SHARE * min(start_s - segment.start, segment.end - end_s)
        found.append(_Heard(at, unit, start_s, end_s, reach_s))
    return found


def _apart(first: _Heard, second: _Heard) -> float:
    """Seconds between two units; 0 where their words' own times say that they are one, infinite where they deny it."""
    if first.reach_s is None and second.reach_s is None:
        within = first.start_s <= second.middle_s <= first.end_s or second.start_s <= first.middle_s <= second.end_s
        return 0.0 if within else math.inf
    return abs(first.middle_s - second.middle_s)


def _chain(tail: Sequence[_Heard], head: Sequence[_Heard], most_apart_s: float) -> list[Pair]:
    """Pairs that stand for each other, in order: as many as can be, in runs, close in time."""
    by_key = defaultdict[str, list[int]](list)
    for j, second in enumerate(head):
        by_key[second.unit.key].append(j)
    places = {key: np.array(some) for key, some in by_key.items()}
    times, chains = _Times.of(head), BestChains(len(head))
    for i, first in enumerate(tail):
        if first.unit.key in places:
            same = places[first.unit.key]
            apart_s = times.apart(first, same)
            near = apart_s <= max(most_apart_s, LEAST_REACH_S)
            chains.add(i, same[near], 1 / (1 + apart_s[near]))
    return chains.best


@dataclass(frozen=True)
class _Times:
    """Those of units, [n] each; what is not `sure` is so give or take its reach."""

    start_s: Numbers
    end_s: Numbers
    middle_s: Numbers
    sure: npt.NDArray[np.bool_]

    @staticmethod
    def of(heard: Sequence[_Heard]) -> _Times:
        found = np.array([(one.start_s, one.end_s, one.middle_s) for one in heard]).reshape(-1, 3)
        return _Times(found[:, 0], found[:, 1], found[:, 2], np.array([one.reach_s is None for one in heard], np.bool_))

    def apart(self, one: _Heard, places: npt.NDArray[np.int64]) -> Numbers:
        """Seconds between a unit and those at `places`, as `_apart` has them: [n]."""
        middle_s = self.middle_s[places]
        apart_s: Numbers = np.abs(one.middle_s - middle_s)
        if one.reach_s is None:
            within = (one.start_s <= middle_s) & (middle_s <= one.end_s)
            within |= (self.start_s[places] <= one.middle_s) & (one.middle_s <= self.end_s[places])
            apart_s = np.where(self.sure[places], np.where(within, 0.0, np.inf), apart_s)
        return apart_s


def _runs(chain: Sequence[Pair], tail: Sequence[_Heard], head: Sequence[_Heard]) -> list[list[Pair]]:
    """The runs of pairs that are surely the same, the longest first."""
    runs: list[list[Pair]] = []
    for i, j in chain:
        if not runs or runs[-1][-1] != (i - 1, j - 1):
            runs.append([])
        runs[-1].append((i, j))
    sure = [run for run in runs if len(run) >= SURE_RUN or all(_within_reach(tail[i], head[j]) for i, j in run)]
    return sorted(sure, key=len, reverse=True)


def _within_reach(first: _Heard, second: _Heard) -> bool:
    return _apart(first, second) <= max(first.reach_s or 0.0, second.reach_s or 0.0)


def _without_fragments(
    before: Sequence[Segment], after: Sequence[Segment], tail: Sequence[_Heard], head: Sequence[_Heard], shared: Span
) -> tuple[set[int], set[int]]:
    """Places of the units but those of a sentence cut at its piece's edge that the other piece has whole: half a
    sentence is easily misheard, and nothing is lost without it."""
    tail_places, head_places = set(range(len(tail))), set(range(len(head)))
    if not before or not after or before[-1].speaker or after[0].speaker:  # speakers may talk at the same time
        return tail_places, head_places
    last, first = before[-1], after[0]
    whole_before = [one for one in before if one.end <= shared.end_s - EDGE_S]
    whole_after = [one for one in after if one.start >= shared.start_s + EDGE_S]
    if first.start <= shared.start_s + EDGE_S and any(_covers(one, first) for one in whole_before):
        head_places -= {place for place, one in enumerate(head) if one.at == 0}
    if last.end >= shared.end_s - EDGE_S and any(_covers(one, last) for one in whole_after):
        tail_places -= {place for place, one in enumerate(tail) if one.at == len(before) - 1}
    return tail_places, head_places


def _covers(whole: Segment, part: Segment) -> bool:
    return whole.start - TIMING_S <= part.start and part.end <= whole.end + TIMING_S


def _joined(first: Segment, end: int, second: Segment, start: int) -> Segment:
    """The first segment up to a place in its text and the second from a place in its text on."""
    if not first.text[:end].strip():
        start_s = min(first.start, second.end) if start else second.start
        return second.model_copy(update={"start": start_s, "text": second.text[start:], "words": _from(second, start)})
    words = None
    if first.words is not None and second.words is not None:
        words = (*_up_to(first, end), *(_from(second, start) or ()))
    text = " ".join((first.text[:end] + second.text[start:]).split())
    return first.model_copy(update={"end": max(first.start, second.end), "text": text, "words": words})


def _places(segment: Segment) -> list[int]:
    """Where each word of a segment stands in its text."""
    places, at = [], 0
    for word in segment.words or ():
        at = max(at, segment.text.find(word.word, at))
        places.append(at)
        at += len(word.word)
    return places


def _up_to(segment: Segment, end: int) -> tuple[Word, ...]:
    return (segment.words or ())[: bisect_right(_places(segment), end - 1)]


def _from(segment: Segment, start: int) -> tuple[Word, ...] | None:
    if segment.words is None:
        return None
    return segment.words[bisect_right(_places(segment), start - 1) :]


def _in_turn(first: Sequence[Segment], second: Sequence[Segment]) -> list[Segment]:
    """One after the other; where they overlap in time, each up to the middle of that."""
    if not first or not second or first[-1].end <= second[0].start:
        return [*first, *second]
    border_s = round((first[-1].end + second[0].start) / 2, 3)
    return [*(_bounded(one, 0.0, border_s) for one in first), *(_bounded(one, border_s, math.inf) for one in second)]


def _bounded(segment: Segment, low_s: float, high_s: float) -> Segment:
    """A segment, and its words, without what lies outside low..high."""
    if low_s <= segment.start and segment.end <= high_s:
        return segment

    def inside(item: Segment | Word) -> dict[str, float]:
        return {name: min(max(getattr(item, name), low_s), high_s) for name in ("start", "end")}

    words = segment.words and tuple(word.model_copy(update=inside(word)) for word in segment.words)
    return segment.model_copy(update={**inside(segment), "words": words})
