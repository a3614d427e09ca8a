"""The key/value cache: one preallocated tensor a layer, a slot for each row that is being decoded.

Shapes: B rows, S new positions, N positions seen, K key/value heads, D head_dim.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from moss_cli.engine.config import LanguageConfig
from moss_cli.engine.rotary import rotary

BUCKET = 256  # positions by which the cache grows; chosen: a copy of the cache every 256 steps is lost in their noise


def bucket(n_positions: int) -> int:
    """The length that the cache has for rows of up to `n_positions`."""
    return -(-n_positions // BUCKET) * BUCKET


def cache_bytes(config: LanguageConfig, n_slots: int, n_positions: int, dtype: torch.dtype) -> int:
    """What keys and values of `n_slots` rows take at the bucket of `n_positions`."""
    per_position = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * dtype.itemsize
    return n_slots * bucket(n_positions) * per_position


class KVCache:
    """Keys and values of every layer, [n_slots, n_positions, K, D] each, with the rotary tables of as many positions.

    A row is filled from position 0. What lies past its end is never attended to, so that prompts may be padded on the
    right; it is finite all the same, since a weight of zero times NaN would be NaN.
    """

    def __init__(
        self, config: LanguageConfig, n_slots: int, n_positions: int, *, device: torch.device, dtype: torch.dtype
    ) -> None:
        self._config, self._device, self._dtype = config, device, dtype
        self.n_slots = self.n_positions = 0
        self.keys = [self._zeros(0, 0) for _ in range(config.num_hidden_layers)]
        self.values = [self._zeros(0, 0) for _ in range(config.num_hidden_layers)]
        self.resize(n_slots, n_positions)

    def _zeros(self, n_slots: int, n_positions: int) -> Tensor:
        shape = (n_slots, n_positions, self._config.num_key_value_heads, self._config.head_dim)
        return torch.zeros(shape, device=self._device, dtype=self._dtype)

    @torch.inference_mode()
    def resize(self, n_slots: int, n_positions: int) -> None:
        """Make room for `n_slots` rows of `n_positions`, keeping what of the rows still has a place.

        Layer by layer, so that never more than one layer is there twice.
        """
        n_positions = bucket(n_positions)
        if (n_slots, n_positions) == (self.n_slots, self.n_positions):
            return
        kept = slice(min(n_slots, self.n_slots)), slice(min(n_positions, self.n_positions))
        for tensors in (self.keys, self.values):
            for layer in range(len(tensors)):
                new = self._zeros(n_slots, n_positions)
                new[kept] = tensors[layer][kept]
                tensors[layer] = new
        positions = torch.arange(n_positions, device=self._device)
        cos, sin = rotary(positions, self._config.head_dim, self._config.rope_theta)
        self.cos, self.sin = cos.to(self._dtype), sin.to(self._dtype)  # [n_positions, D]
        self.n_slots, self.n_positions = n_slots, n_positions

    @torch.inference_mode()
    def move(self, source: int, target: int) -> None:
        """Copy the row of one slot over that of another."""
        for tensor in (*self.keys, *self.values):
            tensor[target] = tensor[source]


@dataclass(frozen=True)
class CacheRows:
    """The rows of a cache that one forward pass is about: B slots from `first` on, [B, S] new positions in them.

    `n_seen`: attention looks at positions below it; None for prompts from position 0, which see only themselves.
    """

    cache: KVCache
    first: int
    positions: Tensor
    n_seen: int | None = None

    @property
    def slots(self) -> slice:
        return slice(self.first, self.first + self.positions.shape[0])

    @cached_property
    def places(self) -> Tensor:
        """[B * S]: where the new positions lie when the cache's slots stand end to end."""
        slots = torch.arange(self.slots.start, self.slots.stop, device=self.positions.device)
        return (slots[:, None] * self.cache.n_positions + self.positions).flatten()

    def update(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store new keys and values, [B, S, K, D] each; what attention is to look at, [B, N, K, D] each."""
        keys, values = self.cache.keys[layer], self.cache.values[layer]
        if self.n_seen is None:
            keys[self.slots, : k.shape[1]], values[self.slots, : v.shape[1]] = k, v
            return k, v
        keys.flatten(0, 1).index_copy_(0, self.places, k.flatten(0, 1))
        values.flatten(0, 1).index_copy_(0, self.places, v.flatten(0, 1))
        return keys[self.slots, : self.n_seen], values[self.slots, : self.n_seen]
