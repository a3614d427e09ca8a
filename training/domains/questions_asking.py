"""What every kind of question has: the clips it is asked about, and how its answer is found."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from training.domains.questions_clips import Clip, Item, Wish
from training.domains.questions_parts import Gender
from training.examples import tenths
from training.sentences import lexicon

# How an answer is compared, and which other answers could stand beside it as choices.
Form = Literal["sentence", "sound", "word", "number", "seconds", "yes or no", "person", "background"]

ORDINALS = ("first", "second", "third", "fourth")
PERSON: dict[Gender, str] = {"male": "man", "female": "woman"}
GENDERS: tuple[Gender, Gender] = ("male", "female")
CONTENT = ("name", "day", "month", "place")
COLOURS = ("red", "blue", "green", "black", "white")
MARGIN_S = 0.25  # a moment that is asked about lies at least so far inside of what is heard then
OVERLAP_S = 0.3  # what only reaches so far into a range of time is not in it


@dataclass(frozen=True)
class Found:
    """An answer. `slots` complete the question's wording; `items` are where it comes from, `steps` how it is
    found, as a thought ends; `pool` are words of which one could be the answer."""

    answer: str
    slots: Mapping[str, object] = field(default_factory=dict)
    items: tuple[Item, ...] = ()
    steps: str = ""
    pool: tuple[str, ...] = ()
    wording: str = ""  # another kind's wordings


@dataclass(frozen=True)
class Kind:
    """A kind of question. `wish` draws what its clips are to have; `find` answers one about a clip, or gives
    None where it cannot be asked. `by_voice`: a thought tells men from women."""

    form: Form
    wish: Callable[[random.Random], Wish]
    find: Callable[[random.Random, Clip], Found | None]
    weight: float = 1.0
    by_voice: bool = False


def order(rng: random.Random, n_sentences: int, n_events: int, *, having: str = "") -> str:
    """`s` and `e` in any order, in which `having` occurs."""
    letters = list("s" * n_sentences + "e" * n_events)
    while True:
        rng.shuffle(letters)
        if having in (found := "".join(letters)):
            return found


def some(rng: random.Random, sentences: Sequence[int], events: Sequence[int]) -> Wish:
    """So many sentences and sounds, by one speaker or two."""
    n_sentences = rng.choice(sentences)
    return Wish(order(rng, n_sentences, rng.choice(events)), speakers=people(rng, n_sentences))


def people(rng: random.Random, n_sentences: int) -> tuple[Gender, ...]:
    """A man, a woman or both by turns."""
    both = rng.sample(GENDERS, 2)
    return tuple(both[: 2 if n_sentences > 1 and rng.random() < 0.5 else 1])


def named(text: str, kind: str) -> list[str]:
    """The words of a kind that a sentence has."""
    words = lexicon()[kind]
    return [word for word in text.split() if word in words]


def span(item: Item) -> str:
    """`2.9-3.4`."""
    return f"{tenths(item.start_s):.1f}-{tenths(item.end_s):.1f}"


def called(clip: Clip, item: Item, *, by_voice: bool = False) -> str:
    """An item as thoughts name it: `second speech`, `siren`."""
    if item.gender is None:
        return item.text
    person = f" {PERSON[item.gender]}" if by_voice else ""
    return f"{ORDINALS[clip.sentences.index(item)]} speech{person}"


def placed(clip: Clip, item: Item, *, by_voice: bool = False) -> str:
    """The same with its place: `second speech 4.0-6.2`."""
    return f"{called(clip, item, by_voice=by_voice)} {span(item)}"


def quoted(clip: Clip, sentences: Sequence[Item]) -> str:
    """Sentences with all that is said in them."""
    return ", ".join(f"{called(clip, sentence)} {sentence.text}" for sentence in sentences)


def numbered(items: Sequence[Item]) -> str:
    """Sounds as thoughts count them: `1 siren, 2 dog bark`."""
    return ", ".join(f"{i} {item.text}" for i, item in enumerate(items, 1)) or "no sounds"


def overlap_s(item: Item, start_s: float, end_s: float) -> float:
    return max(0.0, min(item.end_s, end_s) - max(item.start_s, start_s))


def alone_between(rng: random.Random, items: Sequence[Item], duration_s: float) -> tuple[Item, int, int] | None:
    """One of the items and whole seconds between which it lies, and no other does."""
    found = []
    for start in range(int(duration_s)):
        for end in range(start + 1, min(start + 7, int(duration_s)) + 1):
            inside = [item for item in items if item.start_s >= start + 0.05 and item.end_s <= end - 0.05]
            touched = [item for item in items if overlap_s(item, start, end) > OVERLAP_S]
            if len(inside) == 1 and touched == inside:
                found.append((inside[0], start, end))
    return rng.choice(found) if found else None


def moments(item: Item) -> list[int]:
    """Whole seconds that lie well inside of an item."""
    return [t for t in range(1, 15) if item.start_s + MARGIN_S <= t <= item.end_s - MARGIN_S]


def unique(clip: Clip) -> list[Item]:
    """Sounds that are heard once."""
    return [item for item in clip.sounds if sum(other.text == item.text for other in clip.sounds) == 1]
