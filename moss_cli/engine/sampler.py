"""Choosing the next token."""

from __future__ import annotations

import torch
from torch import Tensor

from moss_cli.answers import Sampling


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
