"""Integers of 4 bits in groups of 64, with a scale and a zero each, multiplied by torch's own kernels.

Source of the format: torch's `_weight_int4pack_mm`: a value is `(code - 8) * scale + zero`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Measured on normal values: a root-mean-square error of 0.090 standard deviations, and 0.092 for NF4. Groups of 32 give
# 0.078 for a tenth more bytes.
GROUP = 64
N_OUT_MULTIPLE = {"cpu": 16, "cuda": 8}  # what torch's kernels take
N_IN_MULTIPLE = {"cpu": GROUP, "cuda": 128}
INNER_TILES = 8  # of the layout on CUDA, of 16 columns each; what torch's own quantisation takes


@dataclass(frozen=True)
class Int4Weight:
    """A weight [n_out, n_in]. codes: [n_out, n_in / 2] uint8, the first of two in the upper half; scales and zeros:
    [n_out, n_in / 64] bf16."""

    codes: Tensor
    scales: Tensor
    zeros: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.codes), 2 * self.codes.shape[1]


def can_be_int4(shape: tuple[int, ...]) -> bool:
    """Whether the rows of a weight can be cut into groups."""
    return len(shape) == 2 and shape[1] % GROUP == 0


def quantise_int4(weight: Tensor) -> Int4Weight:
    """[n_out, n_in] in groups between the smallest and the largest value of each, on the device where it is."""
    n_out, n_in = weight.shape
    groups = weight.float().view(n_out, n_in // GROUP, GROUP)
    least, most = groups.aminmax(dim=-1)
    scales = ((most - least) / 15).clamp(min=1e-30).to(torch.bfloat16)
    zeros = (least + 8 * scales.float()).to(torch.bfloat16)
    codes = (groups - zeros.float()[..., None]).div_(scales.float()[..., None]).round_().add_(8).clamp_(0, 15)
    pairs = codes.to(torch.uint8).view(n_out, n_in)
    return Int4Weight(pairs[:, ::2] << 4 | pairs[:, 1::2], scales, zeros)


def dequantise_int4(weight: Int4Weight, dtype: torch.dtype) -> Tensor:
    """The values that a weight stands for, [n_out, n_in]."""
    codes = _codes(weight).view(*weight.scales.shape, GROUP)
    return (
        ((codes - 8) * weight.scales.float()[..., None] + weight.zeros.float()[..., None]).view(weight.shape).to(dtype)
    )


def _codes(weight: Int4Weight) -> Tensor:
    """[n_out, n_in] int32."""
    return torch.stack([weight.codes >> 4, weight.codes & 15], dim=-1).view(weight.shape).int()


class Int4Linear(nn.Module):
    """Multiplies in bf16, which is all that the kernels do at speed, whatever the rest computes in."""

    packed: Tensor
    scales_and_zeros: Tensor

    def __init__(self, weight: Int4Weight) -> None:
        super().__init__()
        if weight.codes.device.type == "cpu":
            packed = torch._convert_weight_to_int4pack_for_cpu(_codes(weight), INNER_TILES)
            self._multiply = torch._weight_int4pack_mm_for_cpu
        else:
            packed = torch._convert_weight_to_int4pack(weight.codes, INNER_TILES)
            self._multiply = torch._weight_int4pack_mm
        self.register_buffer("packed", packed)
        scales_and_zeros = torch.stack([weight.scales, weight.zeros], dim=-1).transpose(0, 1).contiguous()
        self.register_buffer("scales_and_zeros", scales_and_zeros)

    def forward(self, x: Tensor) -> Tensor:
        """[..., n_in] to [..., n_out]."""
        rows = x.reshape(-1, x.shape[-1]).to(torch.bfloat16)
        out: Tensor = self._multiply(rows, self.packed, GROUP, self.scales_and_zeros)
        return out.view(*x.shape[:-1], -1).to(x.dtype)


class DenseInt4Linear(nn.Module):
    """Holds the values in full: for shapes that torch's kernels do not take."""

    weight: Tensor

    def __init__(self, weight: Int4Weight, compute: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("weight", dequantise_int4(weight, compute))

    def forward(self, x: Tensor) -> Tensor:
        """[..., n_in] to [..., n_out]."""
        return F.linear(x, self.weight)


def int4_linear(weight: Int4Weight, compute: torch.dtype) -> nn.Module:
    """The linear for a weight on its device."""
    n_out, n_in = weight.shape
    kind = weight.codes.device.type
    if n_out % N_OUT_MULTIPLE.get(kind, 1) == 0 and n_in % N_IN_MULTIPLE.get(kind, 1) == 0 and kind in N_IN_MULTIPLE:
        return Int4Linear(weight).eval()
    return DenseInt4Linear(weight, compute).eval()
