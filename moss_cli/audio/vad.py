"""Where somebody may be speaking: the probability of speech, and the stretches in which it is low throughout.

The network is Silero VAD, 16 kHz (https://github.com/snakers4/silero-vad, MIT), computed in PyTorch from the weights
that the package `silero-vad` brings as safetensors. The package itself is never imported: its import takes all threads
but one from torch, and the model that it loads is TorchScript, which torch has given up for Python 3.14 and later.

The questions are asked so that a doubt counts as speech: a threshold far below the 0.5 that is used to find speech,
levels made equal before, and wide margins after. ImportError, from all that listens here, means that the package is
not installed or holds another model; a caller then does without.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from moss_cli.audio.results import SAMPLE_RATE, Samples

if TYPE_CHECKING:
    import torch

FRAME_SAMPLES = 512  # 32 ms, one probability
THRESHOLD = 0.05  # of the probability of speech; at and above it somebody may be speaking
MARGIN_S = 0.5  # kept on either side of what may be speech
LEAST_S = 2.0  # shorter stretches are not worth a cut

_CONTEXT_SAMPLES = 64  # of the frame before, which the network sees with each frame
_BLOCK_FRAMES = 1024  # 33 s computed at once, so that memory does not grow with the input
_LEAD_FRAMES = 31  # 1 s, mirrored, that the network hears first: its first answers after nothing are unsure

_FULL_LEVEL = 0.1  # RMS of the loudest frame nearby after levelling, -20 dBFS
_MOST_GAIN = 1000.0  # 60 dB
_NEARBY_FRAMES = 31  # 1 s to either side
_FADE_FRAMES = 16  # 0.5 s to either side, over which the gain changes
_INAUDIBLE = 2.0**-16  # half a step of 16 bits


@dataclass(frozen=True)
class Stretch:
    """A part of the samples given, in seconds from their start."""

    start_s: float
    end_s: float


def has_speech(samples: Samples) -> bool:
    """False only where the probability of speech is low throughout `samples` ([n], mono, 16 kHz), or n is 0.

    Raises ImportError as `speech_probability` does.
    """
    return bool(_may_be_speech(samples, THRESHOLD).any())


def silent_stretches(
    samples: Samples, *, threshold: float = THRESHOLD, margin_s: float = MARGIN_S, least_s: float = LEAST_S
) -> list[Stretch]:
    """The stretches of `samples` ([n], mono, 16 kHz) in which the probability of speech is below `threshold` throughout.

    They stay `margin_s` away from every frame that may be speech, and one of less than `least_s` is left out; samples
    without any such frame are one stretch however short they are. In order; [] where all may be speech, or n is 0.
    Raises ImportError as `speech_probability` does.
    """
    duration_s = len(samples) / SAMPLE_RATE
    speech = np.flatnonzero(_may_be_speech(samples, threshold))
    if not len(speech):
        return [Stretch(0.0, duration_s)] if len(samples) else []
    frame_s = FRAME_SAMPLES / SAMPLE_RATE
    starts_s = [0.0, *((speech + 1) * frame_s + margin_s).tolist()]
    ends_s = [*(speech * frame_s - margin_s).tolist(), duration_s]
    return [
        Stretch(start_s, end_s)
        for start_s, end_s in zip(starts_s, ends_s, strict=True)
        if end_s - start_s >= max(least_s, 0.0) and end_s > start_s
    ]


def speech_probability(samples: Samples) -> npt.NDArray[np.float32]:
    """The probability of speech, [n_frames] in 0..1, in each 512 samples (32 ms) of `samples` [n], mono, 16 kHz.

    The last frame is filled up with zeros. Before the network hears them the samples lose their mean and are brought to
    an equal level: the loudest frame within 1 s to -20 dBFS, by 60 dB at most. Frames in which nothing reaches half a
    step of 16 bits have a probability of 0. Memory beside the input: 12 bytes a frame, and some megabytes.
    ImportError where the package `silero-vad` is missing or holds another model than the one known here.
    """
    import torch

    n_frames = -(-len(samples) // FRAME_SAMPLES)
    probability = np.zeros(n_frames, np.float32)
    mean = float(samples.mean(dtype=np.float64)) if n_frames else 0.0
    level, peak = _levels(samples, mean, n_frames)
    if not (peak >= _INAUDIBLE).any():
        return probability
    network = _network()
    gain = _gain(level)
    state: tuple[torch.Tensor, torch.Tensor] | None = None
    with torch.inference_mode():
        lead = min(_LEAD_FRAMES, n_frames)
        first = _levelled(samples, mean, gain, 0, lead)
        mirrored = np.ascontiguousarray(first[::-1])
        context = np.zeros(_CONTEXT_SAMPLES, np.float32)
        _, state = _listen(network, np.concatenate([context, mirrored]), state)
        context = mirrored[-_CONTEXT_SAMPLES:]
        for start, end in _blocks(n_frames):
            block = np.concatenate([context, _levelled(samples, mean, gain, start, end)])
            probability[start:end], state = _listen(network, block, state)
            context = block[-_CONTEXT_SAMPLES:]
    probability[peak < _INAUDIBLE] = 0
    return probability


def _may_be_speech(samples: Samples, threshold: float) -> npt.NDArray[np.bool_]:
    """[n_frames]; written so that a probability that is no number counts as speech."""
    return ~(speech_probability(samples) < threshold)


def _blocks(n_frames: int) -> Iterator[tuple[int, int]]:
    """(first, end) frames, a block at a time."""
    for start in range(0, n_frames, _BLOCK_FRAMES):
        yield start, min(start + _BLOCK_FRAMES, n_frames)


def _frames(samples: Samples, mean: float, start: int, end: int) -> Samples:
    """[end - start, 512] without the mean; zeros after the last sample."""
    block = samples[start * FRAME_SAMPLES : end * FRAME_SAMPLES]
    frames = np.zeros((end - start, FRAME_SAMPLES), np.float32)
    frames.reshape(-1)[: len(block)] = block - np.float32(mean)
    return frames


def _levels(samples: Samples, mean: float, n_frames: int) -> tuple[Samples, Samples]:
    """RMS and peak of each frame, [n_frames] each."""
    level = np.zeros(n_frames, np.float32)
    peak = np.zeros(n_frames, np.float32)
    for start, end in _blocks(n_frames):
        frames = _frames(samples, mean, start, end)
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


def _levelled(samples: Samples, mean: float, gain: Samples, start: int, end: int) -> Samples:
    """The frames start..end, one after the other, at an equal level: [(end - start) * 512]."""
    return (_frames(samples, mean, start, end) * gain[start:end, None]).reshape(-1)


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
        raise ImportError(f"silero-vad has no model that is known here: {error}", name="silero_vad") from error
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
