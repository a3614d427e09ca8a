"""What is said in meetings: facts on topics, in several wordings each, and what is said beside them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from training.sentences import lexicon

Role = Literal["opener", "fact", "reply", "greeting", "closing"]

TOPICS = (
    "budget", "server", "garden", "kitchen", "bridge", "market", "engine", "report", "contract", "computer", "camera",
    "window",
)  # fmt: skip
TASKS = ("open", "close", "move", "check", "fix", "send", "find", "finish", "read")
DEEDS = ("opened", "closed", "moved", "checked", "fixed", "sent", "found", "finished", "cleaned", "sold")
STATES = ("small", "large", "old", "new", "quiet", "heavy", "cold", "warm", "empty", "green")
# Numbers that sound alike, thirteen and thirty, are not both among them.
DOLLARS = ("two", "five", "six", "ten", "eleven", "twelve", "twenty", "thirty", "forty", "fifty")
HOURS = ("one", "two", "three", "six", "seven", "eight", "nine", "ten", "eleven", "noon")
NEXT = ("tomorrow", "tonight", "this week")

# A kind of fact: what the minutes say of it, how it is worded, and wordings kept for testing. NEAR and LAST say when.
FACTS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "task": (
        "NAME will TASK the TOPIC WHEN",
        ("NAME will TASK the TOPIC WHEN", "i need NAME to TASK the TOPIC WHEN", "yes NAME will TASK the TOPIC WHEN"),
        ("we need NAME to TASK the TOPIC WHEN",),
    ),
    "deed": (
        "NAME DEED the TOPIC on DAY",
        (
            "NAME DEED the TOPIC on DAY",
            "on DAY NAME DEED the TOPIC",
            "yes NAME DEED the TOPIC on DAY",
            "it was on DAY that NAME DEED the TOPIC",
        ),
        ("yes on DAY NAME DEED the TOPIC",),
    ),
    "state": (
        "the TOPIC is STATE",
        ("the TOPIC is STATE", "NAME found that the TOPIC is STATE", "yes the TOPIC is STATE"),
        ("we found that the TOPIC is STATE",),
    ),
    "cost": (
        "the TOPIC needs DOLLARS dollars",
        (
            "the TOPIC needs DOLLARS dollars",
            "we need DOLLARS dollars for the TOPIC",
            "the TOPIC will need DOLLARS dollars",
        ),
        ("i need DOLLARS dollars for the TOPIC",),
    ),
    "meeting": (
        "the TOPIC meeting is on DAY at HOUR",
        (
            "the TOPIC meeting is on DAY at HOUR",
            "the meeting for the TOPIC is on DAY at HOUR",
            "the TOPIC meeting will be on DAY at HOUR",
        ),
        ("the TOPIC meeting starts on DAY at HOUR",),
    ),
}
OPENERS = (
    ("we start with the TOPIC", "we need to start with the TOPIC"),
    ("we move to the TOPIC", "please move to the TOPIC", "we need to move to the TOPIC"),
    ("please start with the TOPIC",),  # kept for testing, as a first one
    ("and we move to the TOPIC",),  # kept for testing, as a later one
)
REPLIES = ("yes thanks NAME", "thanks NAME", "good thanks NAME", "yes that is good")
GREETINGS = ("good morning everyone", "hello everyone", "hello and good morning", "good morning NAME")
CLOSINGS = ("thanks everyone", "that is the end", "the meeting ends")
RESERVED_COMBINATIONS = 5  # one in so many is kept for testing


@dataclass(frozen=True)
class Line:
    """A sentence of a meeting. `point` is what the minutes say of a fact; `topic` is empty where there is none."""

    text: str
    role: Role
    topic: str = ""
    point: str = ""
    kind: str = ""


def is_kept(slots: Mapping[str, str]) -> bool:
    """Whether a combination of topic and of what is said of it is kept for testing."""
    value = TOPICS.index(slots["TOPIC"]) + sum(
        POOLS[name].index(word) for name, word in slots.items() if name != "TOPIC"
    )
    return value % RESERVED_COMBINATIONS == 0


def draw_fact(rng: random.Random, topic: str, kind: str, *, reserved: bool) -> Line:
    """A fact of that kind; with `reserved`, of a combination kept for testing, and half of the time so worded."""
    point, trained, kept = FACTS[kind]
    wording = rng.choice(kept if reserved and rng.random() < 0.5 else trained)
    point = point.replace("WHEN", draw_when(rng)) if "WHEN" in point else point
    wording = wording.replace("WHEN", point.partition(" the TOPIC ")[2]) if "WHEN" in wording else wording
    names = [name for name in POOLS if name in f"{point} {wording}".split()]
    while True:
        slots = {name: topic if name == "TOPIC" else rng.choice(POOLS[name]) for name in names}
        if is_kept({name: word for name, word in slots.items() if name in point.split()}) == reserved:
            return Line(_filled(wording, slots), "fact", topic, _filled(point, slots), kind)


def draw_when(rng: random.Random) -> str:
    """When something is to be done, with DAY or MONTH where one is to be named."""
    return rng.choice(("on DAY", "on DAY", "by DAY", "in MONTH", rng.choice(NEXT)))


def _filled(text: str, slots: Mapping[str, str]) -> str:
    return " ".join(slots.get(word, word) for word in text.split())


def draw_opener(rng: random.Random, topic: str, *, is_first: bool, reserved: bool) -> Line:
    """The sentence that opens a topic."""
    first, later, kept_first, kept_later = OPENERS
    kept = reserved and rng.random() < 0.5
    wordings = (kept_first if kept else first) if is_first else (kept_later if kept else later)
    return Line(rng.choice(wordings).replace("TOPIC", topic), "opener", topic, kind="first" if is_first else "later")


def draw_filler(rng: random.Random, role: Role) -> Line:
    """A sentence without a fact: a reply, a greeting or a closing."""
    wordings = {"reply": REPLIES, "greeting": GREETINGS, "closing": CLOSINGS}[role]
    return Line(_filled(rng.choice(wordings), {"NAME": rng.choice(lexicon()["name"])}), role)


POOLS: dict[str, tuple[str, ...]] = {
    "TOPIC": TOPICS,
    "NAME": tuple(lexicon()["name"]),
    "TASK": TASKS,
    "DEED": DEEDS,
    "STATE": STATES,
    "DAY": tuple(lexicon()["day"]),
    "MONTH": tuple(lexicon()["month"]),
    "DOLLARS": DOLLARS,
    "HOUR": HOURS,
}
