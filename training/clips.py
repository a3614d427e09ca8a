"""Clips of the speech domain: sentences with pauses, at a level, over noise, at a sample rate."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import soxr

from training.examples import Segment
from training.sentences import sentence
from training.voices import SAMPLE_RATE, Spoken, Voice, draw_voice, speak

SAMPLE_RATES = [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000]
NOISES = ["white", "pink", "hum"]


@dataclass(frozen=True)
class Clip:
    """`samples` is float32 at 16 kHz, whatever rate the clip is written at."""

    samples: np.ndarray
    segments: list[Segment]
    settings: dict[str, object] = field(default_factory=dict)

    @property
    def duration_s(self) -> float:
        return len(self.samples) / SAMPLE_RATE

    @property
    def truth(self) -> dict[str, Any]:
        """What was said, and when, as it stands in labels.jsonl."""
        return said(self.segments) | {"settings": self.settings}


def said(segments: Sequence[Segment]) -> dict[str, Any]:
    """The text of a clip and its sentences with their times, seconds to the millisecond."""
    return {
        "text": " ".join(s.text for s in segments),
        "segments": [
            {
                "start": round(s.start, 3),
                "end": round(s.end, 3),
                "text": s.text,
                "word_starts": [round(t, 3) for t in s.word_starts],
            }
            for s in segments
        ],
    }


def noise(rng: np.random.Generator, kind: str, n_samples: int) -> np.ndarray:
    """White, pink or hum noise with an RMS of 1."""
    if kind == "hum":
        t = np.arange(n_samples) / SAMPLE_RATE
        base = rng.choice([50.0, 60.0])
        wave = sum(
            np.sin(2 * np.pi * base * k * t + rng.uniform(0, 6.28)) * rng.uniform(0.2, 1) / k for k in range(1, 8)
        )
        wave = np.asarray(wave)
    else:
        wave = rng.standard_normal(n_samples)
        if kind == "pink":
            spectrum = np.fft.rfft(wave)
            spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
            wave = np.fft.irfft(spectrum, n_samples)
    normal: np.ndarray = (wave / np.sqrt((wave**2).mean() + 1e-20)).astype(np.float32)
    return normal


def bandlimit(samples: np.ndarray, rate: int) -> np.ndarray:
    """What is left of a 16 kHz signal that was once stored at a lower `rate`."""
    if rate >= SAMPLE_RATE:
        return samples
    there = soxr.resample(samples, SAMPLE_RATE, rate)
    back = soxr.resample(there, rate, SAMPLE_RATE)[: len(samples)]
    return np.pad(back, (0, len(samples) - len(back)))


def lay_out(rng: random.Random, spoken: list[Spoken], max_s: float) -> tuple[np.ndarray, list[Segment]]:
    """Put sentences one after another with 0.2 to 2 s between, as far as `max_s` allows."""
    lead = rng.uniform(0, 0.8)
    pieces = [np.zeros(int(lead * SAMPLE_RATE), np.float32)]
    segments: list[Segment] = []
    at = len(pieces[0])
    for i, one in enumerate(spoken):
        gap = int(rng.uniform(0.2, 2.0 if rng.random() < 0.5 else 0.7) * SAMPLE_RATE) if i else 0
        if segments and (at + gap + len(one.samples)) / SAMPLE_RATE > max_s:
            break
        pieces += [np.zeros(gap, np.float32), one.samples]
        start = (at + gap) / SAMPLE_RATE
        at += gap + len(one.samples)
        words = [start + t for t in one.word_starts_s]
        segments.append(Segment(start, at / SAMPLE_RATE, one.text, words))
    pieces.append(np.zeros(int(rng.uniform(0, 0.8) * SAMPLE_RATE), np.float32))
    return np.concatenate(pieces), segments


def finish(rng: random.Random, samples: np.ndarray, segments: list[Segment]) -> Clip:
    """Set the level (-35 to -15 dBFS while sounding), the band and the noise (15 to 50 dB below)."""
    level_db = rng.uniform(-35, -15)
    rate = rng.choice(SAMPLE_RATES)
    kind = rng.choice([*NOISES, "none"])
    snr_db = rng.uniform(15, 50)
    sounding = samples[np.abs(samples) > 1e-4]
    rms = float(np.sqrt((sounding**2).mean())) if len(sounding) else 1.0
    target = 10 ** (level_db / 20)
    out = samples * (target / rms)
    if kind != "none":
        np_rng = np.random.default_rng(rng.getrandbits(48))
        out = out + noise(np_rng, kind, len(out)) * (target * 10 ** (-snr_db / 20))
    peak = float(np.abs(out).max()) if len(out) else 0.0
    if peak > 0.99:
        out = out * (0.99 / peak)
    settings = {
        "level_db": round(level_db, 1),
        "sample_rate": rate,
        "noise": kind,
        "snr_db": None if kind == "none" else round(snr_db, 1),
    }
    return Clip(bandlimit(out.astype(np.float32), rate), segments, settings)


def speech_clip(
    rng: random.Random, *, reserved_voices: bool, reserved_patterns: bool, n_sentences: tuple[int, int], max_s: float
) -> Clip:
    """A freshly rendered clip: what tests and figures are measured on."""
    voices: list[Voice] = [draw_voice(rng, reserved=reserved_voices)]
    if rng.random() < 0.3:
        voices.append(draw_voice(rng, reserved=reserved_voices))
    spoken: list[Spoken] = []
    for _ in range(rng.randint(*n_sentences)):
        spoken.append(speak(sentence(rng, reserved=reserved_patterns), rng.choice(voices), fresh=True))
    samples, segments = lay_out(rng, spoken, max_s)
    clip = finish(rng, samples, segments)
    return Clip(clip.samples, clip.segments, {**clip.settings, "voices": [v.as_dict() for v in voices]})


def empty_clip(rng: random.Random, max_s: float) -> Clip:
    """Silence, or noise alone: nothing is said."""
    n_samples = int(rng.uniform(0.5, max_s) * SAMPLE_RATE)
    silent = rng.random() < 0.2
    kind = "silence" if silent else rng.choice(NOISES)
    level_db = rng.uniform(-75, -20)
    samples = np.zeros(n_samples, np.float32)
    if not silent:
        samples = noise(np.random.default_rng(rng.getrandbits(48)), kind, n_samples) * np.float32(10 ** (level_db / 20))
    rate = rng.choice(SAMPLE_RATES)
    settings: dict[str, object] = {
        "noise": kind,
        "level_db": None if silent else round(level_db, 1),
        "sample_rate": rate,
    }
    return Clip(bandlimit(samples, rate), [], settings)


def training_clip(rng: random.Random, draw: Callable[[], Spoken], n_sentences: tuple[int, int], max_s: float) -> Clip:
    """A clip from the bank; one in sixteen has no speech."""
    if rng.random() < 1 / 16:
        return empty_clip(rng, max_s)
    samples, segments = lay_out(rng, [draw() for _ in range(rng.randint(*n_sentences))], max_s)
    return finish(rng, samples, segments)
