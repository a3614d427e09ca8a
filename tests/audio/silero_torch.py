"""Silero VAD in PyTorch, from the same weights: what the network in numpy is compared with."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

State = tuple[torch.Tensor, torch.Tensor]


def _network() -> nn.ModuleDict:
    package = find_spec("silero_vad")
    assert package is not None and package.submodule_search_locations
    weights = load_file(Path(package.submodule_search_locations[0], "data", "silero_vad_16k.safetensors"))
    network = nn.ModuleDict(
        {
            "stft_conv": nn.Conv1d(1, 258, 256, stride=128, bias=False),
            "conv1": nn.Conv1d(129, 128, 3, padding=1),
            "conv2": nn.Conv1d(128, 64, 3, stride=2, padding=1),
            "conv3": nn.Conv1d(64, 64, 3, stride=2, padding=1),
            "conv4": nn.Conv1d(64, 128, 3, padding=1),
            "lstm_cell": nn.LSTM(128, 128, batch_first=True),
            "final_conv": nn.Conv1d(128, 1, 1),
        }
    )
    named = {f"{name}_l0" if name.startswith("lstm_cell.") else name: value for name, value in weights.items()}
    network.load_state_dict(named)
    return network.eval().requires_grad_(False)


def probability(samples: np.ndarray, state: State | None = None) -> tuple[np.ndarray, State]:
    """[B, 64 + 512 n] to the probabilities of speech, [B, n], and the state after them."""
    network = _network()
    n_streams = len(samples)
    frames = torch.from_numpy(samples).unfold(1, 576, 512).flatten(0, 1)  # [B n, 576]
    parts = network["stft_conv"](F.pad(frames, (0, 64), mode="reflect")[:, None])
    hidden = (parts[:, :129] ** 2 + parts[:, 129:] ** 2).sqrt()
    for name in ("conv1", "conv2", "conv3", "conv4"):
        hidden = network[name](hidden).relu()
    answers, state = network["lstm_cell"](hidden.view(n_streams, -1, 128), state)
    found = network["final_conv"](answers.relu().transpose(1, 2)).sigmoid()
    return found[:, 0].numpy(), state
