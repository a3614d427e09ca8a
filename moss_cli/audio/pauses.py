"""Where long audio is best cut: the pauses of a window, and the one that is worth most.

A pause is either quiet, as pydub finds it, or a gap without speech, which the level does not show where there is noise
or music behind the voice. What hears speech also keeps a faint voice from being taken for a pause after a loud one.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from moss_cli.audio.results import SAMPLE_RATE, Samples
from moss_cli.audio.silero import FRAME_SAMPLES
from moss_cli.audio.vad import speech_probability

GRID_SAMPLES = 2 * SAMPLE_RATE  # the model reads a time marker every 2 s from the start of what it is given

_STEP_MS = 10  # the pauses' resolution
_STEP_SAMPLES = SAMPLE_RATE * _STEP_MS // 1000
_BLOCK_SAMPLES = 1 << 16  # converted at once

_QUIET_MS = 200  # shorter silences lie within words, before a stop is released
_SEEK_MS = 20  # of pydub, which measures each of its slices in a few microseconds of Python
_LOUD_SHARE = 95  # percentile of the level that is called loud
_LEVEL_SAMPLES = 320  # 20 ms, for which a level is measured
_FULL_LEVEL = 0.1  # to which pydub's copy is brought, -20 dBFS: room for peaks, and steps far below what is quiet
_FAINTEST = 0.005  # as loud a window is taken to be at least: -66 dBFS is quiet whatever else there is
_QUIET_DBFS = -40.0  # of that copy, 20 dB below what is loud

_SPEAKING = 0.5  # probability from which a frame is held for speech, however quiet it is
_NOT_SPEAKING = 0.3  # below it a frame is part of a gap, however loud it is
_GAP_MS = 300  # shorter dips of the probability occur inside sentences
_LEAST_SPEECH_MS = 500  # without which nothing is paused: a window of music or noise has no gaps but quiet ones

_MARGIN_SAMPLES = SAMPLE_RATE // 10  # a cut on the grid stays this far from what the pause lies between
_LONG_S = 2.0  # a longer pause is not better for a cut
_DOUBLING_DB = 20.0  # a pause that lies this far below what is loud is worth twice one that is as loud
_DEEPEST_DB = 60.0
_GRID_WORTH = 2.0


@dataclass(frozen=True)
class Pause:
    """Samples start..end of a window. `depth_db`: how far below the window's loud parts, `speech`: mean probability."""

    start: int
    end: int
    depth_db: float
    speech: float

    @property
    def on_grid(self) -> int | None:
        """The time marker nearest to the middle that lies well inside, in samples."""
        nearest = round((self.start + self.end) / 2 / GRID_SAMPLES) * GRID_SAMPLES
        inside = self.start + _MARGIN_SAMPLES <= nearest <= self.end - _MARGIN_SAMPLES
        return nearest if inside else None

    @property
    def cut(self) -> int:
        """Where to cut: on the grid of the time markers where that lies in the pause, else in its middle."""
        marker = self.on_grid
        return (self.start + self.end) // 2 if marker is None else marker

    @property
    def worth(self) -> float:
        """More for a longer and quieter pause that is surely one, and double for one on the grid."""
        length_s = min((self.end - self.start) / SAMPLE_RATE, _LONG_S)
        worth = length_s * (1 + self.depth_db / _DOUBLING_DB) * (1 - self.speech)
        return worth if self.on_grid is None else worth * _GRID_WORTH


def best_cut(window: Samples, first: int) -> int | None:
    """The sample at which to cut `window` ([n], mono, 16 kHz), in its pause from `first` on that is worth most.

    Of several that are worth the same the last counts. None where there is no pause. The grid starts with the window.
    """
    pauses = find_pauses(window, first)
    return max(pauses, key=lambda pause: (pause.worth, pause.start)).cut if pauses else None


def find_pauses(window: Samples, first: int) -> list[Pause]:
    """The pauses of `window` ([n], mono, 16 kHz, finite) after sample `first`, in order.

    Levels are judged by the whole window. Without a model that hears speech only what is quiet is a pause.
    """
    searched = window[first:]
    loud = _loud_level(window)
    quiet = _quiet(searched, max(loud, _FAINTEST))
    speech = _speech(searched, len(quiet))
    if speech is None:
        speech = np.zeros(len(quiet), np.float32)
        spans = _runs(quiet, _QUIET_MS)
    else:
        gaps = np.zeros_like(quiet)
        if np.count_nonzero(speech >= _SPEAKING) * _STEP_MS >= _LEAST_SPEECH_MS:
            for start, end in _runs(speech < _NOT_SPEAKING, _GAP_MS):
                gaps[start:end] = True
        spans = _runs(gaps | (quiet & (speech < _SPEAKING)), _QUIET_MS)
    return [
        Pause(
            first + start * _STEP_SAMPLES,
            first + end * _STEP_SAMPLES,
            _depth_db(searched[start * _STEP_SAMPLES : end * _STEP_SAMPLES], loud),
            float(speech[start:end].mean()),
        )
        for start, end in spans
    ]


def _loud_level(samples: Samples) -> float:
    """The level that all but the loudest twentieth of the samples stay below, 20 ms at a time."""
    n_frames = len(samples) // _LEVEL_SAMPLES
    if not n_frames:
        return 0.0
    return float(np.percentile(_levels(samples[: n_frames * _LEVEL_SAMPLES].reshape(n_frames, -1)), _LOUD_SHARE))


def _depth_db(samples: Samples, loud: float) -> float:
    """How far below `loud` the samples lie, 0..60 dB."""
    level = float(_levels(samples[None])[0])
    if level <= loud * 10 ** (-_DEEPEST_DB / 20):
        return _DEEPEST_DB
    return max(20 * float(np.log10(loud / level)), 0.0) if loud else 0.0


def _levels(frames: Samples) -> npt.NDArray[np.float64]:
    """RMS without offset of each row of [n, m], with nothing as large as that beside it."""
    mean = frames.mean(axis=1, dtype=np.float64)
    power = np.einsum("ij,ij->i", frames, frames, dtype=np.float64) / frames.shape[1]
    level: npt.NDArray[np.float64] = np.sqrt((power - mean**2).clip(min=0))
    return level


def _quiet(samples: Samples, loud: float) -> npt.NDArray[np.bool_]:
    """Which steps of 10 ms belong to a silence of at least 200 ms: [n // 160]."""
    with warnings.catch_warnings():
        # It warns of audioop's end and of a missing ffmpeg, neither of which plays a part here.
        warnings.simplefilter("ignore")
        from pydub import AudioSegment
        from pydub.silence import detect_silence

    segment = AudioSegment(
        data=_as_int16(samples, _FULL_LEVEL / loud), sample_width=2, frame_rate=SAMPLE_RATE, channels=1
    )
    quiet = np.zeros(len(samples) // _STEP_SAMPLES, np.bool_)
    ranges = detect_silence(segment, min_silence_len=_QUIET_MS, silence_thresh=_QUIET_DBFS, seek_step=_SEEK_MS)
    for start_ms, end_ms in ranges:
        quiet[-(-start_ms // _STEP_MS) : end_ms // _STEP_MS] = True
    return quiet


def _as_int16(samples: Samples, gain: float) -> bytearray:
    """Bytes of the samples without their offset, made `gain` times as loud; what is then too loud is clipped."""
    data = bytearray(2 * len(samples))
    integers = np.frombuffer(data, np.int16)
    offset = float(samples.mean(dtype=np.float64)) if len(samples) else 0.0
    for start in range(0, len(samples), _BLOCK_SAMPLES):
        block = (samples[start : start + _BLOCK_SAMPLES] - offset) * (gain * 32768)
        integers[start : start + len(block)] = block.clip(-32768, 32767)
    return data


def _speech(samples: Samples, n_steps: int) -> npt.NDArray[np.float32] | None:
    """The probability of speech in each step of 10 ms, [n_steps]; None where there is no model to ask."""
    try:
        probability = speech_probability(samples)
    except ImportError:
        return None
    middles = np.arange(n_steps) * _STEP_SAMPLES + _STEP_SAMPLES // 2
    return probability[middles // FRAME_SAMPLES]


def _runs(mask: npt.NDArray[np.bool_], least_ms: int) -> list[tuple[int, int]]:
    """Where `mask` [n] is true for at least that long: (start, end) in steps of 10 ms."""
    edges = np.flatnonzero(np.diff(np.pad(mask.astype(np.int8), 1)))
    pairs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    return [(start, end) for start, end in pairs if (end - start) * _STEP_MS >= least_ms]
