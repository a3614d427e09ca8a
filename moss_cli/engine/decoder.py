"""The Qwen3 decoder. Names are the checkpoint's.

Shapes: B rows, S positions, C hidden size, H query heads, K key/value heads, D head_dim.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moss_cli.engine.adapter import GatedMLP
from moss_cli.engine.cache import CacheRows
from moss_cli.engine.config import LanguageConfig
from moss_cli.engine.rotary import rotary, rotate


class RMSNorm(nn.Module):
    """Root-mean-square norm, computed in float32."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


class Attention(nn.Module):
    """Grouped-query attention with RMSNorm on each head's queries and keys."""

    merged: ClassVar = {"qkv_proj": ("q_proj", "k_proj", "v_proj")}

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.n_heads, self.n_kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_dim = config.head_dim
        n_query, n_kv = self.n_heads * self.head_dim, self.n_kv_heads * self.head_dim
        self.q_proj = nn.Linear(config.hidden_size, n_query, bias=False)
        self.k_proj = nn.Linear(config.hidden_size, n_kv, bias=False)
        self.v_proj = nn.Linear(config.hidden_size, n_kv, bias=False)
        self.o_proj = nn.Linear(n_query, config.hidden_size, bias=False)
        self.q_norm = RMSNorm(self.head_dim, config.rms_norm_eps)
        self.k_norm = RMSNorm(self.head_dim, config.rms_norm_eps)
        self.qkv_proj: nn.Module | None = None

    def project(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[B, S, C] to rotated queries [B, S, H, D], rotated keys and values [B, S, K, D]."""
        if self.qkv_proj is None:
            qkv: Tensor = torch.cat([self.q_proj(x), self.k_proj(x), self.v_proj(x)], dim=-1)
        else:
            qkv = self.qkv_proj(x)
        n_rotated = self.n_heads + self.n_kv_heads
        heads: Tensor = qkv.unflatten(-1, (n_rotated + self.n_kv_heads, self.head_dim))  # type: ignore[no-untyped-call]
        # Queries and keys are normed and rotated in one go, each with the weight of its kind.
        normed = F.rms_norm(heads[..., :n_rotated, :], (self.head_dim,), None, self.q_norm.eps) * self.norm_weights()
        rotated = rotate(normed, cos, sin)
        return rotated[..., : self.n_heads, :], rotated[..., self.n_heads :, :], heads[..., n_rotated:, :]

    def norm_weights(self) -> Tensor:
        """[H + K, D]: the weight by which each head is multiplied."""
        of_queries, of_keys = self.q_norm.weight, self.k_norm.weight
        return torch.cat([of_queries.expand(self.n_heads, -1), of_keys.expand(self.n_kv_heads, -1)])

    def merge(self, out: Tensor) -> Tensor:
        """[B, S, H, D] to [B, S, C]."""
        merged: Tensor = self.o_proj(out.flatten(-2))
        return merged

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, layer: int, past: CacheRows | None = None) -> Tensor:
        """[B, S, C] to the same; the new keys and values are stored in `past`.

        cos, sin: [B or 1, S, 1, D]. Attention among whole prompts from position 0 is causal, which also keeps real
        tokens from seeing padding on their right.
        """
        q, k, v = self.project(x, cos, sin)
        if past is None or past.n_seen is None:
            q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)  # [B, H or K, S, D]
            if past is not None:
                past.store_prompts(layer, k, v)
            out = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
            return self.merge(out.transpose(1, 2))
        keys, values = past.store(layer, k, v)
        # The query heads of a group stand in the place of positions, so that keys are not repeated for each of them.
        n_rows, n_new, n_groups = len(q), q.shape[1], self.n_heads // self.n_kv_heads
        grouped = q.transpose(1, 2).reshape(n_rows, self.n_kv_heads, n_groups * n_new, self.head_dim)
        mask = None if past.unseen is None else past.unseen.repeat(1, 1, n_groups, 1)
        out = F.scaled_dot_product_attention(grouped, keys, values, attn_mask=mask)
        return self.merge(out.view(n_rows, self.n_heads, n_new, self.head_dim).transpose(1, 2))


class DecoderLayer(nn.Module):
    """A pre-norm layer."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.self_attn = Attention(config)
        self.mlp = GatedMLP(config.hidden_size, config.intermediate_size, config.hidden_size)
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, layer: int, past: CacheRows | None = None) -> Tensor:
        """[B, S, C] to the same; see `Attention.forward`."""
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, layer, past)
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

    def forward(
        self,
        x: Tensor,
        past: CacheRows | None = None,
        deepstack: Sequence[Tensor] = (),
        audio_mask: Tensor | None = None,
    ) -> Tensor:
        """Hidden states [B, S, C] of x [B, S, C], S >= 1 positions a row, padded on the right.

        past: where the rows' keys and values lie, and which positions x has; without it, positions count from 0 and
        nothing is stored. deepstack: for each of the first layers, features [n, C] that are added after it at the n
        True places of audio_mask [B, S], row by row.
        """
        cos, sin = (past.cos, past.sin) if past is not None else self._angles(x)
        for i, layer in enumerate(self.layers):
            x = layer(x, cos, sin, i, past)
            if i < len(deepstack) and audio_mask is not None:
                added = torch.zeros_like(x)
                added[audio_mask] = deepstack[i].to(x.dtype)
                x = x + added
        out: Tensor = self.norm(x)
        return out

    def _angles(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines of positions from 0 on, [1, S, 1, D] each, in the dtype of x."""
        positions = torch.arange(x.shape[1], device=x.device)
        cos, sin = rotary(positions, self.config.head_dim, self.config.rope_theta)
        return cos[None, :, None].to(x.dtype), sin[None, :, None].to(x.dtype)
