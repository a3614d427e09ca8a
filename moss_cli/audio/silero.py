"""Silero VAD, 16 kHz (https://github.com/snakers4/silero-vad, MIT), in numpy, with the weights that the package
`silero-vad` brings as safetensors.

The package itself is never imported: its import loads torch and takes all threads but one from it. The layers are those
of silero_vad/tinygrad_model.py in the package, the same network for another framework. Of each frame it sees four
spectra; the convolutions over so few are matrix products, without the weights that would meet nothing but padding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from moss_cli.audio.results import Samples

FRAME_SAMPLES = 512  # 32 ms, for which there is one probability
CONTEXT_SAMPLES = 64  # of the frame before, which the network sees with each frame

_SPECTRUM_SAMPLES = 256  # of a window whose spectrum the network sees, of which there are four in each frame
_HOP_SAMPLES = 128
_N_SPECTRA, _N_BINS = 4, 129
_N_HIDDEN = 128

Floats = npt.NDArray[np.float32]
State = tuple[Floats, Floats]  # hidden and cell, [B, 128] each

_SHAPES = {
    "stft_conv.weight": (258, 1, 256),  # real and imaginary parts of 129 bins
    "conv1.weight": (128, 129, 3),
    "conv1.bias": (128,),
    "conv2.weight": (64, 128, 3),
    "conv2.bias": (64,),
    "conv3.weight": (64, 64, 3),
    "conv3.bias": (64,),
    "conv4.weight": (128, 64, 3),
    "conv4.bias": (128,),
    "lstm_cell.weight_ih": (512, 128),  # of the input, forget, cell and output gates, 128 rows each
    "lstm_cell.weight_hh": (512, 128),
    "lstm_cell.bias_ih": (512,),
    "lstm_cell.bias_hh": (512,),
    "final_conv.weight": (1, 128, 1),
    "final_conv.bias": (1,),
}


@dataclass(frozen=True)
class _Product:
    """`weight` [in, out] and `bias` [out] of a matrix product."""

    weight: Floats
    bias: Floats

    def __call__(self, values: Floats) -> Floats:
        """[..., in] to [..., out]"""
        product: Floats = values @ self.weight
        product += self.bias
        return product


@dataclass(frozen=True)
class Network:
    """The layers. A convolution's input is laid out as [taps x channels]; `conv3` and `conv4` have those taps only that
    meet no padding."""

    transform: Floats  # [256, 258]: a Fourier transform under a window, real and imaginary parts
    conv1: _Product
    conv2: _Product
    conv3: _Product
    conv4: _Product
    gates: _Product
    recurrent: Floats  # [128, 512]
    final: _Product

    def start(self, n_streams: int) -> State:
        """The state before anything was heard."""
        return np.zeros((n_streams, _N_HIDDEN), np.float32), np.zeros((n_streams, _N_HIDDEN), np.float32)

    def listen(self, samples: Samples, state: State) -> tuple[Floats, State]:
        """64 samples of context and n frames, of B streams, [B, 64 + 512 n], to probabilities, [B, n], and the state
        after them."""
        n_streams, n_frames = len(samples), samples.shape[1] // FRAME_SAMPLES
        gates = self.gates(self._seen(self._spectra(samples))).reshape(n_streams, n_frames, 4 * _N_HIDDEN)
        with np.errstate(over="ignore"):
            hidden, state = self._remembered(gates, state)
            return _sigmoid(self.final(np.maximum(hidden, 0, out=hidden)))[..., 0], state

    def _spectra(self, samples: Samples) -> Floats:
        """[B, 64 + 512 n] to magnitudes, [B n, 4, 129]: of each frame with what is before it, mirrored at its end."""
        n_seen = CONTEXT_SAMPLES + FRAME_SAMPLES
        frames = sliding_window_view(samples, n_seen, axis=1)[:, ::FRAME_SAMPLES].reshape(-1, n_seen)
        frames = np.pad(frames, ((0, 0), (0, CONTEXT_SAMPLES)), mode="reflect")
        found = np.empty((len(frames), _N_SPECTRA, _N_BINS), np.float32)
        for place in range(_N_SPECTRA):
            first = place * _HOP_SAMPLES
            parts = frames[:, first : first + _SPECTRUM_SAMPLES] @ self.transform
            parts *= parts
            np.add(parts[:, :_N_BINS], parts[:, _N_BINS:], out=found[:, place])
        return np.sqrt(found, out=found)

    def _seen(self, spectra: Floats) -> Floats:
        """[N, 4, 129], N frames, to [N, 128]."""
        n = len(spectra)
        padded = np.zeros((n, _N_SPECTRA + 2, _N_BINS), np.float32)
        padded[:, 1:-1] = spectra
        flat = padded.reshape(n, -1)
        first = np.zeros((n, _N_SPECTRA + 1, 128), np.float32)  # a padding, then the four
        for place in range(_N_SPECTRA):
            first[:, place + 1] = self.conv1(flat[:, place * _N_BINS : (place + 3) * _N_BINS])
        np.maximum(first, 0, out=first)
        flat = first.reshape(n, -1)
        second = np.concatenate([self.conv2(flat[:, : 3 * 128]), self.conv2(flat[:, 2 * 128 :])], axis=1)
        third = self.conv3(np.maximum(second, 0, out=second))
        fourth = self.conv4(np.maximum(third, 0, out=third))
        return np.maximum(fourth, 0, out=fourth)

    def _remembered(self, gates: Floats, state: State) -> tuple[Floats, State]:
        """What the LSTM makes of each step's gates, [B, n, 512] to [B, n, 128]; the third 128 are doubled already, for
        tanh(x) is 2 sigmoid(2 x) - 1, so that all four are one sigmoid."""
        hidden, cell = state
        found = np.empty((*gates.shape[:2], _N_HIDDEN), np.float32)
        steps = np.ascontiguousarray(gates.transpose(1, 0, 2))
        both = np.empty_like(steps[0]) if len(steps) else steps
        for step, gate in enumerate(steps):
            for stream, out in zip(hidden, both, strict=True):  # two vectors one by one take half as long as together
                np.dot(stream, self.recurrent, out=out)
            both += gate
            np.negative(both, out=both)
            np.exp(both, out=both)  # infinite where the sigmoid is 0
            both += 1
            np.reciprocal(both, out=both)
            entering, kept, new, leaving = both[:, :128], both[:, 128:256], both[:, 256:384], both[:, 384:]
            new *= 2
            new -= 1
            new *= entering
            cell = np.multiply(kept, cell, dtype=np.float32)
            cell += new
            hidden = np.tanh(cell, dtype=np.float32)
            hidden *= leaving
            found[:, step] = hidden
        return found, (hidden, cell)


def _sigmoid(values: Floats) -> Floats:
    found: Floats = np.reciprocal(np.exp(-values) + np.float32(1))
    return found


@lru_cache(maxsize=1)
def silero() -> Network:
    """The network with its weights. ImportError where these are missing or are not the ones known here."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    package = find_spec("silero_vad")
    if package is None or not package.submodule_search_locations:
        raise ImportError("silero-vad is not installed", name="silero_vad")
    path = Path(package.submodule_search_locations[0], "data", "silero_vad_16k.safetensors")
    try:
        weights = load_file(path)
        _check(weights)
    except (OSError, SafetensorError, ValueError) as error:
        raise ImportError(f"silero-vad has no supported model: {error}", name="silero_vad") from error
    return _network({name: value.astype(np.float32, copy=False) for name, value in weights.items()})


def _check(weights: Mapping[str, Floats]) -> None:
    """ValueError unless all tensors are there, and no others."""
    found = {name: value.shape for name, value in weights.items()}
    if found != _SHAPES:
        wrong = next(name for name in (*_SHAPES, *found) if found.get(name) != _SHAPES.get(name))
        raise ValueError(f"{wrong} is {found.get(wrong, 'missing')}")


def _network(weights: Mapping[str, Floats]) -> Network:
    def conv(name: str, taps: slice) -> _Product:
        weight = weights[f"{name}.weight"][:, :, taps]  # [out, in, taps]
        rows = np.ascontiguousarray(weight.transpose(2, 1, 0).reshape(-1, len(weight)))
        return _Product(rows, weights[f"{name}.bias"])

    doubled = np.ones(4 * _N_HIDDEN, np.float32)
    doubled[2 * _N_HIDDEN : 3 * _N_HIDDEN] = 2
    bias = weights["lstm_cell.bias_ih"] + weights["lstm_cell.bias_hh"]
    return Network(
        transform=np.ascontiguousarray(weights["stft_conv.weight"][:, 0].T),
        conv1=conv("conv1", slice(0, 3)),
        conv2=conv("conv2", slice(0, 3)),
        conv3=conv("conv3", slice(1, 3)),
        conv4=conv("conv4", slice(1, 2)),
        gates=_Product(np.ascontiguousarray((weights["lstm_cell.weight_ih"] * doubled[:, None]).T), bias * doubled),
        recurrent=np.ascontiguousarray((weights["lstm_cell.weight_hh"] * doubled[:, None]).T),
        final=_Product(weights["final_conv.weight"][:, :, 0].T.copy(), weights["final_conv.bias"]),
    )
