"""Words as units that can be compared, and the model's times of them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby

from moss_cli.span import Span
from moss_cli.tasks.reading.merge_rules import is_wide
from moss_cli.tasks.reading.timed import Segment, Word
from moss_cli.tasks.reading.timestamps import Draft

MOST_MISHEARD = 2
MOST_TOGETHER = 8  # ideographs that are believed to be one word
OUTSIDE_S = 0.3  # how far a word's time may lie outside its sentence and still be believed


@dataclass(frozen=True)
class Unit:
    """A word, or an ideograph: where it stands in its text (marks after it included), and what it is compared by."""

    start: int
    end: int
    key: str


def units(text: str) -> list[Unit]:
    """The units of a text in order; marks that stand alone belong to what is before them."""
    found: list[Unit] = []
    for _, group in groupby(enumerate(text), lambda place: _kind(*place)):
        places = [i for i, _ in group]
        start, end = places[0], places[-1] + 1
        key = "".join(c for c in text[start:end].casefold() if not _is_mark(c))
        if key:
            found.append(Unit(start, end, key))
        elif found and text[start:end].strip():
            found[-1] = Unit(found[-1].start, end, found[-1].key)
    return found


def _kind(place: int, character: str) -> str | int:
    """What neighbours of one unit have in common; an ideograph has nothing in common with its neighbours."""
    if is_wide(character) and not _is_mark(character):
        return place
    return "space" if character.isspace() else "word"


def _is_mark(character: str) -> bool:
    return character.isspace() or unicodedata.category(character)[0] in "PSC"


def matching(first: Sequence[str], second: Sequence[str]) -> list[tuple[int, int]]:
    """Places of units that stand for each other: equal ones, and up to two in a row that were heard otherwise."""
    pairs: list[tuple[int, int]] = []
    for kind, a, a_end, b, b_end in SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        if kind == "equal" or (kind == "replace" and a_end - a == b_end - b <= MOST_MISHEARD):
            pairs += zip(range(a, a_end), range(b, b_end), strict=True)
    return pairs


def with_words(segments: Sequence[Segment], said: Sequence[Draft], span: Span) -> list[Segment]:
    """Segments with the words of an answer that has a start and an end for each (in seconds from the span's start).

    A segment gets them only where all of its words have times of the model's own, that do not run backwards and lie
    in it; nothing is filled in between.
    """
    places = [(i, unit) for i, segment in enumerate(segments) for unit in units(segment.text)]
    heard = [(j, unit.key) for j, draft in enumerate(said) for unit in units(draft.text)]
    partner = dict(matching([unit.key for _, unit in places], [key for _, key in heard]))
    result = list(segments)
    for i, segment in enumerate(segments):
        own = [(unit, heard[partner[p]][0] if p in partner else None) for p, (at, unit) in enumerate(places) if at == i]
        words = _words(segment, own, said, span)
        if words:
            result[i] = segment.model_copy(update={"words": words})
    return result


def _words(
    segment: Segment, own: Sequence[tuple[Unit, int | None]], said: Sequence[Draft], span: Span
) -> tuple[Word, ...] | None:
    """The words of one segment; `own` are its units and the place in `said` of each."""
    words: list[Word] = []
    first, last_end, last_place = 0, segment.start - OUTSIDE_S, -1
    for unit, place in own:
        if place is None:
            return None
        if place == last_place:  # several ideographs under one time; several words are no word's time
            together = segment.text[first : unit.end].strip()
            if any(c.isspace() for c in together) or len(units(together)) > MOST_TOGETHER:
                return None
            words[-1] = words[-1].model_copy(update={"word": together})
            continue
        start, end = said[place].start, said[place].end
        if start is None or end is None or place < last_place:
            return None
        start, end = span.start_s + start, span.start_s + end
        if not last_end - 0.001 <= start <= end <= segment.end + OUTSIDE_S:
            return None
        inside = [round(min(max(t, segment.start), segment.end), 3) for t in (start, end)]
        words.append(Word(start=inside[0], end=inside[1], word=segment.text[unit.start : unit.end].strip()))
        first, last_end, last_place = unit.start, end, place
    return tuple(words) or None
