"""Who speaks in a meeting, and how its lines are said."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from training.domains.meetings_facts import Line, Role, draw_fact, draw_filler, draw_opener
from training.domains.questions_parts import gender_of
from training.voices import Voice, draw_voice, speak

FIRST, LATER = "first", "later"  # kinds of openers
MOST_SPEAKERS = 3
RESERVED_SPEAKERS = 0.3  # of the meetings kept for testing


@dataclass(frozen=True)
class Wanted:
    """Which line: its role, its topic, and the kind of fact or opener."""

    role: Role
    topic: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Said:
    """A line as sound: float32 samples at 16 kHz, cut to where it sounds."""

    line: Line
    samples: np.ndarray
    voice: Voice
    word_starts_s: tuple[float, ...] = ()  # empty where they are not known


class Cast(Protocol):
    """The people of one meeting."""

    def say(self, rng: random.Random, wanted: Wanted) -> Said:
        """A line, said by one of them."""


class Parts(Protocol):
    """Where lines come from: rendered afresh, or from a bank."""

    def cast(self, rng: random.Random, *, reserved: bool) -> Cast:
        """The people of a new meeting."""


def draw_line(rng: random.Random, wanted: Wanted, *, reserved: bool) -> Line:
    """A line as wanted. Raises KeyError for an unknown kind of fact."""
    if wanted.role == "fact":
        return draw_fact(rng, wanted.topic, wanted.kind, reserved=reserved)
    if wanted.role == "opener":
        return draw_opener(rng, wanted.topic, is_first=wanted.kind == FIRST, reserved=reserved)
    return draw_filler(rng, wanted.role)


def draw_clear_voice(rng: random.Random, *, reserved: bool) -> Voice:
    """A voice that is clearly a man's or a woman's."""
    while gender_of(voice := draw_voice(rng, reserved=reserved)) is None:
        pass
    return voice


@dataclass(frozen=True)
class RenderedCast:
    """People whose lines are rendered as they say them."""

    voices: tuple[Voice, ...]
    reserved: bool

    def say(self, rng: random.Random, wanted: Wanted) -> Said:
        line, voice = draw_line(rng, wanted, reserved=self.reserved), rng.choice(self.voices)
        spoken = speak(line.text, voice, fresh=True)
        samples = spoken.samples / np.float32(np.abs(spoken.samples).max())
        return Said(line, samples, voice, tuple(spoken.word_starts_s))


class Rendered:
    """Everything rendered afresh: the same lines for the same state of the generator."""

    def cast(self, rng: random.Random, *, reserved: bool) -> Cast:
        reserved_voices = reserved and rng.random() < RESERVED_SPEAKERS
        n = rng.randint(1, MOST_SPEAKERS)
        return RenderedCast(tuple(draw_clear_voice(rng, reserved=reserved_voices) for _ in range(n)), reserved)
