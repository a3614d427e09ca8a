"""Choosing the next token of every row at once, on the device.

Shapes: B rows, V the vocabulary, W = ceil(V / 32) words of packed bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from moss_cli.answers import Sampling
from moss_cli.engine.row import Row
from moss_cli.errors import AnswerError

if TYPE_CHECKING:
    from llguidance import LLMatcher

WORD = 32


def choose(logits: Tensor, rows: Sequence[Row]) -> list[int]:
    """The next token of each row, given the logits [B, V] that follow what it has; these are used up.

    A row's token depends on its own logits, grammar and draw alone.
    """
    if logits.device.type == "mps":
        logits = logits.cpu()  # MPS has no float64, in which draws are made
    _forbid(logits, rows)
    chosen = logits.argmax(-1)
    for sampling, places in _sampled(rows).items():
        draws = torch.tensor([rows[i].draw for i in places], dtype=torch.float64, device=logits.device)
        at = torch.tensor(places, device=logits.device)
        chosen[at] = sample(logits[at], sampling, draws)
    tokens: list[int] = chosen.tolist()
    return [token if row.forced is None else row.forced for token, row in zip(tokens, rows, strict=True)]


def _sampled(rows: Sequence[Row]) -> dict[Sampling, list[int]]:
    """The rows that draw, by how they draw. A forced token costs no draw."""
    groups: dict[Sampling, list[int]] = {}
    for i, row in enumerate(rows):
        if not row.request.sampling.greedy and row.forced is None:
            groups.setdefault(row.request.sampling, []).append(i)
    return groups


def sample(logits: Tensor, sampling: Sampling, draws: Tensor) -> Tensor:
    """One token a row, [B], for logits [B, V] and float64 draws [B] in [0, 1).

    The inverse of the cumulative sum, in float64, over the tokens that top_k and top_p leave, the likeliest first: one
    number decides a token, whatever top_k is.
    """
    n_kept = min(sampling.top_k or logits.shape[-1], logits.shape[-1])
    values, tokens = logits.float().topk(n_kept)
    probabilities = (values / sampling.temperature).softmax(-1)
    last = torch.full((len(logits), 1), n_kept - 1, device=logits.device)
    if sampling.top_p < 1:
        before = probabilities.cumsum(-1) - probabilities  # the mass of what is likelier
        last = (before < sampling.top_p).sum(-1, keepdim=True).clamp(min=1) - 1
    cumulative = probabilities.double().cumsum(-1)
    points = draws[:, None] * cumulative.gather(-1, last)
    places = torch.searchsorted(cumulative, points, right=True)
    return tokens.gather(-1, places.minimum(last))[:, 0]


def _forbid(logits: Tensor, rows: Sequence[Row]) -> None:
    """Put -inf into logits [B, V] wherever a row's grammar forbids the token."""
    bound = [(i, row.matcher) for i, row in enumerate(rows) if row.matcher is not None and row.forced is None]
    if not bound:
        return
    bits = allowed_bits([matcher for _, matcher in bound], logits.shape[-1])
    for place, (i, _) in enumerate(bound):
        opening = rows[i].may_open
        if opening is not None:
            byte, bit = divmod(opening, 8)
            bits.view(torch.uint8)[place, byte] |= 1 << bit
    forbidden = ~unpacked(bits.to(logits.device, non_blocking=True), logits.shape[-1])
    if len(bound) == len(rows):
        logits.masked_fill_(forbidden, float("-inf"))
    else:
        at = torch.tensor([i for i, _ in bound], device=logits.device)
        logits[at] = logits[at].masked_fill(forbidden, float("-inf"))


def allowed_bits(matchers: Sequence[LLMatcher], vocab_size: int) -> Tensor:
    """The tokens that each grammar allows next, packed: int32 [B, W] on the CPU, computed for all rows in parallel.

    Raises AnswerError where a grammar has run into one of its library's limits: its mask would allow the end alone, as
    if the answer were whole.
    """
    bits = torch.zeros(len(matchers), -(-vocab_size // WORD), dtype=torch.int32)
    numbered = [(matcher, i) for i, matcher in enumerate(matchers)]
    _executor().unsafe_compute_mask_ptr(numbered, bits.data_ptr(), bits.shape[1] * bits.itemsize, len(bits))
    for matcher in matchers:
        if matcher.is_error():
            raise AnswerError(f"the grammar of an answer failed: {matcher.get_error()}", code="grammar")
    return bits


@cache
def _executor() -> Any:
    from llguidance import LLExecutor

    return LLExecutor()


def unpacked(bits: Tensor, vocab_size: int) -> Tensor:
    """Packed bits [B, W] as booleans [B, V], on their own device."""
    # By bytes rather than words: what lies in between is a quarter as large. Words are little-endian on every machine
    # that torch runs on.
    by_bit = torch.tensor([1 << i for i in range(8)], dtype=torch.uint8, device=bits.device)
    return (bits.view(torch.uint8)[..., None] & by_bit).ne(0).flatten(1)[:, :vocab_size]
