"""Sentences spoken in a given way: espeak-ng and flite voices with a rate, a pitch and a pitch range.

What espeak-ng says depends a little on what its library said before, and starting the library again does not
change that. So what has to be the same samples every time is rendered in a process of its own (`in_new_process`).
"""

from __future__ import annotations

import random
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import soundfile
import soxr

from training import voices
from training.voices import RESERVED_VARIANTS, VARIANTS, Voice, sounding

SAMPLE_RATE = 16_000
GENDERS = ("male", "female")
# New York's is left out: it drops its r's like a British one and keeps an American o, so that many
# short sentences have nothing that would tell which of the two it is.
ACCENTS = {"American": ("en-us",), "British": ("en-gb", "en-gb-x-rp"), "Scottish": ("en-gb-scotland",)}
FLITE = {"kal16": ("male", "American"), "rms": ("male", "American"), "slt": ("female", "American")}
RESERVED_FLITE = {"awb": ("male", "Scottish")}
# flite's own rates in espeak-ng's words a minute: with these both say as many words in a minute.
FLITE_WPM = {"kal16": 172.0, "rms": 142.0, "slt": 165.0, "awb": 162.0}
FLITE_HZ = {"male": 100.0, "female": 185.0}  # at espeak-ng's pitch 50
PITCH_FACTORS = ((0, 20, 50, 80, 99), (0.68, 0.77, 1.0, 1.38, 1.7))  # what espeak-ng makes of a pitch
_RANGE = 4  # espeakRANGE in espeak-ng's speak_lib.h
LOWEST_HZ, HIGHEST_HZ = 55, 400

Result = TypeVar("Result")


@dataclass(frozen=True)
class Band:
    """A range of a parameter. Its middle third is kept for testing."""

    low: float
    high: float

    def draw(self, rng: random.Random, *, reserved: bool) -> float:
        """From the middle third with `reserved`, else from the rest, uniformly."""
        third = (self.high - self.low) / 3
        if reserved:
            return rng.uniform(self.low + third, self.high - third)
        at = rng.uniform(0, 2 * third)
        return self.low + at + (third if at > third else 0.0)

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Speaker:
    """A voice, and what is true of it. `name` is espeak-ng's or flite's."""

    engine: str
    name: str
    gender: str
    accent: str


@dataclass(frozen=True)
class Delivery:
    """How a sentence is spoken: `wpm`, `pitch` and `pitch_range` (0 to 99) as espeak-ng has them."""

    wpm: float
    pitch: float
    pitch_range: float = 50.0

    def as_dict(self) -> dict[str, float]:
        return {name: round(value, 1) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Said:
    """A sentence as sound: `samples` float32 at 16 kHz with an RMS of 1 while sounding, cut to the sound itself.
    `word_starts_s` are those of the words after the first that the engine tells (flite: none)."""

    text: str
    samples: np.ndarray
    word_starts_s: tuple[float, ...] = ()

    @property
    def duration_s(self) -> float:
        return len(self.samples) / SAMPLE_RATE


def draw_speaker(
    rng: random.Random, *, reserved: bool, flite: Sequence[str] = tuple(FLITE), flite_share: float = 0.1
) -> Speaker:
    """A voice of either gender and any accent; with `reserved`, one of those that are kept for testing."""
    if rng.random() < flite_share:
        known = RESERVED_FLITE if reserved else {name: FLITE[name] for name in flite}
        name = rng.choice(list(known))
        return Speaker("flite", name, *known[name])
    gender, accent = rng.choice(GENDERS), rng.choice(list(ACCENTS))
    letter = "+m" if gender == "male" else "+f"
    variants = [v for v in VARIANTS if v.startswith(letter) or (not v and gender == "male")]
    free = [v for v in variants if (v in RESERVED_VARIANTS) == reserved]
    return Speaker("espeak", rng.choice(ACCENTS[accent]) + rng.choice(free), gender, accent)


def in_new_process(function: Callable[..., Result], *args: Any) -> Result:
    """What `function` returns in a process in which espeak-ng has not said anything yet."""
    spoken = voices._library.cache_info().currsize > 0  # a fork would remember that; a start from nothing takes longer
    with ProcessPoolExecutor(1, mp_context=get_context("spawn" if spoken else "fork")) as pool:
        return pool.submit(function, *args).result()


def say_all(speaker: Speaker, sentences: Sequence[tuple[str, Delivery]]) -> list[Said]:
    """Render sentences in one voice, one after the other, in this process."""
    return [say(text, speaker, delivery) for text, delivery in sentences]


def say(text: str, speaker: Speaker, delivery: Delivery) -> Said:
    """Render one sentence in this process. Raises ValueError for a voice that is not there."""
    if speaker.engine == "flite":
        samples = _flite(text, speaker, delivery)
        starts: dict[int, float] = {}
    else:
        library = voices._library()
        library.lib.espeak_SetParameter(_RANGE, round(delivery.pitch_range), 0)
        voice = Voice("espeak", speaker.name, round(delivery.wpm), round(delivery.pitch))
        samples, starts = library.render(text, voice)
        samples = soxr.resample(samples, library.rate, SAMPLE_RATE)
    start, end = sounding(samples)
    after_first = [at_s - start / SAMPLE_RATE for place, at_s in sorted(starts.items()) if place > 0]
    known = tuple(t for t in after_first if 0 < t < (end - start) / SAMPLE_RATE)
    return Said(text, unit_level(samples[start:end]), known)


def _flite(text: str, speaker: Speaker, delivery: Delivery) -> np.ndarray:
    hz = FLITE_HZ[speaker.gender] * float(np.interp(delivery.pitch, *PITCH_FACTORS))
    settings = {
        "duration_stretch": FLITE_WPM[speaker.name] / delivery.wpm,
        "int_f0_target_mean": hz,
        "int_f0_target_stddev": hz * 0.0025 * delivery.pitch_range,
    }
    options = [part for name, value in settings.items() for part in ("--setf", f"{name}={value:.4f}")]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.wav")
        subprocess.run(["flite", "-voice", speaker.name, *options, "-t", text, "-o", str(path)], check=True)
        samples, rate = soundfile.read(path, dtype="float32")
    return np.asarray(samples if rate == SAMPLE_RATE else soxr.resample(samples, rate, SAMPLE_RATE))


def active_rms(samples: np.ndarray) -> float:
    """The RMS of the samples within 50 dB of the highest: pauses do not count."""
    loud = samples[np.abs(samples) > np.abs(samples).max() * 0.003]
    return float(np.sqrt((loud.astype(np.float64) ** 2).mean()))


def unit_level(samples: np.ndarray) -> np.ndarray:
    """The same sound with an RMS of 1 while it sounds."""
    return (samples / active_rms(samples)).astype(np.float32)


def pitch_hz(samples: np.ndarray) -> np.ndarray:
    """The fundamental of every voiced 20 ms, by autocorrelation over 40 ms: Hz, [n_voiced]."""
    n, hop, n_fft = 640, 320, 1024
    if len(samples) < n:
        return np.zeros(0)
    frames = np.lib.stride_tricks.sliding_window_view(samples, n)[::hop].astype(np.float64)
    frames = frames - frames.mean(1, keepdims=True)
    energy = (frames**2).mean(1)
    window = np.hanning(n)
    frames = frames[energy > energy.max() * 0.02] * window
    lags = slice(SAMPLE_RATE // HIGHEST_HZ, SAMPLE_RATE // LOWEST_HZ + 1)
    of_window = np.fft.irfft(np.abs(np.fft.rfft(window, n_fft)) ** 2)
    alike = np.fft.irfft(np.abs(np.fft.rfft(frames, n_fft, axis=1)) ** 2, axis=1)
    alike = (alike / alike[:, :1] / (of_window / of_window[0]))[:, lags]
    alike = alike[alike.max(1) > 0.5]  # what is not periodic has no pitch
    inner = alike[:, 1:-1]
    # The first peak that is nearly the highest: later ones are of two periods and more.
    peak = (inner >= alike[:, :-2]) & (inner > alike[:, 2:]) & (inner > 0.9 * alike.max(1, keepdims=True))
    lag = peak.argmax(1)[peak.any(1)] + 1 + lags.start
    return np.asarray(SAMPLE_RATE / lag)
