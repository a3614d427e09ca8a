"""What is done to a sentence after it was spoken. All samples are float32 at 16 kHz, [n_samples]."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from training.clips import NOISES, bandlimit, noise
from training.domains.speech_parts import SAMPLE_RATE, active_rms

FADE_S = 0.008
BREATH_FROM_HZ = 2000.0
LIMIT_FROM, LIMIT = 0.8, 0.98


def with_pauses(
    samples: np.ndarray, pauses: Sequence[tuple[float, float]]
) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """The sound cut at times, with silence put in: `pauses` are (time, length) in s, in order.

    Returns the samples, and from when to when (s) each piece between the pauses lies in them.
    """
    cuts = [0, *(round(at_s * SAMPLE_RATE) for at_s, _ in pauses), len(samples)]
    fade = np.linspace(0, 1, round(FADE_S * SAMPLE_RATE), dtype=np.float32)
    pieces: list[np.ndarray] = []
    spans: list[tuple[float, float]] = []
    at = 0
    for i in range(len(cuts) - 1):
        piece = samples[cuts[i] : cuts[i + 1]].copy()
        if i > 0:
            pause = round(pauses[i - 1][1] * SAMPLE_RATE)
            pieces.append(np.zeros(pause, np.float32))
            at += pause
            piece[: len(fade)] *= fade[: len(piece)]
        if i < len(cuts) - 2:
            piece[-len(fade) :] *= fade[::-1][-len(piece) :]
        pieces.append(piece)
        spans.append((at / SAMPLE_RATE, (at + len(piece)) / SAMPLE_RATE))
        at += len(piece)
    return np.concatenate(pieces), spans


def choose_pauses(
    rng: random.Random, word_starts_s: Sequence[float], n: int, length_s: tuple[float, float]
) -> list[tuple[float, float]]:
    """Up to `n` pauses before words, 0.25 s apart and more; fewer where the words do not allow it."""
    chosen: list[float] = []
    for at_s in rng.sample(list(word_starts_s), len(word_starts_s)):
        if at_s > 0.2 and all(abs(at_s - other) >= 0.25 for other in chosen) and len(chosen) < n:
            chosen.append(at_s)
    return [(at_s, rng.uniform(*length_s)) for at_s in sorted(chosen)]


def breathed(rng: random.Random, samples: np.ndarray, below_db: float) -> np.ndarray:
    """Breath where the voice sounds: noise above 2 kHz, `below_db` under the voice."""
    envelope = np.convolve(np.abs(samples), np.full(160, 1 / 160, np.float32), "same")
    generator = np.random.default_rng(rng.getrandbits(48))
    breath = generator.standard_normal(len(samples), dtype=np.float32) * envelope
    breath -= low_passed(breath, BREATH_FROM_HZ)
    return np.asarray(samples + breath * np.float32(active_rms(samples) / active_rms(breath) * from_db(-below_db)))


def low_passed(samples: np.ndarray, cutoff_hz: float, *, order: int = 4) -> np.ndarray:
    """What is below `cutoff_hz`, falling by 6 dB an octave and order above (as a Butterworth filter does)."""
    n = _quick_length(len(samples))
    hz = np.arange(n // 2 + 1) * (SAMPLE_RATE / n)
    gain = 1 / np.sqrt(1 + (hz / cutoff_hz) ** (2 * order))
    return np.asarray(np.fft.irfft(np.fft.rfft(samples, n) * gain, n)[: len(samples)], np.float32)


def _quick_length(n: int) -> int:
    """The next length of which a Fourier transform is quick, since its factors are small."""
    return -(-n // 4096) * 4096


def trembled(samples: np.ndarray, rate_hz: float, depth: float) -> np.ndarray:
    """Loudness that swings `rate_hz` times a second, down to 1 - `depth`, and pitch by 4 % each way with it."""
    seconds = np.arange(len(samples)) / SAMPLE_RATE
    phase = 2 * np.pi * rate_hz * seconds
    bent = np.interp(seconds + 0.04 / (2 * np.pi * rate_hz) * np.sin(phase), seconds, samples)
    return np.asarray(bent * (1 - depth * (0.5 - 0.5 * np.cos(phase))), np.float32)


def pressed(samples: np.ndarray, drive: float) -> np.ndarray:
    """A harsh voice: high frequencies brought up, then saturated; `drive` is the peak over the limit."""
    bright = samples + 1.5 * (samples - low_passed(samples, 1200.0, order=1))
    return np.asarray(np.tanh(bright * (drive / np.abs(bright).max())), np.float32)


def from_db(db: float) -> float:
    return float(10 ** (db / 20))


def level_db(samples: np.ndarray) -> float:
    """The level while it sounds, dBFS."""
    return float(20 * np.log10(active_rms(samples)))


def limited(samples: np.ndarray) -> np.ndarray:
    """No peak above 0.98; nothing below 0.8 is changed."""
    if np.abs(samples).max() <= LIMIT_FROM:
        return samples
    over = np.maximum(np.abs(samples) - LIMIT_FROM, 0)
    room = LIMIT - LIMIT_FROM
    return np.asarray(np.where(over > 0, np.sign(samples) * (LIMIT_FROM + room * np.tanh(over / room)), samples))


def recorded(rng: random.Random, voice: np.ndarray, kind: str, snr_db: float, rate: int) -> np.ndarray:
    """A voice with noise of a kind ("none": without) `snr_db` below it, limited, in the band of a sample rate."""
    if kind != "none":
        generator = np.random.default_rng(rng.getrandbits(48))
        hiss = noise(generator, kind, _quick_length(len(voice)))[: len(voice)]
        voice = voice + hiss * np.float32(active_rms(voice) * from_db(-snr_db))
    return np.asarray(limited(bandlimit(limited(voice), rate)), np.float32)


def draw_noise(rng: random.Random, *, share: float, kinds: Sequence[str] = NOISES) -> str:
    """A kind of noise in `share` of the clips, else "none"."""
    return rng.choice(kinds) if rng.random() < share else "none"
