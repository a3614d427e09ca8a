"""The Qwen3 decoder. Names are the checkpoint's.

Shapes: B rows, S positions, C hidden size, H query heads, K key/value heads, D head_dim.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moss_cli.engine.adapter import GatedMLP
from moss_cli.engine.cache import KVCache
from moss_cli.engine.config import LanguageConfig


class RMSNorm(nn.Module):
    """Root-mean-square norm, computed in float32."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        normed = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * normed.to(x.dtype)


def rotary(positions: Tensor, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines for `positions` [B, S]: [B, 1, S, D] each, in float32."""
    exponents = torch.arange(0, head_dim, 2, device=positions.device, dtype=torch.float32) / head_dim
    frequencies = 1.0 / theta**exponents  # float32: bf16 frequencies would blur far positions
    angles = positions[:, None, :, None].float() * frequencies
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the halves of each head: x [B, H, S, D]."""
    first, second = x.chunk(2, dim=-1)
    return x * cos.to(x.dtype) + torch.cat([-second, first], dim=-1) * sin.to(x.dtype)


class Attention(nn.Module):
    """Grouped-query attention with RMSNorm on each head's queries and keys."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.heads = (config.num_attention_heads, config.head_dim)
        self.kv_heads = (config.num_key_value_heads, config.head_dim)
        n_query = config.num_attention_heads * config.head_dim
        n_kv = config.num_key_value_heads * config.head_dim
        self.q_proj = nn.Linear(config.hidden_size, n_query, bias=False)
        self.k_proj = nn.Linear(config.hidden_size, n_kv, bias=False)
        self.v_proj = nn.Linear(config.hidden_size, n_kv, bias=False)
        self.o_proj = nn.Linear(n_query, config.hidden_size, bias=False)
        self.q_norm = RMSNorm(config.head_dim, config.rms_norm_eps)
        self.k_norm = RMSNorm(config.head_dim, config.rms_norm_eps)

    def project(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[B, S, C] to rotated queries [B, H, S, D], rotated keys and values [B, K, S, D]."""
        q = self.q_norm(self.q_proj(x).unflatten(-1, self.heads)).transpose(1, 2)
        k = self.k_norm(self.k_proj(x).unflatten(-1, self.kv_heads)).transpose(1, 2)
        v = self.v_proj(x).unflatten(-1, self.kv_heads).transpose(1, 2)
        return rotate(q, cos, sin), rotate(k, cos, sin), v

    def merge(self, out: Tensor) -> Tensor:
        """[B, H, S, D] to [B, S, C]."""
        merged: Tensor = self.o_proj(out.transpose(1, 2).flatten(-2))
        return merged

    def prompt(self, x: Tensor, cos: Tensor, sin: Tensor, cache: KVCache | None, layer: int) -> Tensor:
        """Causal attention over whole prompts. Rows padded on the right stay right: causality
        keeps real tokens from seeing the padding."""
        q, k, v = self.project(x, cos, sin)
        if cache is not None:
            cache.write_prompt(layer, k, v)
        return self.merge(F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True))

    def step(
        self, x: Tensor, cos: Tensor, sin: Tensor, cache: KVCache, layer: int, positions: Tensor, mask: Tensor
    ) -> Tensor:
        """Attention of one new token a row over its own past: x [B, 1, C], positions [B], mask [B, 1, 1, seen]."""
        q, k, v = self.project(x, cos, sin)
        cache.write_step(layer, k, v, positions)
        n_seen = mask.shape[-1]
        keys, values = cache.keys[layer, :, :, :n_seen], cache.values[layer, :, :, :n_seen]
        # The query heads of a group stand in the place of positions, so that keys are not repeated.
        grouped = q.view(q.shape[0], self.kv_heads[0], -1, self.kv_heads[1])  # [B, K, H/K, D]
        out = F.scaled_dot_product_attention(grouped, keys, values, attn_mask=mask)
        return self.merge(out.flatten(1, 2).unsqueeze(2))


class DecoderLayer(nn.Module):
    """A pre-norm layer."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.self_attn = Attention(config)
        self.mlp = GatedMLP(config.hidden_size, config.intermediate_size, config.hidden_size)
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def prompt(self, x: Tensor, cos: Tensor, sin: Tensor, cache: KVCache | None, layer: int) -> Tensor:
        """Whole prompts, [B, S, C] to the same."""
        x = x + self.self_attn.prompt(self.input_layernorm(x), cos, sin, cache, layer)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out

    def step(
        self, x: Tensor, cos: Tensor, sin: Tensor, cache: KVCache, layer: int, positions: Tensor, mask: Tensor
    ) -> Tensor:
        """One new token a row, [B, 1, C] to the same."""
        x = x + self.self_attn.step(self.input_layernorm(x), cos, sin, cache, layer, positions, mask)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class Decoder(nn.Module):
    """Embeddings to hidden states; `lm_head` is not part of it."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.config = config
        # Without the usual random values: drawing them on the meta device imports torch's compiler (a second).
        table = torch.empty(config.vocab_size, config.hidden_size)
        self.embed_tokens = nn.Embedding.from_pretrained(table, freeze=False)  # type: ignore[no-untyped-call]
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def prefill(self, x: Tensor, cache: KVCache | None, deepstack: list[Tensor], audio_mask: Tensor | None) -> Tensor:
        """Hidden states [B, S, C] of prompts x [B, S, C] that are padded on the right.

        deepstack: for each of the first layers, features [n, C] that are added after it at the n
        True places of audio_mask [B, S], row by row.
        """
        positions = torch.arange(x.shape[1], device=x.device)[None, :]
        cos, sin = rotary(positions, self.config.head_dim, self.config.rope_theta)
        for i, layer in enumerate(cast(Iterable[DecoderLayer], self.layers)):
            x = layer.prompt(x, cos, sin, cache, i)
            if i < len(deepstack) and audio_mask is not None:
                added = torch.zeros_like(x)
                added[audio_mask] = deepstack[i].to(x.dtype)
                x = x + added
        out: Tensor = self.norm(x)
        return out

    def step(self, ids: Tensor, cache: KVCache, positions: Tensor, n_seen: int) -> Tensor:
        """Hidden states [B, C] of one new token a row: ids [B] at positions [B], all under `n_seen`."""
        x = self.embed_tokens(ids)[:, None]
        mask = (torch.arange(n_seen, device=x.device)[None, :] <= positions[:, None])[:, None, None, :]
        cos, sin = rotary(positions[:, None], self.config.head_dim, self.config.rope_theta)
        for i, layer in enumerate(cast(Iterable[DecoderLayer], self.layers)):
            x = layer.step(x, cos, sin, cache, i, positions, mask)
        out: Tensor = self.norm(x[:, 0])
        return out
