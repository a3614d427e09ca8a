"""Scenes: sound events one after the other, or two at once, over the bed that tells where it is."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from moss_cli.tasks.scene import DescribeScene
from training.domains import beds
from training.domains.beds import BEDS, SETTINGS, render_bed
from training.domains.sounds import EVENTS, Sound, levels, render_sound
from training.examples import SAMPLE_RATE, Asked, Example, Track, in_json, tenths
from training.voices import sounding

__all__ = ["ATMOSPHERES", "BEDS", "EVENTS", "SETTINGS", "Parts", "Rendered", "Scene", "SceneEvent", "example", "scene"]

SHORTEST_S, LONGEST_S = 4.0, 12.0
GAP_S = 0.3  # between events, at least
OVERLAPPING = 0.15  # share of the clips with two events at once
LEVEL_DB = (-35.0, -15.0)  # of the loudest an event may be, dBFS
QUIETER_DB = (0.0, 6.0)  # an event below that level
BED_DB = (18.0, 30.0)  # a bed below it, so that it is 12 to 30 below each event
ROOM_DB = (40.0, 60.0)  # the quiet bed below it
NOISE_DB = (10.0, 20.0)  # the recording's noise below the bed, in NOISY of the clips
NOISY = 0.3
END_DB = (25.0, 40.0)  # an event is over where it is as low as the bed, but for these bounds below its loudest
SAMPLE_RATES = (16_000, 22_050, 32_000, 44_100, 48_000)  # lower ones would take away what tells some events apart

ATMOSPHERES = ("tense", "busy", "quiet", "calm")
TENSE = frozenset({"siren", "alarm beeps", "glass breaking"})
BUSY_FROM = 3  # events

PHRASES = {  # an event in a summary, where it is not simply its label
    "dog bark": "a dog bark",
    "cat meow": "a cat meow",
    "doorbell": "a doorbell",
    "phone ringing": "a phone ringing",
    "siren": "a siren",
    "car horn": "a car horn",
    "whistle": "a whistle",
}


class Parts(Protocol):
    """Where sounds come from: rendered afresh, or from a bank."""

    def event(self, rng: random.Random, label: str, *, reserved: bool) -> Sound:
        """A sound event of one kind."""

    def bed(self, rng: random.Random, name: str, n_samples: int, *, reserved: bool) -> np.ndarray:
        """A bed [n_samples] with an RMS of 1."""


class Rendered:
    """Everything rendered afresh: the same sounds for the same state of the generator."""

    def event(self, rng: random.Random, label: str, *, reserved: bool) -> Sound:
        return render_sound(rng, label, reserved=reserved)

    def bed(self, rng: random.Random, name: str, n_samples: int, *, reserved: bool) -> np.ndarray:
        return render_bed(rng, name, n_samples, reserved=reserved)


@dataclass(frozen=True)
class SceneEvent:
    """When a sound event is heard, in seconds from the clip's start."""

    start_s: float
    end_s: float
    label: str


@dataclass(frozen=True)
class Scene:
    """`samples` is float32 at 16 kHz, `events` are in the order in which they start."""

    samples: np.ndarray
    events: tuple[SceneEvent, ...]
    bed: str
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def duration_s(self) -> float:
        return len(self.samples) / SAMPLE_RATE


Placed = tuple[float, Sound]  # from a time on


def scene(
    rng: random.Random,
    parts: Parts,
    *,
    reserved: bool,
    n_events: int,
    max_s: float = LONGEST_S,
    labels: Sequence[str] | None = None,
    bed: str | None = None,
    overlapping: float = OVERLAPPING,
) -> Scene:
    """A scene of up to `max_s`, and of 4 s or more where that allows it.

    `labels` says which events, in this order; else `n_events` are drawn, of different kinds. Events
    that do not fit into `max_s` are left out from the end. `bed` is drawn where none is given.
    """
    bed = bed or rng.choice(BEDS)
    wanted = list(labels) if labels is not None else rng.sample(EVENTS, n_events)
    sounds = [parts.event(rng, label, reserved=reserved) for label in wanted]
    duration_s, placed = _lay_out(rng, _blocks(rng, sounds, overlapping), max_s)
    return _mix(rng, parts, placed, bed, round(duration_s * SAMPLE_RATE), reserved=reserved)


def _length_s(sound: Sound) -> float:
    return len(sound.samples) / SAMPLE_RATE


def _blocks(rng: random.Random, sounds: Sequence[Sound], overlapping: float) -> list[list[Placed]]:
    """What is kept together: single events, and in `overlapping` of the clips one pair at once."""
    blocks: list[list[Placed]] = [[(0.0, sound)] for sound in sounds]
    if len(sounds) < 2 or rng.random() >= overlapping:
        return blocks
    i = rng.randrange(len(sounds) - 1)
    first, second = sounds[i], sounds[i + 1]
    latest_s = _length_s(first) - GAP_S
    if latest_s > GAP_S and first.label != second.label:
        blocks[i : i + 2] = [[(0.0, first), (rng.uniform(GAP_S, latest_s), second)]]
    return blocks


def _block_s(block: Sequence[Placed]) -> float:
    return max(at_s + _length_s(sound) for at_s, sound in block)


def _lay_out(rng: random.Random, blocks: list[list[Placed]], max_s: float) -> tuple[float, list[Placed]]:
    """The clip's duration, and all events with their times; blocks at the end that do not fit are dropped."""
    while blocks and _needed_s(blocks) > max_s:
        blocks = blocks[:-1]
    duration_s = rng.uniform(min(max_s, max(SHORTEST_S, _needed_s(blocks) + 0.2)), max_s)
    weights = [rng.expovariate(1) for _ in range(len(blocks) + 1)]
    spare_s = (duration_s - _needed_s(blocks)) / sum(weights)
    placed, at_s = [], 0.0
    for block, weight in zip(blocks, weights, strict=False):
        at_s += weight * spare_s
        placed += [(at_s + offset_s, sound) for offset_s, sound in block]
        at_s += _block_s(block) + GAP_S
    return duration_s, placed


def _needed_s(blocks: Sequence[Sequence[Placed]]) -> float:
    return sum(map(_block_s, blocks)) + GAP_S * max(0, len(blocks) - 1)


def _mix(
    rng: random.Random, parts: Parts, placed: Sequence[Placed], bed: str, n_samples: int, *, reserved: bool
) -> Scene:
    """Set the levels, and say from when to when each event is heard over the bed."""
    level_db = rng.uniform(*LEVEL_DB)
    below_db = rng.uniform(*(ROOM_DB if bed == "quiet" else BED_DB))
    bed_db = level_db - (below_db if placed or bed == "quiet" else 0.0)  # alone, a bed is as loud as events are
    samples = parts.bed(rng, bed, n_samples, reserved=reserved) * np.float32(_factor(bed_db))
    noise_db = None
    if bed != "quiet" and rng.random() < NOISY:
        noise_db = bed_db - rng.uniform(*NOISE_DB)
        samples += parts.bed(rng, "quiet", n_samples, reserved=reserved) * np.float32(_factor(noise_db))
    events = []
    for at_s, sound in placed:
        event_db = level_db - rng.uniform(*QUIETER_DB)
        start = round(at_s * SAMPLE_RATE)
        part = samples[start : start + len(sound.samples)]
        part += sound.samples[: len(part)] * np.float32(_factor(event_db))
        events.append(_heard(sound, start, event_db - bed_db))
    samples *= np.float32(min(1.0, 0.99 / max(float(np.abs(samples).max()), 1e-9)))
    settings = {
        "bed": bed,
        "level_db": round(level_db, 1),
        "bed_db": round(bed_db, 1),
        "noise_db": None if noise_db is None else round(noise_db, 1),
        "sample_rate": rng.choice(SAMPLE_RATES),
    }
    return Scene(samples, tuple(sorted(events, key=lambda e: (e.start_s, e.end_s))), bed, settings)


def _factor(db: float) -> float:
    return float(10 ** (db / 20))


def _heard(sound: Sound, start: int, above_bed_db: float) -> SceneEvent:
    """The event where its 5 ms level is above the bed's, within END_DB of its loudest."""
    loudest_db = above_bed_db + 20 * float(np.log10(levels(sound.samples).max()))
    first, last = sounding(sound.samples, below_peak_db=min(max(loudest_db, END_DB[0]), END_DB[1]))
    return SceneEvent((start + first) / SAMPLE_RATE, (start + last) / SAMPLE_RATE, sound.label)


def atmosphere(bed: str, labels: Sequence[str]) -> str:
    """Tense with a sound of danger, else busy with three events or more, else quiet in a quiet room, else calm."""
    if TENSE & set(labels):
        return "tense"
    if len(labels) >= BUSY_FROM:
        return "busy"
    return "quiet" if bed == "quiet" else "calm"


def summary(bed: str, labels: Sequence[str]) -> str:
    """The bed, and the events in order: `rain with a dog bark, a siren, then knocking`."""
    noun = beds.KINDS[bed].noun
    phrases = [PHRASES.get(label, label) for label in labels]
    if not phrases:
        return f"{noun} and nothing else"
    if len(phrases) > 1:
        phrases[-1] = f"then {phrases[-1]}"
    return f"{noun} with {', '.join(phrases)}"


def example(rng: random.Random, parts: Parts, *, reserved: bool) -> Example:
    """A clip of 4 to 12 s with 1 to 4 events, one in 25 with none, and what the `scene` command asks of it."""
    n_events = 0 if rng.random() < 0.04 else rng.choice((1, 2, 2, 3, 3, 4))
    return as_example(scene(rng, parts, reserved=reserved, n_events=n_events))


def as_example(clip: Scene) -> Example:
    """What is true of a scene, and the right answers to the command's two questions."""
    labels = [event.label for event in clip.events]
    whole = {
        "setting": beds.KINDS[clip.bed].setting,
        "atmosphere": atmosphere(clip.bed, labels),
        "summary": summary(clip.bed, labels),
    }
    lines = [f"{tenths(e.start_s):.1f} - {tenths(e.end_s):.1f}: {e.label}" for e in clip.events]
    answers = ("\n".join(lines), in_json(whole))
    timed = [{"start": round(e.start_s, 3), "end": round(e.end_s, 3), "label": e.label} for e in clip.events]
    tracks = [Track(e.start_s, e.end_s, f"event/{e.label}") for e in clip.events]
    return Example(
        clip.samples,
        {"result": {**whole, "events": timed}, "settings": clip.settings},
        tuple(Asked(q.prompt, answer) for q, answer in zip(DescribeScene().questions, answers, strict=True)),
        (*tracks, Track(0.0, clip.duration_s, f"bed/{clip.bed}")),
        frozenset({"event", "bed"}),
    )
