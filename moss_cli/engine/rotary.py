"""Rotary positions, as Qwen3 has them: the halves of a head are rotated against each other."""

from __future__ import annotations

import torch
from torch import Tensor


def rotary(positions: Tensor, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines for `positions` [...]: [..., D] each, in float32. The sines of the first half are negative."""
    exponents = torch.arange(0, head_dim, 2, device=positions.device, dtype=torch.float32) / head_dim
    frequencies = 1.0 / theta**exponents  # float32: bf16 frequencies would blur far positions
    angles = positions[..., None].float() * frequencies
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate each head of x [..., H, D] by the angles of its position, [..., 1, D], which are in its dtype."""
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin)
