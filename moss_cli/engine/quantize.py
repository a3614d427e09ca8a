"""4-bit weights: NF4 by bitsandbytes, on the decoder's linears only.

The encoder, the adapter, the mergers and lm_head stay as they are: quantising them costs quality.
"""

from __future__ import annotations

import logging
import re
from typing import Any

import torch
from torch import Tensor, nn

from moss_cli.engine.model import MossAudio
from moss_cli.engine.weights import Destination, put, replace_module, set_merged
from moss_cli.errors import DeviceError

BLOCK_SIZE = 64
_QUANTISED = re.compile(r"language_model\.layers\.\d+\.(self_attn\.(qkv|[qkvo])_proj|mlp\.(gate_up|gate|up|down)_proj)")


def is_quantised(module: str) -> bool:
    """Whether the linear of this name is held in 4 bits."""
    return _QUANTISED.fullmatch(module) is not None


def _bitsandbytes() -> tuple[Any, Any]:
    """Its linear and its parameter. Raises DeviceError."""
    # It warns of an optional kernel package at every start on a CPU; nobody can act on that here.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    try:
        from bitsandbytes import nn as bnb
    except (ImportError, OSError, RuntimeError) as error:
        raise DeviceError(f"4-bit weights need bitsandbytes, which does not load here: {error}") from error
    return bnb.Linear4bit, bnb.Params4bit


def nf4_linear(weight: Tensor, device: torch.device, compute_dtype: torch.dtype) -> nn.Module:
    """A linear whose weight [n_out, n_in] is quantised on `device`.

    The values are rounded to bf16 first, as the published weights are. Raises DeviceError.
    """
    Linear4bit, Params4bit = _bitsandbytes()
    n_out, n_in = weight.shape
    with torch.device("meta"):
        # compute_dtype is said outright: left to itself it is float32, slow without a word.
        linear: nn.Module = Linear4bit(
            n_in, n_out, bias=False, compute_dtype=compute_dtype, compress_statistics=False, quant_type="nf4"
        )
    made = Params4bit(
        weight.to(torch.bfloat16),
        requires_grad=False,
        blocksize=BLOCK_SIZE,
        compress_statistics=False,
        quant_type="nf4",
    )
    linear.weight = made.to(device)
    # In training mode, which is how it is made, bitsandbytes passes over its fused CPU kernel.
    return linear.eval()


def place_nf4(model: MossAudio, to: Destination, tensor: Tensor, device: torch.device, dtype: torch.dtype) -> None:
    """Quantise what is to be quantised; the rest as it is, in `dtype`."""
    if len(to.names) > 1 and is_quantised(f"{to.owner}.{to.leaf}"):
        set_merged(model, to, nf4_linear(tensor, device, dtype))
    elif is_quantised(to.owner) and to.leaf == "weight":
        replace_module(model, to.owner, nf4_linear(tensor, device, dtype))
    else:
        put(model, to, tensor.to(device, dtype))
