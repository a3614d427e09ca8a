"""Rules by which what was read of several pieces becomes one result."""

from __future__ import annotations

import math
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from moss_cli.schema import Notice, Record
from moss_cli.span import Span
from moss_cli.tasks.reading.task import Part, Reading
from moss_cli.tasks.reading.timed import Labelled, Timed

_END_MARKS = ".!?。！？…"
PARTS_OF_ONE = "These are notes on the parts of one recording, in the order of its parts."
TOUCHING_S = 1.0  # what lasts up to a cut, and goes on from it, is one


Item = TypeVar("Item", bound=Timed)
R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Weighed:
    """A value that a piece has, and how long the piece is."""

    value: str | None
    seconds: float


def place_of(span: Span) -> str:
    """Where a part lies, as it is told to the model."""
    return f"From {span.start_s:.0f} to {span.end_s:.0f} seconds"


def merged(result: R, text: str, parts: Sequence[Part[R]], *, more: Iterable[Notice] = ()) -> Reading[R]:
    """The reading of a result that was made of several pieces; `more` are notices beside the pieces' own."""
    return Reading(result, text, (*notices(parts), *more), complete(parts), cut(parts))


def notices(parts: Sequence[Part[Any]]) -> tuple[Notice, ...]:
    """The notices of all pieces."""
    return tuple(notice for part in parts for notice in part.reading.notices)


def complete(parts: Sequence[Part[Any]]) -> bool:
    """Whether no piece's answer broke off."""
    return all(part.reading.complete for part in parts)


def cut(parts: Sequence[Part[Any]]) -> tuple[str, ...]:
    """The fields that were cut in any piece, each once."""
    return united(part.reading.cut for part in parts)


def united(names: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """Several lists of names as one, each name once, in the order of their first use."""
    return tuple(dict.fromkeys(name for some in names for name in some))


def weighed(parts: Iterable[Part[R]], value: Callable[[R], str | None]) -> Iterator[Weighed]:
    """A value of each piece's result, with the piece's length."""
    return (Weighed(value(part.reading.result), part.span.duration_s) for part in parts)


def same(first: str | None, second: str | None) -> bool:
    """Whether two values are the same, whatever their case."""
    return (first and first.casefold()) == (second and second.casefold())


def own_spans(parts: Sequence[Part[Any]]) -> list[Span]:
    """The stretch that each piece answers for: where two overlap, each up to the middle."""
    starts, ends = [part.span.start_s for part in parts], [part.span.end_s for part in parts]
    for i in range(len(parts) - 1):
        if starts[i + 1] < ends[i]:
            ends[i] = starts[i + 1] = (starts[i + 1] + ends[i]) / 2
    return [Span(start, end) for start, end in zip(starts, ends, strict=True)]


def prevailing(values: Iterable[Weighed]) -> str | None:
    """The value that holds longest; of equals, the first. Case does not count; None only where there is no other."""
    seconds: dict[str, float] = defaultdict(float)
    spelled: dict[str, str] = {}
    for weighed in values:
        if weighed.value is not None:
            key = weighed.value.casefold()
            seconds[key] += weighed.seconds
            spelled.setdefault(key, weighed.value)
    return spelled[max(seconds, key=seconds.__getitem__)] if seconds else None


def middle(values: Iterable[tuple[float | None, float]]) -> float | None:
    """The median of numbers, each counted for as many seconds as it holds."""
    known = sorted((value, seconds) for value, seconds in values if value is not None)
    half = sum(seconds for _, seconds in known) / 2
    for value, seconds in known:
        half -= seconds
        if half <= 0:
            return value
    return None


def sentences(texts: Iterable[str | None]) -> str | None:
    """Texts one after another, each once, each ended by a mark."""
    unique = dict.fromkeys(text.strip() for text in texts if text and text.strip())
    if len(unique) < 2:
        return next(iter(unique), None)
    return join_texts(
        text if text[-1] in _END_MARKS else text + ("。" if is_wide(text[-1]) else ".") for text in unique
    )


def join_texts(texts: Iterable[str]) -> str:
    """Sentences as running text: a space between them, none between ideographs."""
    joined = ""
    for text in texts:
        gap = " " if joined and text and not (is_wide(joined[-1]) and is_wide(text[0])) else ""
        joined += gap + text
    return joined


def is_wide(character: str) -> bool:
    """Whether a character is an ideograph or its like, which stand without spaces; Hangul does not."""
    return unicodedata.east_asian_width(character) in "WF" and not "\uac00" <= character <= "\ud7a3"


def joined_labels(first: Labelled, second: Labelled) -> Labelled:
    """One event, or section, of two that are one."""
    return first.model_copy(update={"end": max(first.end, second.end)})


def timeline(
    parts: Sequence[Part[R]],
    items: Callable[[R], Sequence[Item]],
    label: Callable[[Item], str],
    joined: Callable[[Item, Item], Item],
) -> tuple[Item, ...]:
    """The items of all pieces' results in order.

    Where pieces overlap, an item counts where its middle lies in its piece's own stretch; one that both pieces put into
    the other's counts in the second. What lasts up to a cut and goes on after it under the same label is one: `joined`
    makes it.
    """
    kept: list[Item] = []
    left: list[Item] = []  # to the next piece
    spans = own_spans(parts)
    for place, (part, own) in enumerate(zip(parts, spans, strict=True)):
        from_s = own.start_s if place else -math.inf
        to_s = own.end_s if place < len(parts) - 1 else math.inf
        before_it, left = left, []
        for item in items(part.reading.result):
            middle_s = (item.start + item.end) / 2
            if middle_s >= to_s:
                left.append(item)
            elif middle_s >= from_s or any(_is_same(one, item, label) for one in before_it):
                before = _carried_on(kept, item, part.span, label) if place else None
                if before is None:
                    kept.append(item)
                else:
                    kept[before] = joined(kept[before], item)
    return tidied(kept, label, joined)


def tidied(
    items: Iterable[Item], label: Callable[[Item], str], joined: Callable[[Item, Item], Item]
) -> tuple[Item, ...]:
    """Items in order, without those of no length; those with one label that are at once are one: `joined` makes it."""
    kept: list[Item] = []
    last: dict[str, int] = {}  # the place of the last item with a label
    for item in sorted(items, key=lambda item: (item.start, item.end)):
        place = last.get(label(item).casefold())
        if item.start >= item.end:
            continue
        if place is not None and item.start < kept[place].end:
            kept[place] = joined(kept[place], item)
        else:
            last[label(item).casefold()] = len(kept)
            kept.append(item)
    return tuple(kept)


def without_repeats(
    items: Iterable[Item], label: Callable[[Item], str], joined: Callable[[Item, Item], Item]
) -> tuple[Item, ...]:
    """Items in order, as one where the next has the same label and begins at once; `joined` makes it."""
    kept: list[Item] = []
    for item in items:
        before = kept[-1] if kept else None
        touches = before is not None and item.start <= before.end + TOUCHING_S
        if before is not None and touches and same(label(before), label(item)):
            kept[-1] = joined(before, item)
        else:
            kept.append(item)
    return tuple(kept)


def _is_same(first: Item, second: Item, label: Callable[[Item], str]) -> bool:
    """Whether two pieces have heard the same."""
    at_once = first.start < second.end and second.start < first.end
    return at_once and same(label(first), label(second))


def _carried_on(kept: Sequence[Item], item: Item, span: Span, label: Callable[[Item], str]) -> int | None:
    """The place of an earlier piece's item that this one, of the piece over `span`, carries on."""
    if item.start > span.start_s + TOUCHING_S:
        return None
    for place in range(len(kept) - 1, -1, -1):
        before = kept[place]
        touches = before.start < span.start_s <= before.end + TOUCHING_S
        if touches and same(label(before), label(item)):
            return place
    return None
