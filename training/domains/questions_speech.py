"""Questions on what is said, by whom and when."""

from __future__ import annotations

import random
from dataclasses import replace

from training.domains.questions_asking import (
    COLOURS,
    CONTENT,
    GENDERS,
    ORDINALS,
    PERSON,
    Found,
    Kind,
    alone_between,
    called,
    moments,
    named,
    order,
    people,
    placed,
    quoted,
    some,
)
from training.domains.questions_clips import LONG_GAP_S, LONG_LEAD_S, Clip, Item, Wish
from training.examples import tenths
from training.sentences import lexicon

NOTHING = "nothing"


def _said(clip: Clip, item: Item, why: str = "", **slots: object) -> Found:
    return Found(item.text, slots, (item,), f"{why}{called(clip, item)}")


def said(rng: random.Random, clip: Clip) -> Found | None:
    if not clip.sentences:
        return Found(NOTHING, steps="nobody speaks")
    return _said(clip, clip.sentences[0]) if len(clip.sentences) == 1 else None


def said_first(rng: random.Random, clip: Clip) -> Found | None:
    if len(clip.sentences) < 2:
        return None
    return _said(clip, clip.sentences[0])


def said_last(rng: random.Random, clip: Clip) -> Found | None:
    if len(clip.sentences) < 2:
        return None
    return _said(clip, clip.sentences[-1])


def said_nth(rng: random.Random, clip: Clip) -> Found | None:
    if len(clip.sentences) < 2:
        return None
    i = rng.randrange(len(clip.sentences))
    item = clip.sentences[i]
    return _said(clip, item, nth=ORDINALS[i])


def said_between(rng: random.Random, clip: Clip) -> Found | None:
    found = alone_between(rng, clip.sentences, clip.duration_s)
    if found is None:
        return None
    item, start, end = found
    return _said(clip, item, f"between {start} and {end}: ", a=start, b=end)


def said_at(rng: random.Random, clip: Clip) -> Found | None:
    asked = [(item, t) for item in clip.sentences for t in moments(item)]
    if not asked:
        return None
    item, t = rng.choice(asked)
    return _said(clip, item, f"at {t}: ", t=t)


def _one_named(clip: Clip, kind: str) -> tuple[str, Item] | None:
    """The only word of a kind in the clip, and the sentence it is in."""
    found = [(word, item) for item in clip.sentences for word in named(item.text, kind)]
    return found[0] if len(found) == 1 else None


def content(rng: random.Random, clip: Clip) -> Found | None:
    kinds = [kind for kind in CONTENT if _one_named(clip, kind)]
    found = _one_named(clip, kind := rng.choice(kinds)) if kinds else None
    if found is None:
        return None
    word, item = found
    wording = "who" if kind == "name" else ""
    return Found(word, {"kind": kind}, (item,), quoted(clip, clip.sentences), tuple(lexicon()[kind]), wording)


def content_wish(rng: random.Random) -> Wish:
    """One sentence that names one thing of a kind, and others that name none."""
    kind, n = rng.choice(CONTENT), rng.choice((1, 1, 2, 3))
    which = rng.randrange(n)
    fits = [lambda text, wanted=int(i == which): len(named(text, kind)) == wanted for i in range(n)]
    return Wish(order(rng, n, rng.choice((0, 0, 1))), speakers=people(rng, n), fits=fits)


def described(text: str) -> list[tuple[str, str]]:
    """`(object, adjective)` for what a sentence describes by one adjective: `the red door`, `the door is red`."""
    words, found = text.split(), []
    kinds = lexicon()
    for i, word in enumerate(words):
        if word not in kinds["object"] or words.count(word) > 1:
            continue
        before = i and words[i - 1] in kinds["adjective"] and (i < 2 or words[i - 2] not in kinds["adjective"])
        after = words[i + 1 : i + 2] in (["is"], ["was"]) and len(words) == i + 3 and words[-1] in kinds["adjective"]
        if before and words[i + 1 : i + 2] not in (["is"], ["was"]):
            found.append((word, words[i - 1]))
        elif after and not before:
            found.append((word, words[-1]))
    return found


def adjective(rng: random.Random, clip: Clip) -> Found | None:
    words = [word for item in clip.sentences for word in item.text.split()]
    asked = [(item, *pair) for item in clip.sentences for pair in described(item.text) if words.count(pair[0]) == 1]
    if not asked:
        return None
    item, thing, word = rng.choice(asked)
    pool = COLOURS if word in COLOURS else tuple(lexicon()["adjective"])
    wording = "colour" if word in COLOURS and rng.random() < 0.7 else ""
    return Found(word, {"object": thing}, (item,), quoted(clip, clip.sentences), pool, wording)


def adjective_wish(rng: random.Random) -> Wish:
    n = rng.choice((1, 1, 2, 3))
    fits = [lambda text: bool(described(text))]
    return Wish(order(rng, n, rng.choice((0, 0, 1))), speakers=people(rng, n), fits=fits)


def n_sentences(rng: random.Random, clip: Clip) -> Found:
    n = len(clip.sentences)
    return Found(str(n), steps=f"{n} times speech")


def n_speakers(rng: random.Random, clip: Clip) -> Found | None:
    genders = {item.gender for item in clip.sentences}
    steps = "a man and a woman" if len(genders) > 1 else "one voice"
    return Found(str(len(genders)), steps=steps) if genders else None


def n_speakers_wish(rng: random.Random) -> Wish:
    both = rng.sample(GENDERS, 2)
    return Wish(order(rng, rng.choice((2, 2, 3)), rng.choice((0, 0, 1))), speakers=both[: rng.choice((1, 2))])


def first_gender(rng: random.Random, clip: Clip) -> Found | None:
    if not clip.sentences:
        return None
    first = clip.sentences[0]
    return Found(PERSON[first.gender or "male"], items=(first,), steps=called(clip, first, by_voice=True))


def pause(rng: random.Random, clip: Clip) -> Found | None:
    pairs = list(zip(clip.items, clip.items[1:], strict=False))
    asked = [(a, b) for a, b in pairs if a.is_speech and b.is_speech]
    if not asked:
        return None
    before, after = rng.choice(asked)
    i = clip.sentences.index(before)
    start_s, end_s = tenths(after.start_s), tenths(before.end_s)
    length = tenths(start_s - end_s)
    steps = f"{placed(clip, before)}, {placed(clip, after)}\n{start_s} - {end_s} = {length}"
    return Found(f"{length} seconds", {"nth": ORDINALS[i], "next": ORDINALS[i + 1]}, steps=steps)


def speech_start(rng: random.Random, clip: Clip) -> Found | None:
    if not clip.sentences:
        return None
    first = clip.sentences[0]
    return Found(f"{tenths(first.start_s)} seconds", items=(first,), steps=placed(clip, first))


def _pause_wish(rng: random.Random) -> Wish:
    return Wish(order(rng, 2, rng.choice((0, 0, 1)), having="ss"), gap_s=LONG_GAP_S)


def _start_wish(rng: random.Random) -> Wish:
    return replace(some(rng, (1, 2), (0, 0, 1)), lead_s=LONG_LEAD_S)


KINDS: dict[str, Kind] = {
    "said": Kind("sentence", lambda rng: some(rng, (0, 1, 1, 1, 1, 1), (0, 0, 1, 2)), said),
    "said first": Kind("sentence", lambda rng: some(rng, (2, 2, 3), (0, 0, 1)), said_first, 0.8),
    "said last": Kind("sentence", lambda rng: some(rng, (2, 2, 3), (0, 0, 1)), said_last, 0.8),
    "said nth": Kind("sentence", lambda rng: some(rng, (2, 3), (0, 0, 1)), said_nth, 0.8),
    "said between": Kind("sentence", lambda rng: some(rng, (1, 2, 3, 4), (0, 1, 1)), said_between, 1.2),
    "said at": Kind("sentence", lambda rng: some(rng, (1, 2, 3), (0, 1, 1)), said_at, 1.2),
    "named": Kind("word", content_wish, content, 2.0),
    "adjective": Kind("word", adjective_wish, adjective, 1.2),
    "n sentences": Kind("number", lambda rng: some(rng, (1, 2, 3, 4), (0, 0, 1)), n_sentences),
    "n speakers": Kind("number", n_speakers_wish, n_speakers, by_voice=True),
    "first gender": Kind("person", lambda rng: some(rng, (1, 2, 2), (0, 1)), first_gender, by_voice=True),
    "pause": Kind("seconds", _pause_wish, pause, 0.7),
    "speech start": Kind("seconds", _start_wish, speech_start, 0.7),
}
