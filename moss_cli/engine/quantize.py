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
from moss_cli.engine.weights import put
from moss_cli.errors import DeviceError

BLOCK_SIZE = 64
_QUANTISED = re.compile(r"language_model\.layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj)\.weight")


def is_quantised(name: str) -> bool:
    """Whether the tensor of this name is held in 4 bits."""
    return _QUANTISED.fullmatch(name) is not None


def _bitsandbytes() -> tuple[Any, Any]:
    """Its linear and its parameter. Raises DeviceError."""
    # It warns of an optional kernel package at every start on a CPU; nobody can act on that here.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    try:
        from bitsandbytes import nn as bnb
    except (ImportError, OSError, RuntimeError) as error:
        raise DeviceError(f"4-bit weights need bitsandbytes, which does not load here: {error}") from error
    return bnb.Linear4bit, bnb.Params4bit


def put_nf4(model: MossAudio, name: str, tensor: Tensor, device: torch.device, compute_dtype: torch.dtype) -> None:
    """Quantise one linear's weight on `device` and put it in place of the meta linear.

    The values are rounded to bf16 first, as the published weights are. Raises DeviceError.
    """
    Linear4bit, Params4bit = _bitsandbytes()
    owner, _, _ = name.rpartition(".")
    old = model.get_submodule(owner)
    assert isinstance(old, nn.Linear)
    with torch.device("meta"):
        # compute_dtype is said outright: left to itself it is float32, slow without a word.
        linear = Linear4bit(
            old.in_features,
            old.out_features,
            bias=False,
            compute_dtype=compute_dtype,
            compress_statistics=False,
            quant_type="nf4",
        )
    weight = Params4bit(
        tensor.to(torch.bfloat16),
        requires_grad=False,
        blocksize=BLOCK_SIZE,
        compress_statistics=False,
        quant_type="nf4",
    )
    linear.weight = weight.to(device)
    linear.eval()  # in training mode, which is how it is made, bitsandbytes passes over its fused CPU kernel
    parent, _, leaf = owner.rpartition(".")
    setattr(model.get_submodule(parent), leaf, linear)


def place_nf4(model: MossAudio, name: str, tensor: Tensor, device: torch.device, dtype: torch.dtype) -> None:
    """Quantise what is to be quantised; the rest as it is, in `dtype`."""
    if is_quantised(name):
        put_nf4(model, name, tensor, device, dtype)
    else:
        put(model, name, tensor.to(device, dtype))
