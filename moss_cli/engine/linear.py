"""Linears as they are once loaded: several that read the same input merged into one, and on a CPU packed for oneDNN.

Shapes: R rows, n_in and n_out features.
"""

from __future__ import annotations

import platform

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Calling oneDNN costs 10 µs more than calling MKL or OpenBLAS. Measured on one core of an AMD EPYC 9005, fp32: the two
# meet at 2 rows of 1152 x 192 weights; from a million weights on oneDNN wins for one row too.
FEW_ROWS = 2
FEW_WEIGHTS = 500_000


def can_pack(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether linears on this device are faster in oneDNN's own layout."""
    # On ARM oneDNN hands over to another library, and what it gains there was never measured.
    is_x86 = platform.machine().lower() in ("x86_64", "amd64")
    return (
        device.type == "cpu"
        and is_x86
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and (dtype == torch.float32 or (dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()))
    )


class PackedLinear(nn.Module):
    """A linear whose weight [n_out, n_in] lies in the blocks in which oneDNN reads it; no gradients.

    A small weight is kept as it was too, for the few rows at which that is faster.
    """

    weight: Tensor | None
    bias: nn.Parameter | None

    def __init__(self, weight: Tensor, bias: nn.Parameter | None = None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), None)
        self.register_buffer("weight", weight.detach() if weight.numel() < FEW_WEIGHTS else None)
        self.register_parameter("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        """[..., n_in] to [..., n_out]."""
        if self.weight is not None and x.numel() <= FEW_ROWS * self.in_features:
            return F.linear(x, self.weight, self.bias)
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "none", [], "")
        return out


def frozen_linear(weight: Tensor, bias: nn.Parameter | None = None) -> nn.Module:
    """A linear with this weight [n_out, n_in] in the layout that suits its device."""
    if can_pack(weight.device, weight.dtype):
        return PackedLinear(weight, bias).eval()
    n_out, n_in = weight.shape
    linear = nn.Linear(n_in, n_out, bias=False, device="meta")
    linear.weight = nn.Parameter(weight, requires_grad=False)
    linear.register_parameter("bias", bias)
    return linear.eval()
