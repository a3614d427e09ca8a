"""From the encoder's features to the decoder's width."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F


class GatedMLP(nn.Module):
    """SiLU-gated projection [..., n_in] -> [..., n_out]: the adapter, the DeepStack mergers and
    the decoder's feed-forward."""

    merged: ClassVar = {"gate_up_proj": ("gate_proj", "up_proj")}

    def __init__(self, n_in: int, n_hidden: int, n_out: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(n_in, n_hidden, bias=False)
        self.up_proj = nn.Linear(n_in, n_hidden, bias=False)
        self.down_proj = nn.Linear(n_hidden, n_out, bias=False)
        self.gate_up_proj: nn.Module | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.gate_up_proj is None:
            gate, up = self.gate_proj(x), self.up_proj(x)
        else:
            gate, up = self.gate_up_proj(x).chunk(2, dim=-1)
        out: Tensor = self.down_proj(F.silu(gate) * up)
        return out
