"""NF4: 4 bits a value, in blocks of 64 with a scale each. Source: Dettmers et al., QLoRA, and bitsandbytes.

Codes are as bitsandbytes gives them without double quantisation: two to a byte, the first in its upper half, blocks
counted over the rows one after another. Scales are kept in bf16, which is exact: each is the largest of 64 bf16 values.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moss_cli.errors import DeviceError

BLOCK = 64
LEVELS = (  # QLoRA, appendix E
    *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334),
    *(-0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
    *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
)
PIECE = 2**20  # values quantised at a time; measured: smaller ones pay for their calls, larger ones for memory
TILE = 32  # rows that the fused kernel takes together
PACKED_ROWS = 16 * TILE  # packed at a time; chosen


@dataclass(frozen=True)
class NF4Weight:
    """A weight [n_out, n_in] in NF4. codes: [n_out, n_in / 2] uint8; scales: [n_out * n_in / 64] bf16, row by row."""

    codes: Tensor
    scales: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.codes), 2 * self.codes.shape[1]


def can_be_nf4(shape: tuple[int, ...]) -> bool:
    """Whether the rows of a weight are whole blocks: those of all released models are."""
    return len(shape) == 2 and shape[1] % BLOCK == 0


def values_in_nf4(weight: Tensor) -> Tensor:
    """The values that bitsandbytes makes of [n_out, n_in], whose rows need not be whole blocks. Raises DeviceError.

    Its kernel for AVX-512 takes scales of other blocks then, and so do the values that were published for such weights.
    """
    functional = _bitsandbytes().functional
    codes, state = functional.quantize_4bit(
        weight.to(torch.bfloat16), blocksize=BLOCK, quant_type="nf4", compress_statistics=False
    )
    values: Tensor = functional.dequantize_4bit(codes, state)
    return values


def quantise_nf4(weight: Tensor) -> NF4Weight:
    """[n_out, n_in] in NF4, on its device. The values are rounded to bf16 first, as published weights are."""
    flat = weight.to(torch.bfloat16).reshape(-1)
    codes = torch.empty(flat.numel() // 2, dtype=torch.uint8, device=flat.device)
    scales = torch.empty(flat.numel() // BLOCK, dtype=torch.bfloat16, device=flat.device)
    for start in range(0, flat.numel(), PIECE):
        stop = min(start + PIECE, flat.numel())
        blocks = flat[start:stop].float().view(-1, BLOCK)
        largest = blocks.abs().amax(1, keepdim=True)
        scales[start // BLOCK : stop // BLOCK] = largest.view(-1)
        nearest = _nearest(blocks.mul_(1 / largest.clamp(min=1e-38)).view(-1))
        torch.bitwise_or(nearest[::2] << 4, nearest[1::2], out=codes[start // 2 : stop // 2])
    return NF4Weight(codes.view(len(weight), -1), scales)


def _nearest(values: Tensor) -> Tensor:
    """[n] in -1 to 1 to the indexes of the nearest levels: how many of the points between two levels are below.

    Fifteen comparisons of everything take a third of the time of `torch.bucketize`, which is a search for each value.
    """
    levels = torch.tensor(LEVELS)
    index = torch.zeros(values.shape, dtype=torch.uint8, device=values.device)
    is_above = torch.empty_like(index)
    for middle in ((levels[:-1] + levels[1:]) / 2).tolist():
        torch.gt(values, middle, out=is_above.view(torch.bool))
        index += is_above
    return index


def dequantise_nf4(weight: NF4Weight, dtype: torch.dtype) -> Tensor:
    """The values that a weight stands for, [n_out, n_in]."""
    levels = torch.tensor(LEVELS, device=weight.codes.device)
    pairs = torch.stack([weight.codes >> 4, weight.codes & 15], dim=-1)
    blocks = levels[pairs.int()].view(-1, BLOCK) * weight.scales.float()[:, None]
    return blocks.view(weight.shape).to(dtype)


class FusedNF4Linear(nn.Module):
    """Multiplies with bitsandbytes' kernel for CPUs with AVX512-BF16, which reads the codes themselves.

    The kernel is the quickest way for any number of rows: measured at 2560 x 9728 on two cores of an AMD EPYC 9005, it
    takes 0.3 of the time of bf16 in oneDNN's layout for one row and 1.4 for 512; to dequantise first takes 1.8 there.
    """

    packed: Tensor
    scales: Tensor
    levels: Tensor

    def __init__(self, weight: NF4Weight) -> None:
        super().__init__()
        self.shape = weight.shape
        n_out, n_in = weight.shape
        self.register_buffer("packed", _pack(weight.codes))
        self.register_buffer("scales", weight.scales.view(n_out, n_in // BLOCK).t().contiguous())
        self.register_buffer("levels", torch.tensor(LEVELS))
        _bitsandbytes()
        self._multiply: Callable[..., Tensor] = torch.ops.bitsandbytes.gemv_4bit.default

    def forward(self, x: Tensor) -> Tensor:
        """[..., n_in] to [..., n_out]."""
        return self._multiply(x, self.packed, self.shape, self.scales, self.levels, BLOCK)


def _pack(codes: Tensor) -> Tensor:
    """[n_out, n_in / 2] in the layout of the fused kernel: for 32 rows and each pair of columns, 32 bytes that hold the
    pairs of the first 16 rows in their lower halves and those of the other 16 in their upper ones."""
    packed = torch.empty_like(codes)
    for start in range(0, len(codes), PACKED_ROWS):
        some = slice(start, start + PACKED_ROWS)
        tiles = codes[some].view(-1, 2, TILE // 2, codes.shape[1])
        lower, upper = (half.contiguous() for half in tiles.transpose(2, 3).unbind(1))
        out = packed[some].view(*lower.shape, 2)
        torch.bitwise_or(upper & 0xF0, lower >> 4, out=out[..., 0])
        torch.bitwise_or(upper << 4, lower & 0x0F, out=out[..., 1])
    return packed


class NF4Linear(nn.Module):
    """Dequantises its weight each time: for computing in fp32, and for shapes that no kernel takes."""

    codes: Tensor
    scales: Tensor

    def __init__(self, weight: NF4Weight, compute: torch.dtype) -> None:
        super().__init__()
        self.compute = compute
        self.register_buffer("codes", weight.codes)
        self.register_buffer("scales", weight.scales)

    def forward(self, x: Tensor) -> Tensor:
        """[..., n_in] to [..., n_out]."""
        return F.linear(x, dequantise_nf4(NF4Weight(self.codes, self.scales), self.compute))


class CudaNF4Linear(nn.Module):
    """Multiplies one row with bitsandbytes' CUDA kernel; for more it dequantises the weight first."""

    codes: Tensor
    scales: Tensor

    def __init__(self, weight: NF4Weight, compute: torch.dtype) -> None:
        super().__init__()
        self.shape, self.compute = weight.shape, compute
        self.register_buffer("codes", weight.codes.view(-1, 1))
        self.register_buffer("scales", weight.scales.float())
        self.register_buffer("levels", torch.tensor(LEVELS, device=weight.codes.device))
        _bitsandbytes()
        self._ops: Any = torch.ops.bitsandbytes

    def forward(self, x: Tensor) -> Tensor:
        """[..., n_in] to [..., n_out]."""
        if x.numel() == x.shape[-1]:
            one: Tensor = self._ops.gemv_4bit.default(x, self.codes, self.shape, self.scales, self.levels, BLOCK)
            return one
        weight = self._ops.dequantize_4bit.default(self.codes, self.scales, BLOCK, "nf4", self.shape, self.compute)
        return F.linear(x, weight)


def nf4_linear(weight: NF4Weight, compute: torch.dtype) -> nn.Module:
    """The linear for a weight on its device, by the quickest kernel that takes its shape. Raises DeviceError."""
    on = weight.codes.device.type
    if on == "cuda":
        return CudaNF4Linear(weight, compute).eval()
    if on == "cpu" and weight.shape[0] % TILE == 0 and compute == torch.bfloat16 and has_fused_nf4():
        return FusedNF4Linear(weight).eval()
    return NF4Linear(weight, compute).eval()


def has_fused_nf4() -> bool:
    """Whether bitsandbytes multiplies NF4 weights on this CPU without dequantising them: it needs AVX512-BF16."""
    try:
        lib = _bitsandbytes().cextension.lib
    except DeviceError:
        return False
    return torch.cpu._is_avx512_bf16_supported() and hasattr(lib, "gemv_4bit_inference_cpu_nf4_bf16")


def _bitsandbytes() -> Any:
    """The package, which registers its operators with torch. Raises DeviceError."""
    # It warns of an optional kernel package at every start on a CPU; nobody can act on that here.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    try:
        with _without_compiler():
            import bitsandbytes
    except (ImportError, OSError, RuntimeError) as error:
        raise DeviceError(
            f"4-bit weights need bitsandbytes, which does not load here: {error}",
            hint="`moss doctor` has the command that installs it; or use another --dtype",
        ) from error
    return bitsandbytes


@contextmanager
def _without_compiler() -> Iterator[None]:
    """While it is imported, bitsandbytes compiles four functions that are not used here, and does without where that
    fails. To load torch's compiler for it takes 1.6 s, eighty times what the rest takes."""

    def refuse(*args: Any, **options: Any) -> Any:
        raise RuntimeError("nothing is compiled")

    compiler = torch.compile
    torch.compile = refuse
    try:
        yield
    finally:
        torch.compile = compiler
