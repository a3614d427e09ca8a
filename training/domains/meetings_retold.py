"""Minutes made from a thought that is given, without a sound: what is told has to stand in the thought.

A model that has heard the same few facts again and again writes one of those, whatever it has just written down; where
a sentence was half heard, it guesses. So these meetings are of things that are never said in one (the garden needs
robert dollars), in more wordings, and of sentences of which a part is missing no fact is told.
"""

from __future__ import annotations

import random

import numpy as np

from moss_cli.engine.thinking import END_THINK, THINK
from moss_cli.tasks.summarize import Summarize
from training.domains.meetings import STYLES, Placed, minutes, plan, thought, timed_minutes
from training.domains.meetings_facts import FACTS, NEXT, POOLS, TOPICS, Line, draw_when
from training.domains.meetings_parts import Said, Wanted, draw_line
from training.examples import Asked, in_json
from training.sentences import lexicon
from training.voices import Voice

# More wordings than are said, for each kind of fact; none is one of those kept for testing.
ALSO = {
    "task": ("NAME has to TASK the TOPIC WHEN", "WHEN NAME will TASK the TOPIC", "please NAME TASK the TOPIC WHEN"),
    "deed": ("NAME has DEED the TOPIC on DAY", "the TOPIC was DEED by NAME on DAY", "NAME on DAY DEED the TOPIC"),
    "state": ("it is STATE the TOPIC", "the TOPIC will be STATE", "we have a STATE TOPIC", "there is a STATE TOPIC"),
    "cost": ("the TOPIC is DOLLARS dollars", "it needs DOLLARS dollars the TOPIC", "the TOPIC has DOLLARS dollars"),
    "meeting": ("on DAY at HOUR is the TOPIC meeting", "there is a meeting at HOUR on DAY for the TOPIC"),
}
# The kinds of words of the lexicon that might stand where those are said. (With words of any kind the model told of
# quiet dollars where a quiet garden stood a line further.)
LIKE = {
    "TOPIC": ("object", "place", "weather"), "TASK": ("base",), "DEED": ("past",), "STATE": ("adjective",),
    "DAY": ("time", "month"), "MONTH": ("time", "day"), "DOLLARS": ("number",), "HOUR": ("number", "time"),
}  # fmt: skip
ODD_TOPICS, ODD_WORDS = 0.4, 0.5  # of the meetings, and of the words for the rest, that are none of those said
SLIPS, HOLES = 0.15, 0.08  # of the facts, with something wrong that does no harm; with a word missing that matters
LONGEST_S = 30.0
WORD_S = (0.2, 0.4)
NOBODY = Voice("none", "nobody")


def retold(rng: random.Random) -> Asked:
    """Minutes to be made from a thought."""
    placed: list[Placed] = []
    while not any(one.said.line.point for one in placed) or placed[-1].end_s > LONGEST_S:
        placed = _lay_out(rng)
    result = minutes(placed)
    given = f"{THINK}\n{thought(placed, result['chapters'])}\n{END_THINK}"
    prompt = Summarize(rng.choice(STYLES)).questions[0].prompt
    return Asked(prompt, given + in_json(timed_minutes(result)), rng.choice((None, True)), given)


def _lay_out(rng: random.Random) -> list[Placed]:
    odd: dict[str, str] = {}
    if rng.random() < ODD_TOPICS:
        while len(odd) < len(TOPICS):
            odd = dict(zip(TOPICS, {_odd(rng, "TOPIC"): None for _ in range(2 * len(TOPICS))}, strict=False))
    placed: list[Placed] = []
    at_s = rng.uniform(0.1, 0.8)
    for planned in plan(rng):
        topic = odd.get(planned.topic, planned.topic)
        line = _line(rng, planned.wanted, topic)
        start_s = round(at_s + planned.pause_s, 1)
        at_s = round(start_s + sum(rng.uniform(*WORD_S) for _ in line.text.split()), 1)
        placed.append(Placed(start_s, at_s, Said(line, np.empty(0, np.float32), NOBODY), topic))
    return placed


def _line(rng: random.Random, wanted: Wanted, topic: str) -> Line:
    if wanted.role == "fact":
        return _fact(rng, topic, wanted.kind)
    line = draw_line(rng, wanted, reserved=False)
    text = line.text.replace(wanted.topic, topic) if wanted.topic else line.text
    return Line(text, line.role, topic, kind=line.kind)


def _fact(rng: random.Random, topic: str, kind: str) -> Line:
    """A fact that nobody ever says: at least one word of it is none of those that are said in its place."""
    stated, trained, _ = FACTS[kind]
    said = rng.choice(trained + ALSO[kind])
    when = draw_when(rng)
    point, wording = (text.replace("WHEN", when).split() for text in (stated, said))
    names = [name for name in POOLS if name != "TOPIC" and name in {*point, *wording}]
    must = rng.choice([name for name in names if name in point and name in LIKE])
    slots = {"TOPIC": topic} | {
        name: _odd(rng, name) if name == must or rng.random() < ODD_WORDS else rng.choice(POOLS[name]) for name in names
    }
    told = " ".join(slots.get(word, word) for word in point)
    harm = rng.random()
    if harm < HOLES:
        slots[must] = rng.choice(("", rng.choice(lexicon()["function"])))
        return Line(_slipped(rng, wording, slots), "fact", topic, "", kind)
    if harm < HOLES + SLIPS:
        return Line(_slipped(rng, wording, slots), "fact", topic, told, kind)
    return Line(" ".join(slots.get(word, word) for word in wording), "fact", topic, told, kind)


def _slipped(rng: random.Random, wording: list[str], slots: dict[str, str]) -> str:
    """A wording with one of the words between its slots misheard, missing or said twice."""
    places = [i for i, word in enumerate(wording) if word not in slots and word not in " ".join(NEXT).split()]
    i = rng.choice(places)
    instead = rng.choice(("", rng.choice(lexicon()["function"]), f"{wording[i]} {wording[i]}"))
    words = [slots.get(word, word) for word in (*wording[:i], instead, *wording[i + 1 :])]
    return " ".join(" ".join(words).split())


def _odd(rng: random.Random, name: str) -> str:
    """A word that is never said in that place, and might be; a person's name where it is one that is wanted."""
    words = [word for kind in LIKE.get(name, ()) for word in lexicon()[kind] if word not in POOLS[name]]
    return rng.choice(words or POOLS[name])
