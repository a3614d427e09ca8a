"""Speakers that no synthesizer has: voices played faster or slower, through a filter of their own.

Of a handful of voices a model learns those voices; that it understands another one has to be taught
(T. Ko et al., Audio Augmentation for Speech Recognition, Interspeech 2015: speeds of 0.9 to 1.1).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import soxr

from training.voices import SAMPLE_RATE, Spoken

WIDE, NARROW = 1.18, 1.1  # the fastest; the slowest is as much slower. A man stays a man, a woman a woman in the second
FLITE_SHARE = 0.25  # of the lines drawn: the voices kept for testing are of its kind in one clip of five
CHANGED_SHARE = {"espeak": 0.4, "flite": 0.75}  # of the lines by each
FILTER_HZ, FILTER_DB = (80.0, 8_000.0), 3.5  # standard deviation at each of
FILTER_POINTS = 7
FILTER_TAPS = 129


@dataclass(frozen=True)
class Change:
    """How a voice is made another: pitch, formants and pace by `speed`, the timbre by gains in dB, which lie at equal
    steps of log frequency."""

    speed: float = 1.0
    gains_db: tuple[float, ...] = ()

    def __call__(self, spoken: Spoken) -> Spoken:
        """The sentence in the other voice; its word times are moved along."""
        samples = spoken.samples
        if self.speed != 1:
            samples = soxr.resample(samples, SAMPLE_RATE, SAMPLE_RATE / self.speed)
        if self.gains_db:
            samples = filtered(samples, self.gains_db)
        return Spoken(spoken.text, samples, [start / self.speed for start in spoken.word_starts_s])


UNCHANGED = Change()


def draw_change(rng: random.Random, engine: str, widest: float = WIDE) -> Change:
    """Another speaker in a share of the cases, which the engine of the voice decides."""
    if rng.random() >= CHANGED_SHARE[engine]:
        return UNCHANGED
    return Change(widest ** rng.uniform(-1, 1), tuple(rng.gauss(0, FILTER_DB) for _ in range(FILTER_POINTS)))


def filtered(samples: np.ndarray, gains_db: Sequence[float]) -> np.ndarray:
    """A smooth filter over float32 samples [n]; their peak stays what it was."""
    hertz = np.fft.rfftfreq(FILTER_TAPS, 1 / SAMPLE_RATE)
    low, high = np.log(FILTER_HZ)
    at = np.linspace(low, high, len(gains_db))
    gains = 10 ** (np.interp(np.log(np.maximum(hertz, 1.0)), at, gains_db) / 20)
    taps = np.roll(np.fft.irfft(gains, FILTER_TAPS), FILTER_TAPS // 2) * np.hanning(FILTER_TAPS)
    changed = np.convolve(samples, taps.astype(np.float32), "same")
    peak = np.abs(changed).max() + 1e-9
    return np.asarray(changed * (np.abs(samples).max() / peak), np.float32)


def weights(rows: Sequence[dict[str, Any]]) -> list[float]:
    """How often to draw each row of a bank, so that FLITE_SHARE of them are flite's."""
    n_flite = sum(row["voice"]["engine"] == "flite" for row in rows)
    if not 0 < n_flite < len(rows):
        return [1.0] * len(rows)
    shares = {"flite": FLITE_SHARE / n_flite, "espeak": (1 - FLITE_SHARE) / (len(rows) - n_flite)}
    return [shares[row["voice"]["engine"]] for row in rows]
