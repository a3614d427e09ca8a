"""Processes that train one model together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import distributed, nn


@dataclass(frozen=True)
class Team:
    """The processes that train together, and which of them this one is."""

    size: int = 1
    rank: int = 0

    def join(self, meeting: Path) -> None:
        """Wait for the others; they meet at a file that is not there yet."""
        if self.size > 1:
            distributed.init_process_group(
                "gloo", init_method=meeting.absolute().as_uri(), world_size=self.size, rank=self.rank
            )

    def leave(self) -> None:
        """End what `join` began: a process that ends with its connections open may abort."""
        if self.size > 1:
            distributed.destroy_process_group()

    def average_gradients(self, model: nn.Module) -> None:
        """Give every process the mean of all gradients."""
        if self.size == 1:
            return
        parameters = list(model.parameters())
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        together = torch.cat([part.reshape(-1) for part in parts])
        distributed.all_reduce(together)
        together /= self.size
        for p, mean in zip(parameters, torch.split(together, [p.numel() for p in parameters]), strict=True):
            p.grad = mean.view_as(p)

    def agreed(self, value: float) -> float:
        """The first process's value."""
        if self.size == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64)
        distributed.broadcast(shared, 0)
        return float(shared)


ALONE = Team()
