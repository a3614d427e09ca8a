"""What an answer says nothing of though it should: speech without text, and timelines that end long before the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from moss_cli.span import Span, joined, less
from moss_cli.tasks.reading.task import Part
from moss_cli.tasks.reading.timed import Segment, Timed
from moss_cli.tasks.reading.words import units

# Seconds of sure speech without any text that are more than the times of an answer are wrong by. In 100 whole answers
# of `tiny` the most was 1.2 s, and in 99 of them less than 0.4 s.
LEAST_UNTOLD_S = 2.0
EDGE_S = 0.25  # by which a segment's times may be wrong at either end

# A text accounts for so much speech at most: conversation has 2.5 words a second (National Center for Voice and
# Speech), and the slowest whole clip that `tiny` was tried on 1.7; words are sung more slowly.
WORD_S = 2.0  # a word, or an ideograph
LETTER_S = 0.4  # a letter, where words stand without spaces: five of them make a word
DOUBTED_SHARE = 0.5  # of that, where a text lasts as long only because times were missing or wrong

# A timeline may end before the recording does, where nothing changes any more; both chosen.
LEAST_REST_S = 5.0
REST_SHARE = 0.2  # of its clip


def accounted_s(text: str) -> float:
    """How many seconds of speech a text can stand for."""
    found = units(text)
    return max(WORD_S * len(found), LETTER_S * sum(len(unit.key) for unit in found))


def untold_speech(
    segments: Sequence[Segment], speech: Iterable[Span], *, times_are_sure: bool = True
) -> tuple[Span, ...]:
    """Where somebody speaks and no segment says what: between segments, and in one whose text is too short for it.

    Each stretch begins and ends with speech, of which it holds at least `LEAST_UNTOLD_S`.
    """
    left, told = list(speech), [one.start for one in segments]
    share = 1.0 if times_are_sure else DOUBTED_SHARE
    for one in segments:
        window = Span(max(one.start - EDGE_S, 0.0), one.end + EDGE_S)
        left, counted = _without(left, window, share * accounted_s(one.text))
        told += [piece.start_s for piece in counted]
    groups: list[list[Span]] = []
    for piece in left:
        if groups and not any(groups[-1][-1].end_s <= at <= piece.start_s for at in told):
            groups[-1].append(piece)
        else:
            groups.append([piece])
    return tuple(
        Span(group[0].start_s, group[-1].end_s)
        for group in groups
        if sum(piece.duration_s for piece in group) >= LEAST_UNTOLD_S
    )


def _without(speech: Iterable[Span], window: Span, most_s: float) -> tuple[list[Span], list[Span]]:
    """Speech less the first `most_s` seconds of what lies in the window, and these."""
    left, counted = [], []
    for piece in speech:
        common = piece.inside(window)
        taken = Span(common.start_s, min(common.end_s, common.start_s + most_s))
        if taken.duration_s <= 0:
            left.append(piece)
            continue
        most_s -= taken.duration_s
        counted.append(taken)
        left += less([piece], [taken])
    return left, counted


def untold_rest(items: Sequence[Timed], span: Span, heard: Iterable[Span]) -> tuple[Span, ...]:
    """The rest of a clip over `span`, where a timeline ends long before what is heard in it."""
    end_s = max((item.end for item in items), default=span.start_s)
    rest = Span(min(max(end_s, span.start_s), span.end_s), span.end_s)
    seconds = sum(one.inside(rest).duration_s for one in heard)
    return (rest,) if seconds >= max(LEAST_REST_S, REST_SHARE * span.duration_s) else ()


def still_untold(parts: Sequence[Part[Any]]) -> tuple[Span, ...]:
    """What no part tells of, in order: where two overlap, it is enough that the one or the other does."""
    found: list[Span] = []
    for place, part in enumerate(parts):
        left = list(part.untold)
        for other in (*parts[:place], *parts[place + 1 :]) if left else ():
            if other.channel != part.channel:
                continue
            left = less(left, less([other.span], other.untold))
        found += left
    return tuple(one for one in joined(found) if one.duration_s >= LEAST_UNTOLD_S)
