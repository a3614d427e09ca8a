"""Questions on the sounds of a clip, and on all of it."""

from __future__ import annotations

import random
from dataclasses import replace

from training.domains.questions_asking import (
    Found,
    Kind,
    alone_between,
    called,
    moments,
    numbered,
    order,
    people,
    placed,
    some,
    unique,
)
from training.domains.questions_clips import LONG_LEAD_S, MUSIC, Clip, Item, Wish
from training.domains.scenes import BEDS, EVENTS, PHRASES
from training.examples import tenths

SPEECH = "speech"
SINGLE = ("doorbell", "cat meow", "whistle", "thunder", "glass breaking")  # one sound each, that can be counted
BACKGROUNDS = {bed: bed for bed in BEDS} | {
    "quiet": "nothing",
    "hum": "a machine hum",
    "stream": "a stream",
    MUSIC: MUSIC,
}


def _sound(clip: Clip, item: Item, why: str = "", **slots: object) -> Found:
    return Found(item.text, slots, (item,), f"{why}{called(clip, item)}", EVENTS)


def heard_at(rng: random.Random, clip: Clip) -> Found | None:
    asked = [(item, t) for item in clip.items for t in moments(item)]
    if not asked:
        return None
    item, t = rng.choice(asked)
    name = SPEECH if item.is_speech else item.text
    return Found(name, {"t": t}, (item,), f"at {t}: {called(clip, item)}", (*EVENTS, SPEECH))


def sound_between(rng: random.Random, clip: Clip) -> Found | None:
    found = alone_between(rng, clip.sounds, clip.duration_s)
    if found is None:
        return None
    item, start, end = found
    return _sound(clip, item, f"between {start} and {end}: ", a=start, b=end)


def sound_first(rng: random.Random, clip: Clip) -> Found | None:
    if len(clip.sounds) < 2:
        return None
    return _sound(clip, clip.sounds[0], "first sound: ")


def sound_last(rng: random.Random, clip: Clip) -> Found | None:
    if len(clip.sounds) < 2:
        return None
    return _sound(clip, clip.sounds[-1], "last sound: ")


def sound_start(rng: random.Random, clip: Clip) -> Found | None:
    if not (sounds := unique(clip)):
        return None
    item = rng.choice(sounds)
    slots = {"sound": item.text}
    return Found(f"{tenths(item.start_s)} seconds", slots, (item,), placed(clip, item))


def is_sound(rng: random.Random, clip: Clip) -> Found | None:
    heard = {item.text: item for item in clip.sounds}
    if not heard:
        return None
    label = rng.choice(list(heard) if rng.random() < 0.5 else [name for name in EVENTS if name not in heard])
    slots = {"a_sound": PHRASES.get(label, label)}
    if item := heard.get(label):
        return Found("yes", slots, (item,), called(clip, item))
    return Found("no", slots, steps=f"no {label}")


def background(rng: random.Random, clip: Clip) -> Found:
    name = BACKGROUNDS[clip.bed]
    return Found(name, steps=f"{name} all the time", pool=tuple(BACKGROUNDS.values()))


def _yes_no(is_so: bool, steps: str) -> Found:
    return Found("yes" if is_so else "no", steps=steps)


def is_rain(rng: random.Random, clip: Clip) -> Found:
    return _yes_no(clip.bed == "rain", f"the background is {BACKGROUNDS[clip.bed]}")


def is_music(rng: random.Random, clip: Clip) -> Found:
    return _yes_no(clip.bed == MUSIC, f"the background is {BACKGROUNDS[clip.bed]}")


def is_speech(rng: random.Random, clip: Clip) -> Found:
    if clip.sentences:
        return Found("yes", items=(clip.sentences[0],), steps=called(clip, clip.sentences[0]))
    return _yes_no(False, "no speech")


def n_sounds(rng: random.Random, clip: Clip) -> Found:
    return Found(str(len(clip.sounds)), steps=numbered(clip.sounds))


def n_times(rng: random.Random, clip: Clip) -> Found | None:
    names = [name for name in SINGLE if any(item.text == name for item in clip.sounds)]
    if not names:
        return None
    name = rng.choice(names)
    items = [item for item in clip.sounds if item.text == name]
    return Found(str(len(items)), {"sound": name}, steps=numbered(items))


def n_barks(rng: random.Random, clip: Clip) -> Found | None:
    if not clip.n_barks:
        return None
    items = tuple(item for item in clip.sounds if item.text == "dog bark")
    return Found(str(clip.n_barks), {}, items[:1], f"{called(clip, items[0])}, {clip.n_barks} barks")


def duration(rng: random.Random, clip: Clip) -> Found | None:
    n = round(clip.duration_s)
    if abs(clip.duration_s - n) > 0.25:
        return None
    return Found(f"{n} seconds", steps=f"it ends at {n}")


def _n_times_wish(rng: random.Random) -> Wish:
    name, n = rng.choice(SINGLE), rng.choice((1, 2, 3))
    others = rng.sample([label for label in EVENTS if label != name], rng.choice((0, 1)) if n < 3 else 0)
    labels = [name] * n + others
    rng.shuffle(labels)
    return Wish("e" * len(labels), labels)


def _barks_wish(rng: random.Random) -> Wish:
    others = rng.sample([label for label in EVENTS if label != "dog bark"], rng.choice((0, 1, 1, 2)))
    labels = ["dog bark", *others]
    rng.shuffle(labels)
    return Wish("e" * len(labels), labels)


def _with_bed(rng: random.Random, bed: str) -> Wish:
    """Over a bed: sounds or speech or, over what is loud enough alone, nothing."""
    n_sentences, n_events = rng.choice(((1, 0), (2, 0), (1, 1), (0, 2), (0, 1), (0, 0)))
    if bed == MUSIC:
        n_sentences, n_events = rng.choice(((0, 0), (0, 0), (1, 0), (2, 0)))
    return Wish(order(rng, n_sentences, n_events), speakers=people(rng, n_sentences), bed=bed)


def _half(rng: random.Random, bed: str) -> Wish:
    """That bed in one clip of two."""
    return _with_bed(rng, bed if rng.random() < 0.5 else rng.choice([other for other in BEDS if other != bed]))


def _speech_wish(rng: random.Random) -> Wish:
    if rng.random() < 0.5:
        return some(rng, (1, 2), (0, 1, 2))
    if rng.random() < 0.2:
        return Wish(bed=MUSIC)
    return Wish("e" * rng.choice((0, 1, 2, 3)))


def _start_wish(rng: random.Random) -> Wish:
    return replace(some(rng, (0, 0, 1), (1, 2)), lead_s=LONG_LEAD_S)


def _duration_wish(rng: random.Random) -> Wish:
    n_sentences, n_events = rng.choice(((1, 0), (2, 0), (3, 0), (1, 1), (2, 1), (0, 2), (0, 3), (0, 4)))
    return Wish(order(rng, n_sentences, n_events), speakers=people(rng, n_sentences), whole_seconds=True)


KINDS: dict[str, Kind] = {
    "heard at": Kind("sound", lambda rng: some(rng, (0, 1, 1), (1, 2, 3)), heard_at),
    "sound between": Kind("sound", lambda rng: some(rng, (0, 0, 1), (2, 3)), sound_between),
    "sound first": Kind("sound", lambda rng: some(rng, (0, 1), (2, 3)), sound_first),
    "sound last": Kind("sound", lambda rng: some(rng, (0, 1), (2, 3)), sound_last),
    "sound start": Kind("seconds", _start_wish, sound_start, 0.7),
    "is sound": Kind("yes or no", lambda rng: some(rng, (0, 0, 1), (1, 2, 3)), is_sound),
    "background": Kind("background", lambda rng: _with_bed(rng, rng.choice((*BEDS, MUSIC))), background),
    "is rain": Kind("yes or no", lambda rng: _half(rng, "rain"), is_rain, 0.7),
    "is music": Kind("yes or no", lambda rng: _half(rng, MUSIC), is_music, 0.7),
    "is speech": Kind("yes or no", _speech_wish, is_speech, 0.7),
    "n sounds": Kind("number", lambda rng: some(rng, (0, 0, 1), (1, 2, 3, 4)), n_sounds),
    "n times": Kind("number", _n_times_wish, n_times),
    "n barks": Kind("number", _barks_wish, n_barks),
    "duration": Kind("seconds", _duration_wish, duration, 0.7),
}
