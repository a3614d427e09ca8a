"""Questions that take two steps: find one thing, then what lies beside it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

from training.domains.questions_asking import (
    GENDERS,
    ORDINALS,
    PERSON,
    Found,
    Kind,
    called,
    named,
    numbered,
    order,
    people,
    unique,
)
from training.domains.questions_clips import Clip, Item, Wish
from training.domains.scenes import EVENTS
from training.sentences import lexicon


def _neighbours(clip: Clip) -> Iterator[tuple[Item, Item]]:
    return zip(clip.items, clip.items[1:], strict=False)


def _next_to(clip: Clip, anchor: Item, wanted: Item, *, by_voice: bool = False) -> str:
    """What is found and then what lies beside it. What comes next is written as in the list of what is heard, so that
    one follows on the other there too."""
    first, second = called(clip, anchor, by_voice=by_voice), called(clip, wanted, by_voice=by_voice)
    return f"{first}, {second}" if anchor.start_s < wanted.start_s else f"{first} after {second}"


def _sound(clip: Clip, beside: Item, sound: Item, **slots: object) -> Found:
    return Found(sound.text, slots, (sound,), _next_to(clip, beside, sound), EVENTS)


def sound_after_sentence(rng: random.Random, clip: Clip) -> Found | None:
    pairs = [(a, b) for a, b in _neighbours(clip) if a.is_speech and not b.is_speech]
    if not pairs:
        return None
    sentence, sound = rng.choice(pairs)
    return _sound(clip, sentence, sound, nth=ORDINALS[clip.sentences.index(sentence)])


def sound_before_sentence(rng: random.Random, clip: Clip) -> Found | None:
    pairs = [(a, b) for a, b in _neighbours(clip) if not a.is_speech and b.is_speech]
    if not pairs:
        return None
    sound, sentence = rng.choice(pairs)
    return _sound(clip, sentence, sound, nth=ORDINALS[clip.sentences.index(sentence)])


def _beside_sound(rng: random.Random, clip: Clip, *, after: bool) -> tuple[Item, Item] | None:
    """A sound that is heard once, and the sentence right after or before it."""
    pairs = [(a, b) if after else (b, a) for a, b in _neighbours(clip)]
    pairs = [(one, other) for one, other in pairs if one in unique(clip) and other.is_speech]
    return rng.choice(pairs) if pairs else None


def _said(rng: random.Random, clip: Clip, *, after: bool) -> Found | None:
    found = _beside_sound(rng, clip, after=after)
    if found is None:
        return None
    sound, sentence = found
    return Found(sentence.text, {"sound": sound.text}, (sentence,), _next_to(clip, sound, sentence))


def said_after_sound(rng: random.Random, clip: Clip) -> Found | None:
    return _said(rng, clip, after=True)


def said_before_sound(rng: random.Random, clip: Clip) -> Found | None:
    return _said(rng, clip, after=False)


def who_after_sound(rng: random.Random, clip: Clip) -> Found | None:
    found = _said(rng, clip, after=True)
    names = named(found.answer, "name") if found else []
    if found is None or len(names) != 1:
        return None
    return replace(found, answer=names[0], steps=f"{found.steps} {found.answer}", pool=tuple(lexicon()["name"]))


def voice_after_sound(rng: random.Random, clip: Clip) -> Found | None:
    found = _beside_sound(rng, clip, after=True)
    if found is None:
        return None
    sound, sentence = found
    person = PERSON[sentence.gender or "male"]
    steps = _next_to(clip, sound, sentence, by_voice=True)
    return Found(person, {"sound": sound.text}, (sentence,), steps)


def sound_before_voice(rng: random.Random, clip: Clip) -> Found | None:
    """Where a man and a woman speak, one of them once and after a sound."""
    if {item.gender for item in clip.sentences} != set(GENDERS):
        return None
    once = [item for item in clip.sentences if sum(other.gender == item.gender for other in clip.sentences) == 1]
    pairs = [(a, b) for a, b in _neighbours(clip) if not a.is_speech and b in once]
    if not pairs:
        return None
    sound, sentence = rng.choice(pairs)
    person = PERSON[sentence.gender or "male"]
    steps = _next_to(clip, sentence, sound, by_voice=True)
    return Found(sound.text, {"who": person}, (sound,), steps, EVENTS)


def sound_between_sentences(rng: random.Random, clip: Clip) -> Found | None:
    threes = [
        (a, b)
        for a, b, c in zip(clip.items, clip.items[1:], clip.items[2:], strict=False)
        if a.is_speech and not b.is_speech and c.is_speech
    ]
    if not threes:
        return None
    sentence, sound = rng.choice(threes)
    i = clip.sentences.index(sentence)
    return _sound(clip, sentence, sound, nth=ORDINALS[i], next=ORDINALS[i + 1])


def n_sounds_after_sentence(rng: random.Random, clip: Clip) -> Found | None:
    if not clip.sentences:
        return None
    i = rng.randrange(len(clip.sentences))
    sentence = clip.sentences[i]
    after = [item for item in clip.sounds if item.start_s > sentence.start_s]
    return Found(str(len(after)), {"nth": ORDINALS[i]}, steps=f"{called(clip, sentence)}, {numbered(after)}")


def n_sentences_before_sound(rng: random.Random, clip: Clip) -> Found | None:
    if not (sounds := unique(clip)):
        return None
    sound = rng.choice(sounds)
    before = [item for item in clip.sentences if item.start_s < sound.start_s]
    steps = ", ".join(called(clip, item) for item in (*before, sound))
    return Found(str(len(before)), {"sound": sound.text}, steps=f"{steps}\n{len(before)} times speech")


def is_before(rng: random.Random, clip: Clip) -> Found | None:
    sounds = unique(clip)
    if len(sounds) < 2:
        return None
    one, other = rng.sample(sounds, 2)
    answer = "yes" if one.start_s < other.start_s else "no"
    slots = {"sound": one.text, "other": other.text}
    return Found(answer, slots, steps=f"{called(clip, one)}, {called(clip, other)}")


def _beside(rng: random.Random, having: str) -> Wish:
    n_sentences = rng.choice((1, 2, 2, 3))
    n_sentences = max(n_sentences, having.count("s"))
    n_events = max(rng.choice((1, 2, 2, 3)) if n_sentences < 3 else rng.choice((1, 2)), having.count("e"))
    return Wish(order(rng, n_sentences, n_events, having=having), speakers=people(rng, n_sentences))


def _voices_wish(rng: random.Random) -> Wish:
    having = rng.choice(("es", "ese"))
    return Wish(order(rng, 2, rng.choice((2, 3)), having=having), speakers=rng.sample(GENDERS, 2))


def _names_wish(rng: random.Random) -> Wish:
    wish = _beside(rng, "es")
    fits = [lambda text: len(named(text, "name")) == 1] * wish.order.count("s")
    return Wish(wish.order, speakers=wish.speakers, fits=fits)


def _n_sounds_wish(rng: random.Random) -> Wish:
    """0 to 3 sounds after the first sentence, each as often."""
    after = "e" * rng.randrange(4)
    before = "e" * rng.choice((0, 0, 1))
    more = rng.choice(("", "", "s")) if len(after) < 3 else ""
    rest = list(after + more)
    rng.shuffle(rest)
    return Wish(f"{before}s{''.join(rest)}", speakers=people(rng, 1 + len(more)))


def _n_sentences_wish(rng: random.Random) -> Wish:
    before, after = rng.choice(((0, 1), (0, 2), (1, 0), (1, 1), (2, 0), (2, 1), (3, 0)))
    return Wish("s" * before + "e" + "s" * after, speakers=people(rng, before + after))


KINDS: dict[str, Kind] = {
    "sound after sentence": Kind("sound", lambda rng: _beside(rng, "se"), sound_after_sentence),
    "sound before sentence": Kind("sound", lambda rng: _beside(rng, "es"), sound_before_sentence, 0.7),
    "said after sound": Kind("sentence", lambda rng: _beside(rng, "es"), said_after_sound),
    "said before sound": Kind("sentence", lambda rng: _beside(rng, "se"), said_before_sound, 0.7),
    "who after sound": Kind("word", _names_wish, who_after_sound, 0.7),
    "voice after sound": Kind("person", _voices_wish, voice_after_sound, 0.7, by_voice=True),
    "sound before voice": Kind("sound", _voices_wish, sound_before_voice, by_voice=True),
    "sound between sentences": Kind("sound", lambda rng: _beside(rng, "ses"), sound_between_sentences, 0.7),
    "n sounds after sentence": Kind("number", _n_sounds_wish, n_sounds_after_sentence),
    "n sentences before sound": Kind("number", _n_sentences_wish, n_sentences_before_sound, 0.7),
    "is before": Kind("yes or no", lambda rng: _beside(rng, "ee"), is_before, 0.7),
}
