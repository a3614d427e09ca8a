"""The key/value cache: one preallocated tensor a layer, a slot for each row that is being decoded.

Shapes: B rows, S new positions, N positions seen, K key/value heads, D head_dim.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from moss_cli.engine.config import LanguageConfig
from moss_cli.engine.rotary import rotary

# Attention looks at a multiple of so many positions. Kernels of GPUs want aligned masks, and few shapes.
SEEN = {"cpu": 1, "cuda": 64, "mps": 64}
BUCKET = 256  # positions by which the cache grows at least; chosen: a copy every 256 steps is lost in their noise


def bucket(n_positions: int) -> int:
    """The length that the cache has for rows of up to `n_positions`."""
    return -(-n_positions // BUCKET) * BUCKET


def cache_bytes(config: LanguageConfig, n_slots: int, n_positions: int, dtype: torch.dtype) -> int:
    """What keys and values of `n_slots` rows take at the bucket of `n_positions`."""
    per_position = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * dtype.itemsize
    return n_slots * bucket(n_positions) * per_position


def seen(n_positions: int, device: torch.device) -> int:
    """At how many positions attention looks where the longest row has `n_positions`."""
    step = SEEN[device.type]
    return -(-n_positions // step) * step


@dataclass(frozen=True)
class KeptPrefix:
    """A copy of what a slot holds of its first positions: of each layer keys and values, [K, n, D] each."""

    keys: Sequence[Tensor]
    values: Sequence[Tensor]

    @property
    def n_bytes(self) -> int:
        return sum(tensor.nbytes for tensor in (*self.keys, *self.values))


class KVCache:
    """Keys and values of every layer, [n_slots, K, n_positions, D] each, with the rotary tables of as many positions.

    A row is filled from position 0. What lies past its end is never attended to, so that prompts may be padded on the
    right; it is finite all the same, since a weight of zero times NaN would be NaN.
    """

    def __init__(
        self, config: LanguageConfig, n_slots: int, n_positions: int, *, device: torch.device, dtype: torch.dtype
    ) -> None:
        self._config, self._device, self.dtype = config, device, dtype
        self.n_slots = self.n_positions = 0
        self.n_resized = 0  # how often: its tensors are others each time
        self.keys = [self._zeros(0, 0) for _ in range(config.num_hidden_layers)]
        self.values = [self._zeros(0, 0) for _ in range(config.num_hidden_layers)]
        self.resize(n_slots, n_positions)

    def _zeros(self, n_slots: int, n_positions: int) -> Tensor:
        shape = (n_slots, self._config.num_key_value_heads, n_positions, self._config.head_dim)
        return torch.zeros(shape, device=self._device, dtype=self.dtype)

    @property
    def n_bytes(self) -> int:
        return self.n_slots * self.n_bytes_of(self.n_positions)

    def n_bytes_of(self, n_positions: int) -> int:
        """What so many positions of a slot take."""
        return cache_bytes(self._config, 1, n_positions, self.dtype)

    @torch.inference_mode()
    def resize(self, n_slots: int, n_positions: int) -> None:
        """Make room for `n_slots` rows of `n_positions`, keeping what of the rows still has a place.

        Layer by layer, so that never more than one layer is there twice.
        """
        n_positions = bucket(n_positions)
        if (n_slots, n_positions) == (self.n_slots, self.n_positions):
            return
        kept = slice(min(n_slots, self.n_slots)), slice(None), slice(min(n_positions, self.n_positions))
        for tensors in (self.keys, self.values):
            for layer in range(len(tensors)):
                new = self._zeros(n_slots, n_positions)
                new[kept] = tensors[layer][kept]
                tensors[layer] = new
        positions = torch.arange(n_positions, device=self._device)
        cos, sin = rotary(positions, self._config.head_dim, self._config.rope_theta)
        self.cos, self.sin = cos.to(self.dtype), sin.to(self.dtype)  # [n_positions, D]
        self.numbers = positions  # [n_positions]: 0, 1, 2 …
        self.flat_keys = [keys.flatten(0, 2) for keys in self.keys]  # [n_slots * K * n_positions, D]
        self.flat_values = [values.flatten(0, 2) for values in self.values]
        self.n_slots, self.n_positions = n_slots, n_positions
        self.n_resized += 1

    @torch.inference_mode()
    def move(self, source: int, target: int) -> None:
        """Copy the row of one slot over that of another."""
        for tensor in (*self.keys, *self.values):
            tensor[target] = tensor[source]

    @torch.inference_mode()
    def copy_prefix(self, source: int, target: int, n_positions: int) -> None:
        """Copy the first positions of one slot to another."""
        for tensor in (*self.keys, *self.values):
            tensor[target, :, :n_positions] = tensor[source, :, :n_positions]

    @torch.inference_mode()
    def prefix(self, slot: int, n_positions: int) -> KeptPrefix:
        """A copy of the first positions of a slot."""
        first = slot, slice(None), slice(n_positions)
        return KeptPrefix(
            [keys[first].clone() for keys in self.keys], [values[first].clone() for values in self.values]
        )

    @torch.inference_mode()
    def put_prefix(self, slot: int, kept: KeptPrefix) -> None:
        """Put a copy into the first positions of a slot."""
        pairs = zip((*self.keys, *self.values), (*kept.keys, *kept.values), strict=True)
        for tensor, copy in pairs:
            tensor[slot, :, : copy.shape[1]] = copy


@dataclass(frozen=True)
class CacheRows:
    """The rows of a cache that one forward pass is about: B slots from `first` on, [B, S] new positions in them.

    `n_seen`: attention looks at positions below it; None for prompts from position 0, which see only themselves.
    `sees_all`: there is none among these that a new position does not see.
    """

    cache: KVCache
    first: int
    positions: Tensor
    n_seen: int | None = None
    sees_all: bool = False

    @cached_property
    def cos(self) -> Tensor:
        """[B, S, 1, D]"""
        return _rows(self.cache.cos, self.positions)

    @cached_property
    def sin(self) -> Tensor:
        """[B, S, 1, D]"""
        return _rows(self.cache.sin, self.positions)

    @cached_property
    def unseen(self) -> Tensor | None:
        """[B, 1, S, n_seen], to be added to scores: -inf where a new position does not see a stored one, which stands
        after it. None where a prompt sees only itself, and where there is no such place."""
        if self.n_seen is None or self.sees_all:
            return None
        hidden = self.cache.numbers[: self.n_seen] > self.positions[:, None, :, None]
        return torch.zeros_like(hidden, dtype=self.cache.dtype).masked_fill_(hidden, float("-inf"))

    @cached_property
    def _places(self) -> Tensor:
        """[B * S * K]: where the new positions of each head lie when all heads of all slots stand end to end."""
        n_slots, n_heads, n_positions, _ = self.cache.keys[0].shape
        starts = torch.arange(0, n_slots * n_heads * n_positions, n_positions, device=self.positions.device)
        starts = starts.view(n_slots, 1, n_heads)[self.slots]
        return (starts + self.positions[:, :, None]).flatten()

    @property
    def slots(self) -> slice:
        return slice(self.first, self.first + len(self.positions))

    @cached_property
    def _seen(self) -> list[tuple[Tensor, Tensor]]:
        """Of each layer the stored keys and values, [B, K, N, D] each."""
        pairs = zip(self.cache.keys, self.cache.values, strict=True)
        return [(keys[self.slots, :, : self.n_seen], values[self.slots, :, : self.n_seen]) for keys, values in pairs]

    def store(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store new keys and values, [B, S, K, D] each; what attention is to look at, [B, K, N, D] each."""
        self.cache.flat_keys[layer].index_copy_(0, self._places, k.flatten(0, -2))
        self.cache.flat_values[layer].index_copy_(0, self._places, v.flatten(0, -2))
        return self._seen[layer]

    def store_prompts(self, layer: int, k: Tensor, v: Tensor) -> None:
        """Store the keys and values of whole prompts, [B, K, S, D] each, from position 0 on."""
        n_new = k.shape[2]
        self.cache.keys[layer][self.slots, :, :n_new], self.cache.values[layer][self.slots, :, :n_new] = k, v


def _rows(table: Tensor, positions: Tensor) -> Tensor:
    """Rows of a table [n, D] for positions [B, S]: [B, S, 1, D]."""
    # By index_select: on a CPU indexing looks for threads to share even one row with.
    return table.index_select(0, positions.flatten()).view(*positions.shape, 1, -1)
