"""A preallocated key/value cache for a batch whose rows have lengths of their own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from moss_cli.engine.config import LanguageConfig


@dataclass
class KVCache:
    """Keys and values of every layer: [n_layers, B, H_kv, S, D]. Rows are filled from 0; what lies
    past a row's length is never attended to, so prompts may be padded on the right."""

    keys: Tensor
    values: Tensor

    @classmethod
    def allocate(
        cls, config: LanguageConfig, *, batch: int, n_positions: int, device: torch.device, dtype: torch.dtype
    ) -> KVCache:
        shape = (config.num_hidden_layers, batch, config.num_key_value_heads, n_positions, config.head_dim)
        return cls(torch.zeros(shape, device=device, dtype=dtype), torch.zeros(shape, device=device, dtype=dtype))

    @property
    def n_positions(self) -> int:
        return self.keys.shape[3]

    def write_prompt(self, layer: int, k: Tensor, v: Tensor) -> None:
        """Store a prompt, [B, H_kv, S, D], from position 0 on."""
        self.keys[layer, :, :, : k.shape[2]] = k
        self.values[layer, :, :, : v.shape[2]] = v

    def write_step(self, layer: int, k: Tensor, v: Tensor, positions: Tensor) -> None:
        """Store one token a row, [B, H_kv, 1, D], at `positions` [B]."""
        rows = torch.arange(k.shape[0], device=k.device)
        self.keys[layer][rows, :, positions] = k[:, :, 0]
        self.values[layer][rows, :, positions] = v[:, :, 0]

    def keep_rows(self, rows: Tensor) -> KVCache:
        """The cache of some of the rows, when the others have finished."""
        return KVCache(self.keys[:, rows], self.values[:, rows])
