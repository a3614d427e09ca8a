"""Rows in 8 bits with a scale each: the embeddings and the output head beside 4-bit layers.

R rows are multiplied at a time; a weight has n_out rows of n_in values.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

FEW = 256  # rows quantised at a time; chosen: what is computed on the way stays in the cache
PIECE_ROWS = 16_384  # read, quantised and packed at a time; chosen: 80 MB in bf16 at the released sizes


@dataclass(frozen=True)
class Int8Rows:
    """Rows in 8 bits. values: [n_out, n_in] int8; scales: [n_out] float32."""

    values: Tensor
    scales: Tensor

    def to(self, dtype: torch.dtype) -> Tensor:
        """The values that they stand for, [n_out, n_in]."""
        return (self.values * self.scales[:, None]).to(dtype)


def quantise_rows(weight: Tensor) -> Int8Rows:
    """[n_out, n_in] in 8 bits. Each row is divided by the 127th part of its largest value."""
    scales = weight.abs().amax(1).float().div_(127).clamp_(min=1e-30)
    values = torch.empty(weight.shape, dtype=torch.int8, device=weight.device)
    for start in range(0, len(weight), FEW):
        few = slice(start, start + FEW)
        values[few] = (weight[few].float() / scales[few, None]).round_()
    return Int8Rows(values, scales)


class Int8Embedding(nn.Module):
    """Looks up rows in 8 bits."""

    values: Tensor
    scales: Tensor

    def __init__(self, values: Tensor, scales: Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.register_buffer("values", values)
        self.register_buffer("scales", scales)

    def forward(self, ids: Tensor) -> Tensor:
        """[...] token ids to [..., n_in]."""
        rows = Int8Rows(self.values.index_select(0, ids.flatten()), self.scales.index_select(0, ids.flatten()))
        return rows.to(self.dtype).view(*ids.shape, -1)


class VnniInt8Linear(nn.Module):
    """Multiplies in integers, by oneDNN: each input row is rounded to 8 bits, too, with a scale of its own.

    Measured for 151,936 x 2560 on two cores of an AMD EPYC 9005: bound by reading the weights, from 1 row to 16, where
    `_weight_int8pack_mm` takes 1.4 times as long for one row and eight times for 16.
    """

    def __init__(self, pieces: Iterable[Int8Rows]) -> None:
        super().__init__()
        self._pieces = [
            (_packed(piece.values), piece.scales, torch.zeros(len(piece.scales), dtype=torch.int64)) for piece in pieces
        ]

    def forward(self, x: Tensor) -> Tensor:
        """[R, n_in] to [R, n_out], float32."""
        scale = x.abs().amax(-1, keepdim=True).float().div_(127).clamp_(min=1e-30)
        # Unsigned, around 128: oneDNN has quick kernels for these alone.
        rows = (x / scale).round_().add_(128).to(torch.uint8)
        return torch.cat([_times(rows, *piece) for piece in self._pieces], dim=-1).mul_(scale)


def _packed(values: Tensor) -> Tensor:
    packed: Tensor = torch.ops.onednn.qlinear_prepack(values, None)
    return packed


def _times(rows: Tensor, packed: Tensor, scales: Tensor, zeros: Tensor) -> Tensor:
    """[R, n_in] uint8 around 128, times packed rows with their scales and zeros, to [R, n_out] float32."""
    out: Tensor = torch.ops.onednn.qlinear_pointwise(
        rows, 1.0, 128, packed, scales, zeros, None, 1.0, 0, torch.float32, "none", [], ""
    )
    return out


class Int8Linear(nn.Module):
    """Multiplies rows in 8 bits with inputs in bf16, by torch's own kernel."""

    values: Tensor
    scales: Tensor

    def __init__(self, pieces: Sequence[Int8Rows]) -> None:
        super().__init__()
        self.register_buffer("values", torch.cat([piece.values for piece in pieces]))
        self.register_buffer("scales", torch.cat([piece.scales for piece in pieces]).to(torch.bfloat16))

    def forward(self, x: Tensor) -> Tensor:
        """[R, n_in] to [R, n_out], float32."""
        return torch._weight_int8pack_mm(x.to(torch.bfloat16), self.values, self.scales).float()


def int8_linear(pieces: Iterable[Int8Rows]) -> nn.Module:
    """The linear for rows in 8 bits on a CPU, taken piece by piece."""
    if torch.cpu._is_vnni_supported():
        return VnniInt8Linear(pieces)
    return Int8Linear(list(pieces))
