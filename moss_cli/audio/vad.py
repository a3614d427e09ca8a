"""Where somebody may be speaking: the probability of speech, and the stretches in which it is low throughout.

The network is Silero VAD, 16 kHz (https://github.com/snakers4/silero-vad, MIT), computed in PyTorch from the weights
that the package `silero-vad` brings as safetensors. The package itself is never imported: its import takes all threads
but one from torch, and what it loads is TorchScript, which torch no longer supports from Python 3.14 on.

Every doubt counts as speech, so that whispers, songs, noisy and faint voices are kept: the level is made equal first,
the network listens from both ends, and the threshold lies far below the 0.5 that is used to find speech. Every function
raises ImportError where the package is missing or holds a model that is not the one known here; do without it then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from moss_cli.audio.results import SAMPLE_RATE, Samples
from moss_cli.span import Span

if TYPE_CHECKING:
    import torch

FRAME_SAMPLES = 512  # 32 ms, for which there is one probability
THRESHOLD = 0.04  # of the probability of speech; at and above it somebody may be speaking
MARGIN_S = 0.5  # kept on either side of what may be speech
LEAST_S = 2.0  # shorter stretches are not worth a cut

_CONTEXT_SAMPLES = 64  # of the frame before, which the network sees with each frame
_BLOCK_FRAMES = 1024  # 33 s computed at once, so that memory does not grow with the input
_LEAD_FRAMES = 31  # 1 s, mirrored, that the network hears first, for its first answers are unsure

_RUMBLE_SAMPLES = 161  # 10 ms, whose moving average, taken twice, is what lies below speech (half at 45 Hz)
_FULL_LEVEL = 0.1  # RMS of the loudest frame nearby once the level is equal, -20 dBFS
_MOST_GAIN = 1000.0  # 60 dB
_NEARBY_FRAMES = 31  # 1 s to either side
_FADE_FRAMES = 16  # 0.5 s to either side, over which the gain changes
_INAUDIBLE = 2.0**-16  # half a step of 16 bits


def has_speech(samples: Samples) -> bool:
    """False only where the probability of speech is low throughout `samples` ([n], mono, 16 kHz), or n is 0."""
    return bool(_may_be_speech(samples, THRESHOLD).any())


def silent_stretches(
    samples: Samples, *, threshold: float = THRESHOLD, margin_s: float = MARGIN_S, least_s: float = LEAST_S
) -> list[Span]:
    """The spans of `samples` ([n], mono, 16 kHz) in which the probability of speech stays below `threshold`, in seconds
    from their start.

    They keep `margin_s` away from every frame that reaches it, and one of less than `least_s` is left out; samples that
    have no such frame are one stretch, however short. In order; [] where all of it may be speech, or n is 0.
    """
    duration_s = len(samples) / SAMPLE_RATE
    speech = np.flatnonzero(_may_be_speech(samples, threshold))
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
    nothing reaches half a step of 16 bits are silent, whatever it says. Zeros fill the last frame. Memory: some bytes a
    frame and a few megabytes beside the input.
    """
    import torch

    n_frames = -(-len(samples) // FRAME_SAMPLES)
    level, peak = _levels(samples, n_frames)
    silent = peak < _INAUDIBLE
    if silent.all():
        return np.zeros(n_frames, np.float32)
    network, gain = _network(), _gain(level)

    def levelled(start: int, end: int) -> Samples:
        return (_frames(samples, start, end) * gain[start:end, None]).reshape(-1)

    with torch.inference_mode():
        probability = _heard(network, levelled, n_frames, backwards=False)
        np.maximum(probability, _heard(network, levelled, n_frames, backwards=True), out=probability)
    probability[silent] = 0
    padded = np.pad(probability, 1)
    smooth: npt.NDArray[np.float32] = (padded[:-2] + padded[1:-1] + padded[2:]) / np.float32(3)
    return smooth


def _may_be_speech(samples: Samples, threshold: float) -> npt.NDArray[np.bool_]:
    """[n_frames]; written so that a probability that is no number counts as speech."""
    return ~(speech_probability(samples) < threshold)


def _blocks(n_frames: int) -> Iterator[tuple[int, int]]:
    """(first, end) frames, a block at a time."""
    for start in range(0, n_frames, _BLOCK_FRAMES):
        yield start, min(start + _BLOCK_FRAMES, n_frames)


def _frames(samples: Samples, start: int, end: int) -> Samples:
    """[end - start, 512] without offset and rumble; zeros after the last sample."""
    first, last = start * FRAME_SAMPLES, min(end * FRAME_SAMPLES, len(samples))
    reach = _RUMBLE_SAMPLES - 1  # that of two moving averages
    before, after = min(first, reach), min(len(samples) - last, reach)
    around = samples[first - before : last + after].astype(np.float64)
    around = np.pad(around, (reach - before, reach - after), mode="edge")
    slow = _moving_average(_moving_average(around))
    frames = np.zeros((end - start, FRAME_SAMPLES), np.float32)
    frames.reshape(-1)[: last - first] = samples[first:last] - slow
    return frames


def _moving_average(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """[n] to [n - 160]."""
    total = np.cumsum(np.pad(values, (1, 0)))
    average: npt.NDArray[np.float64] = (total[_RUMBLE_SAMPLES:] - total[:-_RUMBLE_SAMPLES]) / _RUMBLE_SAMPLES
    return average


def _levels(samples: Samples, n_frames: int) -> tuple[Samples, Samples]:
    """RMS and peak of each frame, [n_frames] each."""
    level = np.zeros(n_frames, np.float32)
    peak = np.zeros(n_frames, np.float32)
    for start, end in _blocks(n_frames):
        frames = _frames(samples, start, end)
        peak[start:end] = np.abs(frames).max(axis=1)
        level[start:end] = np.sqrt(np.mean(frames * frames, axis=1))
    return level, peak


def _gain(level: Samples) -> Samples:
    """What brings the loudest frame nearby to the full level, [n_frames], changing slowly."""
    import torch
    import torch.nn.functional as F

    nearby = F.max_pool1d(torch.from_numpy(level)[None], 2 * _NEARBY_FRAMES + 1, stride=1, padding=_NEARBY_FRAMES)
    gain_log = (_FULL_LEVEL / nearby.clamp(min=_FULL_LEVEL / _MOST_GAIN)).log()
    faded = F.avg_pool1d(gain_log, 2 * _FADE_FRAMES + 1, stride=1, padding=_FADE_FRAMES, count_include_pad=False)
    gain: Samples = faded.exp()[0].numpy()
    return gain


def _heard(
    network: torch.nn.ModuleDict, levelled: Callable[[int, int], Samples], n_frames: int, *, backwards: bool
) -> Samples:
    """What the network, which remembers only what it has heard so far, says of each frame: [n_frames].

    `levelled(start, end)` gives the samples of the frames start..end.
    """
    step = -1 if backwards else 1
    lead = min(_LEAD_FRAMES, n_frames)
    first = levelled(n_frames - lead, n_frames) if backwards else levelled(0, lead)
    block = np.concatenate([np.zeros(_CONTEXT_SAMPLES, np.float32), first[::-step]])
    _, state = _listen(network, block, None)
    probability = np.zeros(n_frames, np.float32)
    for start, end in list(_blocks(n_frames))[::step]:
        block = np.concatenate([block[-_CONTEXT_SAMPLES:], levelled(start, end)[::step]])
        answers, state = _listen(network, block, state)
        probability[start:end] = answers[::step]
    return probability


@lru_cache(maxsize=1)
def _network() -> torch.nn.ModuleDict:
    """The layers of Silero VAD with their weights. ImportError where these are missing or do not fit.

    Source: silero_vad/tinygrad_model.py in the package, which is the same network for another framework.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file
    from torch import nn

    package = find_spec("silero_vad")
    if package is None or not package.submodule_search_locations:
        raise ImportError("silero-vad is not installed", name="silero_vad")
    path = Path(package.submodule_search_locations[0], "data", "silero_vad_16k.safetensors")
    with torch.device("meta"):  # takes no random numbers
        network = nn.ModuleDict(
            {
                "stft_conv": nn.Conv1d(1, 258, 256, stride=128, bias=False),  # real and imaginary parts of 129 bins
                "conv1": nn.Conv1d(129, 128, 3, padding=1),
                "conv2": nn.Conv1d(128, 64, 3, stride=2, padding=1),
                "conv3": nn.Conv1d(64, 64, 3, stride=2, padding=1),
                "conv4": nn.Conv1d(64, 128, 3, padding=1),
                "lstm_cell": nn.LSTM(128, 128, batch_first=True),
                "final_conv": nn.Conv1d(128, 1, 1),
            }
        )
    try:
        weights = load_file(path)
        named = {f"{name}_l0" if name.startswith("lstm_cell.") else name: value for name, value in weights.items()}
        network.load_state_dict(named, assign=True)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ImportError(f"silero-vad has no supported model: {error}", name="silero_vad") from error
    return network.eval().requires_grad_(False)


def _listen(
    network: torch.nn.ModuleDict, samples: Samples, state: tuple[torch.Tensor, torch.Tensor] | None
) -> tuple[Samples, tuple[torch.Tensor, torch.Tensor]]:
    """64 samples of context and n frames to n probabilities, and the state of the LSTM after them."""
    import torch
    import torch.nn.functional as F

    frames = torch.from_numpy(samples).unfold(0, _CONTEXT_SAMPLES + FRAME_SAMPLES, FRAME_SAMPLES)  # [n, 576]
    spectrum = network["stft_conv"](F.pad(frames, (0, 64), mode="reflect")[:, None])  # [n, 258, 4]
    real, imaginary = spectrum.chunk(2, dim=1)
    hidden = (real**2 + imaginary**2).sqrt()  # [n, 129, 4]
    for name in ("conv1", "conv2", "conv3", "conv4"):
        hidden = network[name](hidden).relu()
    answers, state = network["lstm_cell"](hidden.squeeze(-1)[None], state)  # [n, 128, 1] -> [1, n, 128]
    probability = network["final_conv"](answers.relu().transpose(1, 2)).sigmoid()  # [1, 1, n]
    return probability[0, 0].numpy(), state
