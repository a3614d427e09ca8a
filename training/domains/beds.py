"""Beds: what sounds all the time in a scene, and so tells where it is."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from training.domains.sound_shapes import Band, Recipe, add, band, changing, coloured, fade, struck, tone
from training.domains.sounds import draw_parameters
from training.examples import SAMPLE_RATE

Parameters = Mapping[str, float]
Synthesis = Callable[[np.random.Generator, Parameters, int], np.ndarray]


@dataclass(frozen=True)
class Bed(Recipe):
    """A kind of bed: what it is called in a summary, and the setting that follows from it."""

    noun: str
    setting: str
    synthesis: Synthesis


def _rain(rng: np.random.Generator, p: Parameters, n: int) -> np.ndarray:
    """A hiss, bright and even, with drops that tick."""
    out = coloured(rng, n, lambda hz: band(900, 9000)(hz) * (hz / 3000 + 0.3) ** p["tilt"])
    for _ in range(round(p["drops_hz"] * n / SAMPLE_RATE)):
        hz = rng.uniform(2000, 5500)
        add(out, rng.uniform(0, n / SAMPLE_RATE), struck([(hz, rng.uniform(2, 6), 0.012)], 0.01))
    return out


def _wind(rng: np.random.Generator, p: Parameters, n: int) -> np.ndarray:
    """Noise in one band that wanders up and down and swells with it."""
    turns = [(rng.uniform(0.12, 0.5), rng.uniform(0, 6.28)) for _ in range(3)]

    def colour(t_s: np.ndarray, hz: np.ndarray) -> np.ndarray:
        gust = sum(np.sin(2 * np.pi * rate * t_s + at) for rate, at in turns) / 3
        centre = p["centre_hz"] * 2 ** (0.7 * gust)
        return np.asarray(10 ** (0.5 * gust) / (1 + ((hz - centre) / (0.3 * centre)) ** 2) + 0.02 / (1 + hz / 200))

    return changing(rng, n, colour)


def _traffic(rng: np.random.Generator, p: Parameters, n: int) -> np.ndarray:
    """A low rumble, and cars that pass one after the other, tyres on the road."""
    end_s = n / SAMPLE_RATE
    passes, at_s = [], -rng.uniform(0, p["every_s"])
    while at_s < end_s + 1:
        passes.append((at_s, rng.uniform(0.3, 0.55), rng.uniform(0.6, 1), rng.uniform(900, 1500)))
        at_s += p["every_s"] * rng.uniform(0.8, 1.2)

    def colour(t_s: np.ndarray, hz: np.ndarray) -> np.ndarray:
        gain = (hz > 30) / (1 + (hz / 200) ** 2)
        for at, width, level, edge in passes:
            swell = level * np.exp(-0.5 * ((t_s - at) / width) ** 2)
            gain = gain + swell * band(250, edge)(hz) * 0.35
        return np.asarray(gain)

    return changing(rng, n, colour)


def _hum(rng: np.random.Generator, p: Parameters, n: int) -> np.ndarray:
    """A machine: steady overtones of one low pitch, and its fan."""
    drift = 1 + 0.002 * np.sin(2 * np.pi * rng.uniform(0.1, 0.3) * np.arange(n) / SAMPLE_RATE)
    overtones = [rng.uniform(0.5, 1) / k**0.5 for k in range(1, 19)]
    return tone(p["f0_hz"] * drift, overtones) + coloured(rng, n, band(100, 900)) * 0.2


def _waves(rng: np.random.Generator, p: Parameters, n: int) -> np.ndarray:
    """Surf: each wave grows, gets bright, breaks and runs out."""
    at = rng.uniform(0, 1)

    def colour(t_s: np.ndarray, hz: np.ndarray) -> np.ndarray:
        turn = (t_s / p["period_s"] + at) % 1
        swell = np.where(turn < 0.45, (turn / 0.45) ** 2, ((1 - turn) / 0.55) ** 1.5)
        edge = 300 * 14**swell
        return np.asarray((0.08 + swell) * (hz > 60) / (1 + (hz / edge) ** 2))

    return changing(rng, n, colour)


def _stream(rng: np.random.Generator, p: Parameters, n: int) -> np.ndarray:
    """Water over stones: bubbles, each a short tone that rises, over a murmur."""
    out = coloured(rng, n, band(250, 1500)) * 0.12
    for _ in range(round(p["bubbles_hz"] * n / SAMPLE_RATE)):
        size = int(rng.integers(400, 1200))
        f0 = rng.uniform(450, 1800) * np.linspace(0.9, 1.25, size)
        bubble = np.sin(2 * np.pi * np.cumsum(f0) / SAMPLE_RATE) * np.linspace(1, 0, size) ** 2
        add(out, rng.uniform(0, n / SAMPLE_RATE), fade(bubble, 0.003, 0.003) * rng.uniform(0.2, 1))
    return out


def _room(rng: np.random.Generator, p: Parameters, n: int) -> np.ndarray:
    """The recording's own noise, white or darker."""
    return coloured(rng, n, lambda hz: 1 / np.maximum(hz, 40) ** p["tilt"])


def _bed(noun: str, setting: str, synthesis: Synthesis, reserved: tuple[str, Band], **ranges: Band) -> Bed:
    return Bed(ranges, reserved, noun, setting, synthesis)


KINDS: dict[str, Bed] = {
    "rain": _bed("rain", "outdoors in the rain", _rain, ("drops_hz", (38, 44)), drops_hz=(20, 60), tilt=(-0.3, 0.5)),
    "wind": _bed("wind", "outdoors in the wind", _wind, ("centre_hz", (400, 460)), centre_hz=(280, 600)),
    "traffic": _bed("traffic", "by a busy road", _traffic, ("every_s", (2.1, 2.4)), every_s=(1.5, 3.0)),
    "hum": _bed("a machine hum", "in a machine room", _hum, ("f0_hz", (116, 124)), f0_hz=(95, 145)),
    "waves": _bed("waves", "by the sea", _waves, ("period_s", (3.4, 3.8)), period_s=(2.8, 4.5)),
    "stream": _bed("a stream", "by a stream", _stream, ("bubbles_hz", (56, 66)), bubbles_hz=(40, 85)),
    "quiet": _bed("a quiet room", "in a quiet room", _room, ("tilt", (0.2, 0.3)), tilt=(0.0, 0.5)),
}
BEDS = tuple(KINDS)
SETTINGS = tuple(bed.setting for bed in KINDS.values())


def render_bed(rng: random.Random, name: str, n_samples: int, *, reserved: bool) -> np.ndarray:
    """A bed [n_samples] float32 at 16 kHz, RMS 1. Raises KeyError for an unknown one."""
    parameters = draw_parameters(rng, KINDS[name], reserved=reserved)
    samples = KINDS[name].synthesis(np.random.default_rng(rng.getrandbits(48)), parameters, n_samples)
    return np.asarray(samples / np.sqrt((samples**2).mean() + 1e-20), np.float32)
