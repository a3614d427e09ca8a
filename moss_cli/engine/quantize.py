"""What `4bit` is: the decoder's linears in 4 bits, embeddings and output head in 8 bits a row, the rest in 16 bits.

The encoder, the adapter and the mergers stay as they are: quantising them costs quality.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from moss_cli.engine.checkpoint import Tensors
from moss_cli.engine.devices import FourBit
from moss_cli.engine.int4 import Int4Weight, can_be_int4, int4_linear, quantise_int4
from moss_cli.engine.int8 import PIECE_ROWS, Int8Embedding, Int8Rows, int8_linear, quantise_rows
from moss_cli.engine.linear import frozen_linear
from moss_cli.engine.nf4 import NF4Weight, can_be_nf4, nf4_linear, quantise_nf4, values_in_nf4
from moss_cli.engine.weights import Destination, Made, MakePlain, Shape, merged_shape

EMBEDDINGS, HEAD = "language_model.embed_tokens", "lm_head"
_QUANTISED = re.compile(r"language_model\.layers\.\d+\.(self_attn\.(qkv|[qkvo])_proj|mlp\.(gate_up|gate|up|down)_proj)")

LowBitWeight = NF4Weight | Int4Weight
PARTS = {"nf4": ("codes", "scales"), "int4": ("codes", "scales", "zeros")}


def is_quantised(module: str) -> bool:
    """Whether the linear of this name is held in 4 bits."""
    return _QUANTISED.fullmatch(module) is not None


def in_4_bits(to: Destination, shape: Shape, kind: FourBit) -> bool:
    """Whether what stands at a destination, of this shape, is held in 4 bits."""
    fits = can_be_nf4(shape) if kind == "nf4" else can_be_int4(shape)
    return fits and is_quantised(to.module)


def in_8_bits(to: Destination, *, tied: bool) -> bool:
    """Whether it is held in 8 bits a row. Embeddings that are the head, too, stay as they are."""
    return to.module in (EMBEDDINGS, HEAD) and not tied


def four_bit_weight(tensors: Tensors, to: Destination, kind: FourBit, device: torch.device) -> LowBitWeight | None:
    """The weight at a destination, on a device, as a quantised copy has it or quantised now; None if it is not held in
    4 bits. Raises ModelError."""
    if f"{to.module}.{kind}.codes" in tensors.shapes:
        parts = [tensors.read(f"{to.module}.{kind}.{part}").to(device) for part in PARTS[kind]]
        return NF4Weight(*parts) if kind == "nf4" else Int4Weight(*parts)
    shapes = [tensors.shapes.get(name, ()) for name in to.names]
    if not in_4_bits(to, merged_shape(shapes), kind):
        return None
    return _stacked([_quantised(tensors.read(name).to(device), kind) for name in to.names], kind)


def _quantised(weight: Tensor, kind: FourBit) -> LowBitWeight:
    return quantise_nf4(weight) if kind == "nf4" else quantise_int4(weight)


def _stacked(weights: Sequence[LowBitWeight], kind: FourBit) -> LowBitWeight:
    """Weights one above the other, which are quantised one by one: so they are never together as they were."""
    if len(weights) == 1:
        return weights[0]
    parts = [torch.cat([getattr(weight, part) for weight in weights]) for part in PARTS[kind]]
    return NF4Weight(*parts) if kind == "nf4" else Int4Weight(*parts)


def eight_bit_rows(tensors: Tensors, module: str, first: int, last: int) -> Int8Rows:
    """Rows of the embeddings or the head, as a quantised copy has them or quantised now. Raises ModelError."""
    if f"{module}.int8.values" in tensors.shapes:
        values, scales = (tensors.read(f"{module}.int8.{part}", first, last) for part in ("values", "scales"))
        return Int8Rows(values, scales)
    return quantise_rows(tensors.read(f"{module}.weight", first, last))


def row_pieces(n_rows: int) -> list[tuple[int, int]]:
    """First and last of the rows that are held at a time."""
    return [(first, min(first + PIECE_ROWS, n_rows)) for first in range(0, n_rows, PIECE_ROWS)]


@dataclass(frozen=True)
class MakeFourBit:
    """Makes what a 4-bit model consists of, out of a checkpoint or of its quantised copy: the same either way."""

    tensors: Tensors
    kind: FourBit
    device: torch.device
    compute: torch.dtype
    tied: bool

    def __call__(self, owner: nn.Module, to: Destination) -> Made:
        if in_8_bits(to, tied=self.tied):
            return self._embedding(owner) if isinstance(owner, nn.Embedding) else self._head(owner)
        weight = four_bit_weight(self.tensors, to, self.kind, self.device)
        if isinstance(weight, NF4Weight):
            return nf4_linear(weight, self.compute)
        if isinstance(weight, Int4Weight):
            return int4_linear(weight, self.compute)
        if is_quantised(to.module) and self.kind == "nf4":
            parts = [values_in_nf4(self.tensors.read(name)) for name in to.names]
            return frozen_linear(torch.cat(parts).to(self.device, self.compute))
        return MakePlain(self.tensors, self.device, self.compute)(owner, to)

    def _embedding(self, owner: nn.Embedding) -> nn.Module:
        n_rows, n_columns = owner.weight.shape
        values = torch.empty(n_rows, n_columns, dtype=torch.int8, device=self.device)
        scales = torch.empty(n_rows, device=self.device)
        for first, last in row_pieces(n_rows):
            rows = eight_bit_rows(self.tensors, EMBEDDINGS, first, last)
            values[first:last], scales[first:last] = rows.values, rows.scales
        return Int8Embedding(values, scales, self.compute).eval()

    def _head(self, owner: nn.Module) -> nn.Module:
        assert isinstance(owner, nn.Linear)
        pieces = (eight_bit_rows(self.tensors, HEAD, *piece) for piece in row_pieces(owner.out_features))
        if self.device.type == "cpu" and self.compute == torch.bfloat16:
            return int8_linear(pieces).eval()
        return frozen_linear(torch.cat([rows.to(self.compute).to(self.device) for rows in pieces]))
