"""Where somebody may be speaking: the probability of speech, and the stretches in which it is low throughout.

The network is Silero VAD, 16 kHz (https://github.com/snakers4/silero-vad, MIT), computed in PyTorch from the weights
that the package `silero-vad` brings as safetensors. The package itself is never imported: its import takes all threads
but one from torch, and what it loads is TorchScript, which torch no longer supports from Python 3.14 on.

Every doubt counts as speech, so that whispers, songs, noisy and faint voices are kept: the level is made equal first,
the network listens from both ends, and the threshold lies far below the 0.5 that is used to find speech. Every function
raises ImportError where the package is missing or holds a model that is not the one known here; do without it then.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from moss_cli.audio.results import SAMPLE_RATE, Samples
from moss_cli.audio.torch_threads import one_thread
from moss_cli.span import Span

if TYPE_CHECKING:
    import torch

FRAME_SAMPLES = 512  # 32 ms, for which there is one probability
THRESHOLD = 0.04  # of the probability of speech; at and above it somebody may be speaking
MARGIN_S = 0.5  # kept on either side of what may be speech
LEAST_S = 2.0  # shorter stretches are not worth a cut

_CONTEXT_SAMPLES = 64  # of the frame before, which the network sees with each frame
_BLOCK_FRAMES = 256  # 8 s computed at once, so that memory does not grow with the input
_EVEN_FRAMES = 32  # blocks are filled up to a multiple of this: the kernels are made anew for every length
_LEAD_FRAMES = 31  # 1 s, mirrored, that the network hears first, for its first answers are unsure

_SPECTRUM_SAMPLES = 256  # of a window whose spectrum the network sees, of which there are four in each frame
_HOP_SAMPLES = 128
_SPECTRUM_ERROR = 1e-3  # of the largest weight, 1: the package's are off by 3e-5

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
    input once more, and a few megabytes. Computed in one thread: with two it takes as long on cores that are free, and
    much longer on cores that are not.
    """
    import torch

    frames = _frames(samples)
    silent = np.maximum(frames.max(axis=1, initial=0), -frames.min(axis=1, initial=0)) < _INAUDIBLE
    if silent.all():
        return np.zeros(len(frames), np.float32)
    network = _network()
    frames *= _gain(np.sqrt(np.einsum("ij,ij->i", frames, frames) / np.float32(FRAME_SAMPLES)))[:, None]
    with torch.inference_mode(), one_thread():
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
    import torch
    import torch.nn.functional as F

    nearby = F.max_pool1d(torch.from_numpy(level)[None], 2 * _NEARBY_FRAMES + 1, stride=1, padding=_NEARBY_FRAMES)
    gain_log = (_FULL_LEVEL / nearby.clamp(min=_FULL_LEVEL / _MOST_GAIN)).log()
    faded = F.avg_pool1d(gain_log, 2 * _FADE_FRAMES + 1, stride=1, padding=_FADE_FRAMES, count_include_pad=False)
    gain: Samples = faded.exp()[0].numpy()
    return gain


def _heard(network: torch.nn.ModuleDict, frames: Samples) -> Samples:
    """What the network, which remembers only what it has heard so far, says of each of the frames, [n, 512] to [n]:
    the more that it says of each, listening from either end."""
    n_frames = len(frames)
    ways = frames, frames[::-1, ::-1]
    probability = np.zeros((2, n_frames), np.float32)
    context = np.zeros((2, _CONTEXT_SAMPLES), np.float32)
    state = None
    for start in range(-min(_LEAD_FRAMES, n_frames), n_frames, _BLOCK_FRAMES):
        end = min(start + _BLOCK_FRAMES, n_frames)
        block = np.stack([_mirrored(way, start, end) for way in ways])
        answers, state = _listen(network, np.concatenate([context, block], axis=1), state)
        probability[:, max(start, 0) : end] = answers[:, max(-start, 0) :]
        context = block[:, -_CONTEXT_SAMPLES:]
    heard: Samples = np.maximum(probability[0], probability[1, ::-1])
    return heard


def _mirrored(frames: Samples, start: int, end: int) -> Samples:
    """The samples of the frames start..end; what lies before frame 0 is what comes after it, mirrored."""
    before = frames[: max(-start, 0)][::-1, ::-1]
    return np.concatenate([before.reshape(-1), frames[max(start, 0) : end].reshape(-1)])


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
        _check_spectrum(named["stft_conv.weight"])
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ImportError(f"silero-vad has no supported model: {error}", name="silero_vad") from error
    return network.eval().requires_grad_(False)


def _check_spectrum(weight: torch.Tensor) -> None:
    """RuntimeError unless a network's first weights, [258, 1, 256], are those of a Fourier transform under a Hann
    window: real parts, then imaginary ones. It is computed as what it is, which takes a sixth of the time."""
    import torch

    transform = torch.fft.rfft(torch.eye(_SPECTRUM_SAMPLES) * torch.hann_window(_SPECTRUM_SAMPLES)).T
    if (weight[:, 0] - torch.cat([transform.real, transform.imag])).abs().max() > _SPECTRUM_ERROR:
        raise RuntimeError("its first layer is not a Fourier transform")


def _listen(
    network: torch.nn.ModuleDict, samples: Samples, state: tuple[torch.Tensor, torch.Tensor] | None
) -> tuple[Samples, tuple[torch.Tensor, torch.Tensor]]:
    """64 samples of context and n frames, of B streams, to B x n probabilities, and the state of the LSTM after them,
    unless n is no multiple of 32."""
    import torch
    import torch.nn.functional as F

    n_streams, n_frames = len(samples), samples.shape[1] // FRAME_SAMPLES
    n_added = -n_frames % _EVEN_FRAMES
    even = F.pad(torch.from_numpy(samples), (0, n_added * FRAME_SAMPLES))
    frames = even.unfold(1, _CONTEXT_SAMPLES + FRAME_SAMPLES, FRAME_SAMPLES)  # [B, n, 576]
    windows = F.pad(frames, (0, 64), mode="reflect").unfold(2, _SPECTRUM_SAMPLES, _HOP_SAMPLES)  # [B, n, 4, 256]
    spectrum = torch.fft.rfft(windows * torch.hann_window(_SPECTRUM_SAMPLES)).abs()  # [B, n, 4, 129]
    hidden = spectrum.flatten(0, 1).transpose(1, 2)
    for name in ("conv1", "conv2", "conv3", "conv4"):
        hidden = network[name](hidden).relu()
    answers, state = network["lstm_cell"](hidden.view(n_streams, -1, hidden.shape[1]), state)  # [B, n, 128]
    probability = network["final_conv"](answers.relu().transpose(1, 2)).sigmoid()  # [B, 1, n]
    return probability[:, 0, :n_frames].numpy(), state
