"""The audio encoder: a convolutional stem and Whisper-style layers over independent 4 s windows.

Names are the checkpoint's. Shapes: N windows, T mel frames, L = T / 8 tokens, D = d_model.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moss_cli.engine.config import AudioConfig
from moss_cli.engine.linear import can_pack


def n_tokens(n_frames: int) -> int:
    """Audio tokens of `n_frames` mel frames: three convolutions of stride 2 and padding 1."""
    for _ in range(3):
        n_frames = (n_frames - 1) // 2 + 1
    return n_frames


def sinusoids(length: int, channels: int) -> Tensor:
    """Whisper's positions, [length, channels] float32: sines, then cosines."""
    scale = math.log(10_000) / (channels // 2 - 1)
    frequencies = torch.exp(-scale * torch.arange(channels // 2, dtype=torch.float32))
    angles = torch.arange(length, dtype=torch.float32)[:, None] * frequencies[None, :]
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class SelfAttention(nn.Module):
    """Bidirectional attention within a window."""

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.q_proj = nn.Linear(d_model, d_model)
        self.k_proj = nn.Linear(d_model, d_model, bias=False)
        self.v_proj = nn.Linear(d_model, d_model)
        self.out_proj = nn.Linear(d_model, d_model)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """x: [N, L, D]; mask: [N, 1, 1, L], True where a key is real."""
        heads = (self.n_heads, x.shape[-1] // self.n_heads)
        q, k, v = (proj(x).unflatten(-1, heads).transpose(1, 2) for proj in (self.q_proj, self.k_proj, self.v_proj))
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)  # [N, H, L, D/H]
        projected: Tensor = self.out_proj(out.transpose(1, 2).flatten(-2))
        return projected


class EncoderLayer(nn.Module):
    """A pre-norm layer."""

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        d_model = config.d_model
        self.self_attn = SelfAttention(d_model, config.encoder_attention_heads)
        self.self_attn_layer_norm = nn.LayerNorm(d_model, config.layer_norm_eps)
        self.fc1 = nn.Linear(d_model, config.encoder_ffn_dim)
        self.fc2 = nn.Linear(config.encoder_ffn_dim, d_model)
        self.final_layer_norm = nn.LayerNorm(d_model, config.layer_norm_eps)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """[N, L, D] to the same."""
        x = x + self.self_attn(self.self_attn_layer_norm(x), mask)
        out: Tensor = x + self.fc2(F.gelu(self.fc1(self.final_layer_norm(x))))
        return out


class AudioEncoder(nn.Module):
    """Mel windows to features, with taps for DeepStack."""

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.downsample_hidden_size
        self.conv1 = nn.Conv2d(1, channels, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        self.conv3 = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        self.stem_proj = nn.Linear(channels * n_tokens(config.num_mel_bins), config.d_model)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.encoder_layers))
        self.layer_norm = nn.LayerNorm(config.d_model, config.layer_norm_eps)
        self.out_proj: nn.Linear | None = None
        if config.output_dim != config.d_model:
            self.out_proj = nn.Linear(config.d_model, config.output_dim, bias=False)

    def _convolved(self, x: Tensor) -> Tensor:
        """[N, 1, n_mels, T] to [N, C, n_mels/8, T/8]."""
        convs = (self.conv1, self.conv2, self.conv3)
        if not (can_pack(x.device, x.dtype) and x.dtype == torch.float32) or torch.is_grad_enabled():
            for conv in convs:
                x = F.gelu(conv(x))
            return x
        # The same in oneDNN's own layout, which it otherwise goes into before each convolution and leaves after it:
        # two thirds of the time. Its tensors have no gradients.
        x = x.to_mkldnn()
        for conv in convs:
            assert conv.bias is not None
            x = F.gelu(F.conv2d(x, conv.weight.to_mkldnn(), conv.bias.to_mkldnn(), conv.stride, conv.padding))
        dense: Tensor = x.to_dense()
        return dense

    def stem(self, mel: Tensor) -> Tensor:
        """[N, n_mels, T] to [N, T/8, D], channels before frequency."""
        x = self._convolved(mel.unsqueeze(1))  # [N, C, n_mels/8, T/8]
        x = self.stem_proj(x.permute(0, 3, 1, 2).flatten(2))
        # The positions are kept in float32, also when the weights are not.
        placed: Tensor = x.float() + sinusoids(x.shape[1], x.shape[2]).to(x.device)
        return placed.to(x.dtype)

    def forward(self, mel: Tensor, n_frames: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Encode windows that are padded to one width.

        mel: [N, n_mels, T]; n_frames: [N], the real frames of each window. Returns the features
        [N, L, output_dim] and one such tensor for each tap; what lies past a window's own tokens
        is padding.
        """
        x = self.stem(mel)
        lengths = n_frames
        for _ in range(3):
            lengths = (lengths - 1) // 2 + 1
        mask = None
        if bool((lengths < x.shape[1]).any()):
            mask = (torch.arange(x.shape[1], device=x.device)[None, :] < lengths[:, None])[:, None, None, :]
        tapped = {}
        for i, layer in enumerate(self.layers):
            x = layer(x, mask)
            if i in self.config.deepstack_encoder_layer_indexes:
                tapped[i] = self._project(x)
        taps = [tapped[i] for i in self.config.deepstack_encoder_layer_indexes]
        return self._project(self.layer_norm(x)), taps

    def _project(self, x: Tensor) -> Tensor:
        if self.out_proj is None:
            return x
        out: Tensor = self.out_proj(x)
        return out
