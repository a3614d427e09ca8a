"""Speech from espeak-ng (through its library, which also tells where words start) and flite.

Nothing here is needed by the installed product. Debian packages: espeak-ng, flite.
"""

from __future__ import annotations

import ctypes
import random
import re
import subprocess
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

SAMPLE_RATE = 16_000
ACCENTS = ["en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-us-nyc"]
VARIANTS = ["", *(f"+m{i}" for i in range(1, 9)), *(f"+f{i}" for i in range(1, 6))]
RESERVED_VARIANTS = ["+m6", "+f4"]
FLITE = ["kal16", "rms", "slt"]
RESERVED_FLITE = ["awb"]


@dataclass(frozen=True)
class Voice:
    """Who speaks: `wpm` and `pitch` (0 to 99) are espeak-ng's; flite ignores them."""

    engine: str
    name: str
    wpm: int = 160
    pitch: int = 50

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Spoken:
    """A sentence as sound. `samples` is float32 at 16 kHz, trimmed to the sound itself;
    `word_starts_s` holds a start for each word, or nothing where the engine does not tell."""

    text: str
    samples: np.ndarray
    word_starts_s: list[float]


def draw_voice(rng: random.Random, *, reserved: bool = False) -> Voice:
    """A random voice; with `reserved`, one of those that are kept for testing."""
    if rng.random() < (0.2 if reserved else 0.12):
        return Voice("flite", rng.choice(RESERVED_FLITE if reserved else FLITE))
    free = [v for v in VARIANTS if v not in RESERVED_VARIANTS]
    variant = rng.choice(RESERVED_VARIANTS if reserved else free)
    return Voice("espeak", rng.choice(ACCENTS) + variant, rng.randint(120, 210), rng.randint(20, 80))


def speak(text: str, voice: Voice, *, fresh: bool = False) -> Spoken:
    """Render a sentence and cut it to where its sound starts and ends.

    espeak-ng's library remembers something of what it said before; with `fresh` it runs in a new
    process, so that the same sentence is always the same samples. That takes four times as long.
    """
    starts: list[float] = []
    if voice.engine == "flite":
        samples = _flite(text, voice)
    elif fresh:
        with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
            samples, starts = pool.submit(_espeak, text, voice).result()
    else:
        samples, starts = _espeak(text, voice)
    start, end = sounding(samples)
    starts = [max(0.0, t - start / SAMPLE_RATE) for t in starts]
    return Spoken(text, samples[start:end], starts)


def sounding(samples: np.ndarray, *, below_peak_db: float = 40.0) -> tuple[int, int]:
    """First and last+1 sample of the part whose 5 ms level is within `below_peak_db` of the loudest."""
    hop = SAMPLE_RATE // 200
    frames = samples[: len(samples) // hop * hop].reshape(-1, hop)
    level = np.sqrt((frames**2).mean(1))
    loud = np.flatnonzero(level > level.max() * 10 ** (-below_peak_db / 20))
    return int(loud[0]) * hop, min(len(samples), (int(loud[-1]) + 1) * hop)


def _flite(text: str, voice: Voice) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.wav")
        subprocess.run(["flite", "-voice", voice.name, "-t", text, "-o", str(path)], check=True)
        samples, rate = soundfile.read(path, dtype="float32")
    heard: np.ndarray = samples if rate == SAMPLE_RATE else soxr.resample(samples, rate, SAMPLE_RATE)
    return heard


# espeak-ng's speak_lib.h
_WORD_EVENT, _END_EVENT = 1, 0
_SYNCHRONOUS, _RATE, _PITCH, _UTF8 = 2, 1, 3, 1


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class _Espeak:
    """The library keeps one voice for the process, so there is one of these."""

    def __init__(self) -> None:
        self.lib = ctypes.CDLL("libespeak-ng.so.1")
        self.rate = self.lib.espeak_Initialize(_SYNCHRONOUS, 0, None, 0)
        self.pieces: list[np.ndarray] = []
        self.words: dict[int, int] = {}  # text position -> sample
        self.callback = _Callback(self._on_audio)
        self.lib.espeak_SetSynthCallback(self.callback)

    def _on_audio(self, wav: Any, n_samples: int, events: Any) -> int:
        if wav and n_samples > 0:
            self.pieces.append(np.ctypeslib.as_array(wav, (n_samples,)).copy())
        i = 0
        while events[i].type != _END_EVENT:
            if events[i].type == _WORD_EVENT:
                self.words[events[i].text_position - 1] = events[i].sample
            i += 1
        return 0

    def render(self, text: str, voice: Voice) -> tuple[np.ndarray, dict[int, float]]:
        # The library knows British English as "en"; asked for en-gb+f2 the program drops the variant.
        name = re.sub(r"^en-gb(?=\+|$)", "en", voice.name)
        if self.lib.espeak_ng_SetVoiceByName(name.encode()):
            raise ValueError(f"espeak-ng has no voice {voice.name}")
        self.lib.espeak_SetParameter(_RATE, voice.wpm, 0)
        self.lib.espeak_SetParameter(_PITCH, voice.pitch, 0)
        self.pieces, self.words = [], {}
        raw = text.encode()
        self.lib.espeak_Synth(raw, len(raw) + 1, 0, 1, 0, _UTF8, None, None)
        self.lib.espeak_Synchronize()
        samples = np.concatenate(self.pieces).astype(np.float32) / 32768
        return samples, {at: sample / self.rate for at, sample in self.words.items()}


@cache
def _library() -> _Espeak:
    return _Espeak()


def _espeak(text: str, voice: Voice) -> tuple[np.ndarray, list[float]]:
    library = _library()
    samples, starts = library.render(text, voice)
    positions = [0]
    for word in text.split()[:-1]:
        positions.append(positions[-1] + len(word) + 1)
    # espeak-ng speaks some pairs ("of the") as one word: their second has no start of its own.
    known = [starts[p] for p in positions] if all(p in starts for p in positions) else []
    return soxr.resample(samples, library.rate, SAMPLE_RATE), known
