"""Linears as they are once loaded: several that read the same input merged into one, and on a CPU packed for oneDNN.

Shapes: R rows, n_in and n_out features.
"""

from __future__ import annotations

import platform

import torch
from torch import Tensor, nn

# Calling oneDNN costs 10 µs more than calling MKL. Measured on one core of an AMD EPYC 9005 in fp32, products of the
# embedded model in turn: MKL wins up to two rows, from four on oneDNN; from a million weights on oneDNN always does.
FEW_ROWS = 2
FEW_WEIGHTS = 500_000


def can_pack(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether linears on this device are faster in oneDNN's own layout."""
    # On ARM oneDNN hands over to another library, and what it gains there was never measured.
    is_x86 = platform.machine().lower() in ("x86_64", "amd64")
    if device.type != "cpu" or not is_x86 or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return dtype == torch.float32 or (dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported())


class PackedLinear(nn.Module):
    """A linear whose weight [n_out, n_in] lies in the blocks in which oneDNN reads it; no gradients.

    A small weight is kept as [n_in, n_out] too, for the few rows at which that is faster.
    """

    bias: nn.Parameter | None

    def __init__(self, weight: Tensor, bias: nn.Parameter | None = None) -> None:
        super().__init__()
        weight = weight.detach()
        self.out_features, self.in_features = weight.shape
        self.packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), None)
        self.transposed = weight.t().contiguous() if weight.numel() < FEW_WEIGHTS else None
        self.register_parameter("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        """[..., n_in] to [..., n_out]."""
        if self.transposed is not None and x.numel() <= FEW_ROWS * self.in_features:
            out = torch.matmul(x, self.transposed)
            return out if self.bias is None else out + self.bias
        product: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "none", [], "")
        return product


def frozen_linear(weight: Tensor, bias: nn.Parameter | None = None) -> nn.Module:
    """A linear with this weight [n_out, n_in] in the layout that suits its device."""
    if can_pack(weight.device, weight.dtype):
        return PackedLinear(weight, bias).eval()
    n_out, n_in = weight.shape
    linear = nn.Linear(n_in, n_out, bias=False, device="meta")
    linear.weight = nn.Parameter(weight, requires_grad=False)
    linear.register_parameter("bias", bias)
    return linear.eval()
