"""Choosing the next token. Draws depend only on a row's own key, never on its neighbours."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

COLDEST = 1e-5  # below it the likeliest token is drawn all the time, and logits divided by it overflow


@dataclass(frozen=True)
class Sampling:
    """`temperature` 0 is greedy; `top_k` 0 and `top_p` 1 cut nothing off."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0

    @property
    def greedy(self) -> bool:
        return self.temperature < COLDEST


def draw_seed(seed: int, input_id: str, chunk: int | str, attempt: int) -> int:
    """The seed of one answer's draws: the same wherever and with whatever it is decoded."""
    digest = hashlib.sha256(f"{seed}/{input_id}/{chunk}/{attempt}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


class RowSampler:
    """The draws of one row."""

    def __init__(self, sampling: Sampling, seed: int = 0) -> None:
        self.sampling = sampling
        self._generator = torch.Generator("cpu").manual_seed(seed)

    def choose(self, logits: Tensor) -> int:
        """The next token for logits [vocab]."""
        if self.sampling.greedy:
            return int(logits.argmax())
        probabilities, tokens = self._candidates(logits.float().cpu())
        # Inverse of the cumulative sum, in float64: one uniform number a token, whatever top_k is.
        cumulative = probabilities.double().cumsum(0)
        point = torch.rand((), generator=self._generator, dtype=torch.float64) * cumulative[-1]
        return int(tokens[min(int(torch.searchsorted(cumulative, point, right=True)), len(tokens) - 1)])

    def _candidates(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities of the tokens that top_k and top_p leave, the likeliest first."""
        n_kept = self.sampling.top_k if 0 < self.sampling.top_k < len(logits) else len(logits)
        values, tokens = logits.topk(n_kept)
        probabilities = (values / self.sampling.temperature).softmax(0)
        if self.sampling.top_p < 1:
            before = probabilities.cumsum(0) - probabilities  # the mass of what is likelier
            kept = max(1, int((before < self.sampling.top_p).sum()))
            probabilities, tokens = probabilities[:kept], tokens[:kept]
        return probabilities, tokens
