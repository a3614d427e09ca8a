"""Clips that questions are asked about: sentences and sounds one after the other, over a bed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from training.domains.questions_parts import Fits, Gender, Parts, gender_of, music
from training.domains.scenes import BED_DB, BEDS, END_DB, EVENTS, LEVEL_DB, NOISE_DB, QUIETER_DB, ROOM_DB, SAMPLE_RATES
from training.domains.sounds import active_rms, levels
from training.examples import SAMPLE_RATE, Segment, Track, counted
from training.voices import Voice, sounding

SHORTEST_S, LONGEST_S = 3.0, 14.0
LEAD_S, GAP_S, SHORT_GAP_S, TAIL_S = (0.0, 1.2), (0.4, 1.6), (0.4, 0.8), (0.2, 1.5)
LONG_LEAD_S, LONG_GAP_S = (0.2, 4.0), (0.4, 3.0)  # where they are asked for
WHOLE_SECOND_S = 0.2  # how far the length of a clip lies from a whole second, where it is asked for
SHORTEST_HEARD_S = 0.15  # what is left of an item where a clip is cut
MUSIC_DB = (12.0, 18.0)  # music below the speech over it
NOISY = 0.3
RESERVED_SPEAKERS = 0.3  # of the clips kept for testing
MUSIC = "music"  # as a bed
MOST_TRIES = 30


@dataclass(frozen=True)
class Item:
    """What is heard from `start_s` to `end_s`: a sentence, then `gender` says whose, or a sound."""

    start_s: float
    end_s: float
    text: str
    gender: Gender | None = None
    word_starts_s: tuple[float, ...] = ()  # in the clip; empty where they are not known

    @property
    def is_speech(self) -> bool:
        return self.gender is not None


@dataclass(frozen=True)
class Clip:
    """`samples` is float32 at 16 kHz. `n_barks` counts the single barks of all the dog's."""

    samples: np.ndarray
    items: tuple[Item, ...]
    bed: str
    settings: dict[str, Any] = field(default_factory=dict)
    n_barks: int = 0

    @property
    def duration_s(self) -> float:
        return len(self.samples) / SAMPLE_RATE

    @property
    def sentences(self) -> list[Item]:
        return [item for item in self.items if item.is_speech]

    @property
    def sounds(self) -> list[Item]:
        return [item for item in self.items if not item.is_speech]

    @property
    def spoken(self) -> tuple[Segment, ...]:
        """Every sentence with its words."""
        return tuple(Segment(s.start_s, s.end_s, s.text, list(s.word_starts_s)) for s in self.sentences)

    @property
    def tracks(self) -> tuple[Track, ...]:
        tracks = []
        for item in self.items:
            names = ("speech/on", f"gender/{item.gender}") if item.gender else (f"event/{item.text}",)
            tracks += [Track(item.start_s, item.end_s, name) for name in names]
        tracks += counted("sentences", (item.start_s for item in self.sentences), self.duration_s)
        tracks += counted("sounds", (item.start_s for item in self.sounds), self.duration_s)
        return (*tracks, Track(0.0, self.duration_s, f"bed/{self.bed}")) if self.bed != MUSIC else tuple(tracks)

    @property
    def families(self) -> frozenset[str]:
        known = {"event", "speech", "gender", "sentences", "sounds"}
        return frozenset(known | ({"bed"} if self.bed != MUSIC else set()))

    def part(self, start_s: float, end_s: float) -> Clip:
        """What is heard from `start_s` to `end_s`, times from its start; half an item is still one."""
        start, end = round(start_s * SAMPLE_RATE), round(end_s * SAMPLE_RATE)
        heard = [
            replace(
                item,
                start_s=max(0.0, item.start_s - start_s),
                end_s=min(end_s, item.end_s) - start_s,
                word_starts_s=tuple(at_s - start_s for at_s in item.word_starts_s),
            )
            for item in self.items
            if min(item.end_s, end_s) - max(item.start_s, start_s) > SHORTEST_HEARD_S
        ]
        return replace(self, samples=self.samples[start:end], items=tuple(heard))


@dataclass(frozen=True)
class Wish:
    """What a clip is to have. `order` has `s` for a sentence and `e` for an event, the rest is drawn where empty.
    `speakers` say the sentences by turns; `fits` chooses the sentences' texts, in their order."""

    order: str = ""
    labels: Sequence[str] = ()
    speakers: Sequence[Gender] = ()
    bed: str | None = None
    fits: Sequence[Fits] = ()
    whole_seconds: bool = False
    lead_s: tuple[float, float] = LEAD_S  # before the first item
    gap_s: tuple[float, float] | None = None  # between items; else GAP_S, in some clips the shorter part of it


@dataclass(frozen=True)
class _Sound:
    """What is to be laid into a clip, at an active level of 1."""

    samples: np.ndarray
    text: str
    gender: Gender | None
    word_starts_s: Sequence[float] = ()


def draw_clip(rng: random.Random, parts: Parts, wish: Wish, *, reserved: bool) -> Clip | None:
    """A clip of 3 to 14 s as wished for, or None where no sentences were found for it.

    Of the clips kept for testing, all have sounds and patterns of sentences, and some have voices, that are never
    trained on."""
    reserved_voices = reserved and rng.random() < RESERVED_SPEAKERS
    genders: Sequence[Gender] = wish.speakers or rng.choice((("male",), ("female",)))
    speakers = [parts.speaker(rng, gender, reserved=reserved_voices) for gender in genders]
    labels = list(wish.labels) or rng.sample(EVENTS, wish.order.count("e"))
    longest_s = 3.2 if len(wish.order) < 4 else 2.4
    sounds: list[_Sound] = []
    n_said = n_events = 0
    for kind in wish.order:
        if kind == "s":
            fits = wish.fits[n_said] if n_said < len(wish.fits) else _anything
            said = _said(rng, parts, speakers[n_said % len(speakers)], fits, longest_s, reserved=reserved)
            if said is None or any(said.text == other.text for other in sounds):
                return None
            sounds.append(said)
            n_said += 1
        else:
            sounds.append(_event(rng, parts, labels[n_events], longest_s, reserved=reserved))
            n_events += 1
    placed, n_samples = _lay_out(rng, sounds, wish)
    if n_samples > LONGEST_S * SAMPLE_RATE:
        return None
    clip = _mix(rng, parts, placed, wish.bed or rng.choice(BEDS), n_samples, reserved=reserved)
    voices = [{**voice.as_dict(), "gender": gender_of(voice)} for voice in speakers] if n_said else []
    return replace(
        clip, settings={**clip.settings, "voices": voices, "reserved_voices": reserved_voices and n_said > 0}
    )


def _anything(text: str) -> bool:
    return True


def _said(
    rng: random.Random, parts: Parts, speaker: Voice, fits: Fits, longest_s: float, *, reserved: bool
) -> _Sound | None:
    spoken = parts.sentence(rng, speaker, fits=fits, longest_s=longest_s, reserved=reserved)
    if spoken is None:
        return None
    return _Sound(
        spoken.samples / np.float32(active_rms(spoken.samples)), spoken.text, gender_of(speaker), spoken.word_starts_s
    )


def _event(rng: random.Random, parts: Parts, label: str, longest_s: float, *, reserved: bool) -> _Sound:
    for _ in range(MOST_TRIES):
        sound = parts.sounds.event(rng, label, reserved=reserved)
        if len(sound.samples) <= longest_s * SAMPLE_RATE:
            break
    return _Sound(sound.samples, label, None)


def _lay_out(rng: random.Random, sounds: Sequence[_Sound], wish: Wish) -> tuple[list[tuple[int, _Sound]], int]:
    """Where each begins, and how many samples the clip has."""
    gap_s = wish.gap_s or rng.choice((GAP_S, SHORT_GAP_S))
    at_s, placed = rng.uniform(*wish.lead_s), []
    for i, sound in enumerate(sounds):
        at_s += rng.uniform(*gap_s) if i else 0.0
        placed.append((round(at_s * SAMPLE_RATE), sound))
        at_s += len(sound.samples) / SAMPLE_RATE
    duration_s = at_s + rng.uniform(*TAIL_S)
    if duration_s < SHORTEST_S:
        duration_s = rng.uniform(SHORTEST_S, SHORTEST_S + 2 if sounds else LONGEST_S)
    if wish.whole_seconds:
        duration_s = max(SHORTEST_S, np.ceil(at_s)) + rng.uniform(0, WHOLE_SECOND_S) * rng.choice((1, 1, -1))
        duration_s = duration_s if duration_s > at_s else duration_s + 2 * WHOLE_SECOND_S
    return placed, round(duration_s * SAMPLE_RATE)


def _mix(
    rng: random.Random, parts: Parts, placed: Sequence[tuple[int, _Sound]], bed: str, n_samples: int, *, reserved: bool
) -> Clip:
    """Set the levels, and say from when to when each item is heard over the bed."""
    level_db = rng.uniform(*LEVEL_DB)
    bounds = {"quiet": ROOM_DB, MUSIC: MUSIC_DB}.get(bed, BED_DB)
    bed_db = level_db - (rng.uniform(*bounds) if placed or bed == "quiet" else 0.0)
    if bed == MUSIC:
        below = music(rng, parts.notes, n_samples, reserved=reserved)
    else:
        below = parts.sounds.bed(rng, bed, n_samples, reserved=reserved)
    samples = np.asarray(below * np.float32(_factor(bed_db)), np.float32)
    if bed != "quiet" and rng.random() < NOISY:
        noise_db = bed_db - rng.uniform(*NOISE_DB)
        samples += parts.sounds.bed(rng, "quiet", n_samples, reserved=reserved) * np.float32(_factor(noise_db))
    items, n_barks = [], 0
    for start, sound in placed:
        sound_db = level_db - (0.0 if sound.gender else rng.uniform(*QUIETER_DB))
        samples[start : start + len(sound.samples)] += sound.samples * np.float32(_factor(sound_db))
        first, last = _audible(sound.samples, sound_db - bed_db)
        words = tuple(start / SAMPLE_RATE + at_s for at_s in sound.word_starts_s)
        span_s = (start + first) / SAMPLE_RATE, (start + last) / SAMPLE_RATE
        items.append(Item(*span_s, sound.text, sound.gender, words))
        n_barks += count_bursts(sound.samples) if sound.text == "dog bark" else 0
    samples *= np.float32(min(1.0, 0.99 / max(float(np.abs(samples).max()), 1e-9)))
    settings = {"bed": bed, "level_db": round(level_db, 1), "bed_db": round(bed_db, 1)}
    return Clip(samples, tuple(items), bed, {**settings, "sample_rate": rng.choice(SAMPLE_RATES)}, n_barks)


def _factor(db: float) -> float:
    return float(10 ** (db / 20))


def _audible(samples: np.ndarray, above_bed_db: float) -> tuple[int, int]:
    """First and last+1 sample at which its 5 ms level is above the bed's, as in scenes."""
    loudest_db = above_bed_db + 20 * float(np.log10(levels(samples).max()))
    return sounding(samples, below_peak_db=min(max(loudest_db, END_DB[0]), END_DB[1]))


def count_bursts(samples: np.ndarray, *, gap_s: float = 0.06, below_peak_db: float = 26.0) -> int:
    """How many times something sounds, with at least `gap_s` of quiet between."""
    level = levels(samples)
    loud = np.flatnonzero(level > level.max() * _factor(-below_peak_db))
    return 1 + int((np.diff(loud) * 0.005 > gap_s).sum())
