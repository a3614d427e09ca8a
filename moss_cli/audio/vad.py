"""Where somebody may be speaking: the probability of speech, and the stretches in which it is low throughout.

The network is Silero VAD (`silero.py`), computed in numpy: a run whose model is on a server does without torch.

Every doubt counts as speech, so that whispers, songs, noisy and faint voices are kept: the level is made equal first,
the network listens from both ends, and the threshold lies far below the 0.5 that is used to find speech. Every function
raises ImportError where the package is missing or holds a model that is not the one known here; do without it then.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from moss_cli.audio.results import SAMPLE_RATE, Samples
from moss_cli.audio.silero import CONTEXT_SAMPLES, FRAME_SAMPLES, Network, silero
from moss_cli.span import Span

THRESHOLD = 0.04  # of the probability of speech; at and above it somebody may be speaking
MARGIN_S = 0.5  # kept on either side of what may be speech
LEAST_S = 2.0  # shorter stretches are not worth a cut

_BLOCK_FRAMES = 256  # 8 s computed at once, so that memory does not grow with the input
_LEAD_FRAMES = 31  # 1 s, mirrored, that the network hears first, for its first answers are unsure

_CLEANED_SAMPLES = 1 << 19  # 33 s at once, in double precision
_RUMBLE_SAMPLES = 161  # 10 ms, whose moving average, taken twice, is what lies below speech (half at 45 Hz)
_FULL_LEVEL = 0.1  # RMS of the loudest frame nearby once the level is equal, -20 dBFS
_MOST_GAIN = 1000.0  # 60 dB
_NEARBY_FRAMES = 31  # 1 s to either side
_FADE_FRAMES = 16  # 0.5 s to either side, over which the gain changes
_INAUDIBLE = 2.0**-16  # half a step of 16 bits


Probability = npt.NDArray[np.float32]  # of speech, in each frame


def has_speech(samples: Samples, probability: Probability | None = None) -> bool:
    """False only where the probability of speech is low throughout `samples` ([n], mono, 16 kHz), or n is 0.

    `probability` is theirs, where it is known already.
    """
    return bool(_may_be_speech(samples, THRESHOLD, probability).any())


def silent_stretches(
    samples: Samples,
    probability: Probability | None = None,
    *,
    threshold: float = THRESHOLD,
    margin_s: float = MARGIN_S,
    least_s: float = LEAST_S,
) -> list[Span]:
    """The spans of `samples` ([n], mono, 16 kHz) in which the probability of speech stays below `threshold`, in seconds
    from their start.

    They keep `margin_s` away from every frame that reaches it, and one of less than `least_s` is left out; samples that
    have no such frame are one stretch, however short. In order; [] where all of it may be speech, or n is 0.
    `probability` is theirs, where it is known already.
    """
    duration_s = len(samples) / SAMPLE_RATE
    speech = np.flatnonzero(_may_be_speech(samples, threshold, probability))
    if not len(speech):
        return [Span(0.0, duration_s)] if duration_s else []
    frame_s = FRAME_SAMPLES / SAMPLE_RATE
    starts_s = [0.0, *((speech + 1) * frame_s + margin_s).tolist()]
    ends_s = [*(speech * frame_s - margin_s).tolist(), duration_s]
    return [
        Span(start_s, end_s)
        for start_s, end_s in zip(starts_s, ends_s, strict=True)
        if end_s > start_s and end_s - start_s >= least_s
    ]


def speech_probability(samples: Samples) -> npt.NDArray[np.float32]:
    """The probability of speech in each 32 ms of `samples` ([n], float32, mono, 16 kHz): [ceil(n / 512)], 0..1.

    The samples lose what lies below speech, and the loudest frame within 1 s is brought to -20 dBFS, by 60 dB at most.
    Of what the network says from either end the larger counts, and then the mean of three frames. Frames in which
    nothing reaches half a step of 16 bits are silent, whatever it says. Zeros fill the last frame. Memory: that of the
    input once more, and a few megabytes.
    """
    frames = _frames(samples)
    silent = np.maximum(frames.max(axis=1, initial=0), -frames.min(axis=1, initial=0)) < _INAUDIBLE
    if silent.all():
        return np.zeros(len(frames), np.float32)
    network = silero()
    frames *= _gain(np.sqrt(np.einsum("ij,ij->i", frames, frames) / np.float32(FRAME_SAMPLES)))[:, None]
    probability = _heard(network, frames)
    probability[silent] = 0
    padded = np.pad(probability, 1)
    smooth: npt.NDArray[np.float32] = (padded[:-2] + padded[1:-1] + padded[2:]) / np.float32(3)
    return smooth


def _may_be_speech(samples: Samples, threshold: float, probability: Probability | None) -> npt.NDArray[np.bool_]:
    """[n_frames]; written so that a probability that is no number counts as speech."""
    return ~((speech_probability(samples) if probability is None else probability) < threshold)


def _frames(samples: Samples) -> Samples:
    """[n] to [ceil(n / 512), 512] without offset and rumble; zeros after the last sample."""
    frames = np.zeros((-(-len(samples) // FRAME_SAMPLES), FRAME_SAMPLES), np.float32)
    reach = _RUMBLE_SAMPLES - 1  # that of two moving averages
    for first in range(0, len(samples), _CLEANED_SAMPLES):
        last = min(first + _CLEANED_SAMPLES, len(samples))
        before, after = min(first, reach), min(len(samples) - last, reach)
        around = samples[first - before : last + after].astype(np.float64)
        around = np.pad(around, (reach - before, reach - after), mode="edge")
        frames.reshape(-1)[first:last] = samples[first:last] - _moving_average(_moving_average(around))
    return frames


def _moving_average(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """[n] to [n - 160]."""
    total = np.cumsum(np.pad(values, (1, 0)))
    average: npt.NDArray[np.float64] = (total[_RUMBLE_SAMPLES:] - total[:-_RUMBLE_SAMPLES]) / _RUMBLE_SAMPLES
    return average


def _gain(level: Samples) -> Samples:
    """What brings the loudest frame nearby to the full level, [n_frames], changing slowly."""
    padded = np.pad(level, _NEARBY_FRAMES, constant_values=0.0)  # a level is never less
    nearby = sliding_window_view(padded, 2 * _NEARBY_FRAMES + 1).max(axis=1)
    gain_log = np.log(np.float32(_FULL_LEVEL) / np.maximum(nearby, np.float32(_FULL_LEVEL / _MOST_GAIN)))
    total = np.concatenate([[0.0], np.cumsum(gain_log, dtype=np.float64)])
    places = np.arange(len(level))
    first, last = np.maximum(places - _FADE_FRAMES, 0), np.minimum(places + _FADE_FRAMES + 1, len(level))
    gain: Samples = np.exp((total[last] - total[first]) / (last - first)).astype(np.float32)
    return gain


def _heard(network: Network, frames: Samples) -> Samples:
    """What the network, which remembers only what it has heard so far, says of each of the frames, [n, 512] to [n]:
    the more that it says of each, listening from either end."""
    n_frames = len(frames)
    ways = frames, frames[::-1, ::-1]
    probability = np.zeros((2, n_frames), np.float32)
    context = np.zeros((2, CONTEXT_SAMPLES), np.float32)
    state = network.start(2)
    for start in range(-min(_LEAD_FRAMES, n_frames), n_frames, _BLOCK_FRAMES):
        end = min(start + _BLOCK_FRAMES, n_frames)
        block = np.stack([_mirrored(way, start, end) for way in ways])
        answers, state = network.listen(np.concatenate([context, block], axis=1), state)
        probability[:, max(start, 0) : end] = answers[:, max(-start, 0) :]
        context = block[:, -CONTEXT_SAMPLES:]
    heard: Samples = np.maximum(probability[0], probability[1, ::-1])
    return heard


def _mirrored(frames: Samples, start: int, end: int) -> Samples:
    """The samples of the frames start..end; what lies before frame 0 is what comes after it, mirrored."""
    before = frames[: max(-start, 0)][::-1, ::-1]
    return np.concatenate([before.reshape(-1), frames[max(start, 0) : end].reshape(-1)])
