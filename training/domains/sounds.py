"""Kinds of sound events: what each is called, how it is made, from which ranges, and what is kept for testing."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from training.domains import sounds_noisy, sounds_tonal
from training.domains.sound_shapes import Band, Recipe
from training.examples import SAMPLE_RATE
from training.voices import sounding

Synthesis = Callable[[np.random.Generator, Mapping[str, float]], np.ndarray]

SHORTEST_S, LONGEST_S = 0.4, 3.0
FAINTEST_DB = 40.0  # below its loudest 5 ms, a sound is cut off


@dataclass(frozen=True)
class Kind(Recipe):
    """A kind of sound event."""

    synthesis: Synthesis


@dataclass(frozen=True)
class Sound:
    """One sound event: float32 samples at 16 kHz, cut to where it sounds, with an active level of 1
    (see `active_rms`). `parameters` is what it was made from."""

    label: str
    samples: np.ndarray
    parameters: Mapping[str, float]


def _kind(synthesis: Synthesis, reserved: tuple[str, Band], **ranges: Band) -> Kind:
    return Kind(ranges, reserved, synthesis)


KINDS: dict[str, Kind] = {
    "dog bark": _kind(
        sounds_tonal.dog_bark, ("f0_hz", (470, 520)), f0_hz=(350, 650), bark_s=(0.14, 0.22), gap_s=(0.16, 0.35)
    ),
    "cat meow": _kind(sounds_tonal.cat_meow, ("f0_hz", (600, 660)), f0_hz=(450, 850), length_s=(0.55, 1.2)),
    "bird song": _kind(sounds_tonal.bird_song, ("f0_hz", (3500, 3750)), f0_hz=(2800, 4500), note_s=(0.07, 0.13)),
    "doorbell": _kind(
        sounds_tonal.doorbell,
        ("f0_hz", (720, 770)),
        f0_hz=(620, 880),
        ratio=(0.75, 0.84),
        gap_s=(0.35, 0.7),
        decay_s=(0.9, 1.5),
    ),
    "phone ringing": _kind(
        sounds_tonal.phone_ringing,
        ("f0_hz", (1300, 1400)),
        f0_hz=(1100, 1600),
        strikes_hz=(18, 26),
        burst_s=(0.6, 1.1),
        gap_s=(0.3, 0.55),
    ),
    "alarm beeps": _kind(
        sounds_tonal.alarm_beeps, ("f0_hz", (2350, 2550)), f0_hz=(1900, 3000), rate_hz=(2.5, 4.5), third=(0.1, 0.4)
    ),
    "siren": _kind(
        sounds_tonal.siren,
        ("period_s", (0.9, 1.05)),
        period_s=(0.6, 1.3),
        low_hz=(480, 680),
        ratio=(1.8, 2.3),
        length_s=(1.8, 3.0),
    ),
    "car horn": _kind(
        sounds_tonal.car_horn, ("f0_hz", (370, 390)), f0_hz=(320, 440), ratio=(1.2, 1.28), length_s=(0.5, 1.4)
    ),
    "whistle": _kind(
        sounds_tonal.whistle, ("f0_hz", (1330, 1430)), f0_hz=(1050, 1700), ratio=(1.3, 1.6), length_s=(0.6, 1.4)
    ),
    "knocking": _kind(sounds_noisy.knocking, ("rate_hz", (4.9, 5.4)), rate_hz=(4.0, 6.5), wood_hz=(170, 380)),
    "footsteps": _kind(sounds_noisy.footsteps, ("rate_hz", (1.85, 2.0)), rate_hz=(1.6, 2.4), scrape_s=(0.1, 0.16)),
    "glass breaking": _kind(
        sounds_noisy.glass_breaking,
        ("splinters_hz", (4100, 4400)),
        splinters_hz=(3500, 5000),
        length_s=(0.8, 1.6),
    ),
    "applause": _kind(sounds_noisy.applause, ("claps_hz", (85, 95)), claps_hz=(60, 130), length_s=(1.5, 3.0)),
    "thunder": _kind(sounds_noisy.thunder, ("roll_hz", (130, 155)), roll_hz=(90, 210), length_s=(1.8, 3.0)),
}
EVENTS = tuple(KINDS)


def draw_parameters(rng: random.Random, recipe: Recipe, *, reserved: bool) -> dict[str, float]:
    """One value of each range; the reserved band is drawn from with `reserved`, and only then."""
    drawn = {}
    for name, (low, high) in recipe.ranges.items():
        kept_name, (kept_low, kept_high) = recipe.reserved
        if name != kept_name:
            drawn[name] = rng.uniform(low, high)
        elif reserved:
            drawn[name] = rng.uniform(kept_low, kept_high)
        else:
            below = rng.random() < (kept_low - low) / (kept_low - low + high - kept_high)
            drawn[name] = rng.uniform(low, kept_low) if below else rng.uniform(kept_high, high)
    return drawn


def render_sound(rng: random.Random, label: str, *, reserved: bool) -> Sound:
    """Draw and make a sound event of one kind; it lasts 0.4 to 3 s. Raises KeyError for an unknown kind."""
    kind = KINDS[label]
    parameters = draw_parameters(rng, kind, reserved=reserved)
    samples = kind.synthesis(np.random.default_rng(rng.getrandbits(48)), parameters)
    start, end = sounding(samples, below_peak_db=FAINTEST_DB)
    cut = samples[start : min(end, start + int(LONGEST_S * SAMPLE_RATE))]
    return Sound(label, (cut / active_rms(cut)).astype(np.float32), parameters)


def levels(samples: np.ndarray) -> np.ndarray:
    """RMS of each 5 ms."""
    hop = SAMPLE_RATE // 200
    return np.asarray(np.sqrt((samples[: len(samples) // hop * hop].reshape(-1, hop) ** 2).mean(1)))


def active_rms(samples: np.ndarray) -> float:
    """RMS while it sounds: of the 5 ms parts within 20 dB of the loudest, so that pauses do not count."""
    level = levels(samples)
    loud = level[level > level.max() / 10]
    return float(np.sqrt((loud**2).mean()))
