"""Prompts side by side: which are prefilled together, and as which tensors.

Shapes: B rows, S tokens of the longest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import nn

from moss_cli.engine.cache import CacheRows, KVCache, seen
from moss_cli.engine.model import Prompt, Tokens
from moss_cli.engine.row import Row

PADDING = 0.25  # of what a prefill computes, at most; chosen
SUFFIX_TOKENS = 2048  # the same where they look at stored positions; chosen: of 8,000, the mask takes 130 MB in bf16
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
    """All that the rows have so far and is not stored, for the slots from `first` on: the cache has room for one
    position more. Either all of the rows have stored the beginning of their prompts or none."""
    if rows[0].n_stored:
        return _suffixes(rows, first, cache, device)
    tokens = prompt_tokens([row.so_far for row in rows], device)
    positions = torch.arange(tokens.ids.shape[1], device=device).expand(tokens.ids.shape)
    return tokens, CacheRows(cache, first, positions)


def _suffixes(rows: Sequence[Row], first: int, cache: KVCache, device: torch.device) -> tuple[Tokens, CacheRows]:
    ids = nn.utils.rnn.pad_sequence([row.so_far.ids[row.n_stored :] for row in rows], batch_first=True)
    starts = torch.tensor([row.n_stored for row in rows])
    ends = torch.tensor([row.n_positions for row in rows])
    # All padding of a row is stored where its next token will be.
    positions = torch.minimum(starts[:, None] + torch.arange(ids.shape[1]), ends[:, None])
    n_seen = seen(min(int(ends.max()) + 1, cache.n_positions), device)
    last = (ends - starts - 1).to(device)
    return Tokens(ids.to(device), last), CacheRows(cache, first, positions.to(device), n_seen)


def prefill_groups(rows: Sequence[Row], *, have_stored: bool = False) -> Iterator[list[Row]]:
    """Rows of like lengths, to be prefilled together. `have_stored`: the beginning of their prompts need not be."""
    most = SUFFIX_TOKENS if have_stored else PREFILL_TOKENS

    def n_new(row: Row) -> int:
        return row.n_positions - (row.request.prompt.n_shared if have_stored else 0)

    group: list[Row] = []
    for row in sorted(rows, key=n_new):
        computed = (len(group) + 1) * n_new(row)
        needed = sum(map(n_new, group)) + n_new(row)
        if group and (computed > most or computed - needed > PADDING * computed):
            yield group
            group = []
        group.append(row)
    if group:
        yield group
