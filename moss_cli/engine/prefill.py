"""Prompts side by side: which are prefilled together, and as which tensors.

Shapes: B rows, S tokens of the longest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import nn

from moss_cli.engine.cache import CacheRows, KVCache
from moss_cli.engine.model import Prompt, Tokens
from moss_cli.engine.row import Row

PADDING = 0.25  # of what a prefill computes, at most; chosen
PREFILL_TOKENS = 8192  # in one prefill of several rows; chosen: the 8B's feed-forward then takes about half a gigabyte


def prompt_tokens(prompts: Sequence[Prompt], device: torch.device) -> Tokens:
    """Whole prompts, padded on the right to the longest."""
    ids = nn.utils.rnn.pad_sequence([prompt.ids for prompt in prompts], batch_first=True)
    last = torch.tensor([len(prompt.ids) - 1 for prompt in prompts])
    audio = [prompt.audio for prompt in prompts if prompt.audio is not None]
    if not audio:
        return Tokens(ids.to(device), last.to(device))
    mask = nn.utils.rnn.pad_sequence([prompt.audio_mask for prompt in prompts], batch_first=True)
    return Tokens(ids.to(device), last.to(device), mask.to(device), audio)


def prefill(rows: Sequence[Row], first: int, cache: KVCache, device: torch.device) -> tuple[Tokens, CacheRows]:
    """All that the rows have so far, for the slots from `first` on."""
    tokens = prompt_tokens([row.so_far for row in rows], device)
    positions = torch.arange(tokens.ids.shape[1], device=device).expand(tokens.ids.shape)
    return tokens, CacheRows(cache, first, positions)


def prefill_groups(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Rows of like lengths, to be prefilled together."""
    group: list[Row] = []
    for row in sorted(rows, key=lambda row: row.n_positions):
        computed = (len(group) + 1) * row.n_positions
        needed = sum(one.n_positions for one in group) + row.n_positions
        if group and (computed > PREFILL_TOKENS or computed - needed > PADDING * computed):
            yield group
            group = []
        group.append(row)
    if group:
        yield group
