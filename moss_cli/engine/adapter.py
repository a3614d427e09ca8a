"""From the encoder's features to the decoder's width."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class GatedMLP(nn.Module):
    """SiLU-gated projection [..., n_in] -> [..., n_out]: the adapter, the DeepStack mergers and
    the decoder's feed-forward."""

    def __init__(self, n_in: int, n_hidden: int, n_out: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(n_in, n_hidden, bias=False)
        self.up_proj = nn.Linear(n_in, n_hidden, bias=False)
        self.down_proj = nn.Linear(n_hidden, n_out, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return out
