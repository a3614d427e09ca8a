"""What sounds are built of: tones with overtones, noise of a colour, things that are struck, fades.

Everything is mono at 16 kHz. A random generator is always given, so the same state gives the same samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from training.examples import SAMPLE_RATE

Colour = Callable[[np.ndarray], np.ndarray]  # gain at each frequency in Hz
Band = tuple[float, float]  # lowest and highest value of a parameter

HOP = 128  # samples between the frames of noise whose colour changes
HIGHEST_HZ = 7_600.0  # overtones end here


@dataclass(frozen=True)
class Recipe:
    """How a kind of sound is made: a function of a generator and parameters, each drawn from its range.
    One of them is never drawn from its `reserved` band in training, and always from it in reserved tests."""

    ranges: Mapping[str, Band]
    reserved: tuple[str, Band]


def n_samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE)


def curve(points: Sequence[float], n: int) -> np.ndarray:
    """A line through evenly spaced points, n values long."""
    return np.interp(np.linspace(0, len(points) - 1, n), np.arange(len(points)), points)


def tone(f0_hz: np.ndarray, overtones: Sequence[float]) -> np.ndarray:
    """A gliding tone: `f0_hz` [n] for each sample, `overtones` the level of each multiple of it from 1 up."""
    phase = 2 * np.pi * np.cumsum(f0_hz) / SAMPLE_RATE
    out = np.zeros(len(f0_hz))
    for k, level in enumerate(overtones, 1):
        out += np.where(f0_hz * k < HIGHEST_HZ, level, 0) * np.sin(k * phase)
    return out


def voiced(f0_hz: np.ndarray, formants: Sequence[tuple[np.ndarray, float]]) -> np.ndarray:
    """A tone through resonances: each a gliding centre [n] and a width, both in Hz."""
    phase = 2 * np.pi * np.cumsum(f0_hz) / SAMPLE_RATE
    out = np.zeros(len(f0_hz))
    for k in range(1, int(HIGHEST_HZ / f0_hz.min()) + 1):
        gain = sum(1 / (1 + ((k * f0_hz - centre) / width) ** 2) for centre, width in formants)
        out += np.where(k * f0_hz < HIGHEST_HZ, gain, 0) / np.sqrt(k) * np.sin(k * phase)
    return out


def band(low_hz: float, high_hz: float) -> Colour:
    """A colour that passes a band, with slopes of 24 dB an octave."""
    return lambda hz: 1 / np.sqrt((1 + (low_hz / np.maximum(hz, 1)) ** 8) * (1 + (hz / high_hz) ** 8))


def coloured(rng: np.random.Generator, n: int, colour: Colour) -> np.ndarray:
    """Noise [n] of one colour, RMS 1; its end goes over into its beginning."""
    spectrum = np.fft.rfft(rng.standard_normal(n)) * colour(np.fft.rfftfreq(n, 1 / SAMPLE_RATE))
    wave = np.fft.irfft(spectrum, n)
    return np.asarray(wave / np.sqrt((wave**2).mean() + 1e-20))


def changing(rng: np.random.Generator, n: int, colour: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """Noise [n] whose colour changes: `colour(t_s [frames, 1], hz [bins])` is its gain [frames, bins]."""
    size = 4 * HOP
    n_frames = n // HOP + 4
    noise = rng.standard_normal((n_frames, size))
    t_s = (np.arange(n_frames)[:, None] * HOP) / SAMPLE_RATE
    spectrum = np.fft.rfft(noise) * colour(t_s, np.fft.rfftfreq(size, 1 / SAMPLE_RATE))
    frames = np.fft.irfft(spectrum, size) * np.hanning(size + 1)[:-1]
    out = np.zeros((n_frames + 3, HOP))
    for quarter in range(4):
        out[quarter : quarter + n_frames] += frames[:, quarter * HOP : (quarter + 1) * HOP]
    return out.reshape(-1)[3 * HOP : 3 * HOP + n]


def dying(n: int, decay_s: float) -> np.ndarray:
    """An envelope that falls by 60 dB in `decay_s`."""
    return np.asarray(10 ** (-3 * np.arange(n) / (decay_s * SAMPLE_RATE)))


def struck(parts: Sequence[tuple[float, float, float]], seconds: float) -> np.ndarray:
    """Something hit: parts of (Hz, level, decay in seconds), all from the first sample on."""
    t = np.arange(n_samples(seconds)) / SAMPLE_RATE
    return np.asarray(sum(level * np.sin(2 * np.pi * hz * t) * 10 ** (-3 * t / decay) for hz, level, decay in parts))


def fade(samples: np.ndarray, in_s: float, out_s: float) -> np.ndarray:
    """Samples with a raised cosine at each end."""
    out = samples.copy()
    for side, seconds in ((1, in_s), (-1, out_s)):
        n = min(len(out), n_samples(seconds))
        out[::side][:n] *= 0.5 - 0.5 * np.cos(np.pi * (np.arange(n) + 0.5) / n)
    return out


def add(into: np.ndarray, at_s: float, what: np.ndarray) -> None:
    """Add to `into` from a time on, as far as it goes."""
    start = n_samples(at_s)
    part = what[: max(0, len(into) - start)]
    into[start : start + len(part)] += part


def sequence(pieces: Sequence[tuple[float, np.ndarray]]) -> np.ndarray:
    """Pieces from their times in seconds on, as long as the last of them reaches."""
    out = np.zeros(max(n_samples(at_s) + len(piece) for at_s, piece in pieces))
    for at_s, piece in pieces:
        add(out, at_s, piece)
    return out
