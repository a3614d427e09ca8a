"""Sound events without a pitch: things that are hit, that break, that roll. Parameters are those of `sounds.KINDS`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from training.domains.sound_shapes import (
    add,
    band,
    changing,
    coloured,
    curve,
    dying,
    fade,
    n_samples,
    sequence,
    struck,
)

Parameters = Mapping[str, float]


def knocking(rng: np.random.Generator, p: Parameters) -> np.ndarray:
    """4 to 6 quick knocks on wood."""
    base = p["wood_hz"]
    pieces = []
    for i in range(rng.integers(4, 7)):
        parts = [(base, 1, 0.09), (base * 1.7, 0.6, 0.07), (base * 3.1, 0.5, 0.05), (base * 5.3, 0.35, 0.035)]
        knock = struck([(hz * rng.uniform(0.98, 1.02), level, decay) for hz, level, decay in parts], 0.09)
        click = coloured(rng, len(knock), band(800, 3000)) * dying(len(knock), 0.02) * 0.5
        at_s = i / p["rate_hz"] + rng.uniform(0, 0.012)
        pieces.append((at_s, fade(knock + click, 0.001, 0.02) * rng.uniform(0.75, 1)))
    return sequence(pieces)


def footsteps(rng: np.random.Generator, p: Parameters) -> np.ndarray:
    """3 to 5 steps at a walking pace: the heel, then the sole that scrapes."""
    pieces = []
    for i in range(rng.integers(3, 6)):
        heel_n, sole_n = n_samples(0.09), n_samples(p["scrape_s"])
        heel = coloured(rng, heel_n, band(80, 500)) * dying(heel_n, 0.08)
        sole = coloured(rng, sole_n, band(1500, 5000)) * curve([0, 1, 0.6, 0], sole_n) * 0.5
        at_s = i / p["rate_hz"] + rng.uniform(0, 0.03)
        step = sequence([(0.0, fade(heel, 0.003, 0.02)), (0.07, sole)])
        pieces.append((at_s, step * rng.uniform(0.8, 1)))
    return sequence(pieces)


def glass_breaking(rng: np.random.Generator, p: Parameters) -> np.ndarray:
    """A crash, then splinters that ring high up and become fewer."""
    out = np.zeros(n_samples(p["length_s"]))
    crash_n = n_samples(0.25)
    add(out, 0.0, coloured(rng, crash_n, band(1200, 7500)) * dying(crash_n, 0.3) * 0.6)
    for _ in range(rng.integers(25, 45)):
        at_s = min(rng.exponential(0.3), 0.85) * p["length_s"]
        hz = p["splinters_hz"] * rng.uniform(0.65, 1.6)
        ring = struck([(hz, 1, 0.15), (hz * 1.17, 0.5, 0.1)], 0.12)
        add(out, at_s, fade(ring, 0.001, 0.03) * rng.uniform(0.4, 0.8) * (1 - 0.5 * at_s / p["length_s"]))
    return fade(out, 0.001, 0.1)


def applause(rng: np.random.Generator, p: Parameters) -> np.ndarray:
    """Many hands: claps at random times, swelling quickly and dying away."""
    n = n_samples(p["length_s"])
    out = np.zeros(n)
    for _ in range(6):  # pairs of hands that clap alike
        centre = rng.uniform(900, 2200)
        clap = coloured(rng, 512, band(centre * 0.7, centre * 1.6)) * dying(512, 0.03)
        hits = np.zeros(n)
        hits[rng.integers(0, n, max(1, round(p["claps_hz"] * p["length_s"] / 6)))] = 1
        out += np.convolve(hits * rng.uniform(0.5, 1, n), clap)[:n]
    return fade(out * curve([0.4, 1, 1, 0.8, 0.45], n), 0.15, 0.3)


def thunder(rng: np.random.Generator, p: Parameters) -> np.ndarray:
    """A crack, then a deep roll that swells a few times and dies away."""
    n = n_samples(p["length_s"])
    swells = curve(rng.uniform(0.35, 1, 9).tolist(), n) * curve([1, 1, 0.8, 0.6, 0.3], n)

    def colour(t_s: np.ndarray, hz: np.ndarray) -> np.ndarray:
        widening = 1 + 9 * np.exp(-t_s / 0.12)
        return np.asarray((hz > 25) / (1 + (hz / (p["roll_hz"] * widening)) ** 2) / widening**0.4)

    return fade(changing(rng, n, colour) * swells, 0.02, 0.5)
