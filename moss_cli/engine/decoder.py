"""The Qwen3 decoder. Names are the checkpoint's.

Shapes: B rows, S positions, C hidden size, H query heads, K key/value heads, D head_dim.
"""

from __future__ import annotations

from collections.abc import Sequence

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
        wide = x.float()
        normed = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * normed.to(x.dtype)


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

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, layer: int, past: CacheRows | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """[B, S, C] to the same; the new keys and values are stored in `past`.

        mask: [B, 1, S, N], True where one of S new positions sees one of N stored ones. None for whole prompts from
        position 0: attention is causal, which also keeps real tokens from seeing padding on their right.
        """
        q, k, v = self.project(x, cos, sin)
        if past is not None:
            k, v = past.update(layer, k, v)
        if mask is None:
            return self.merge(F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True))
        # The query heads of a group stand in the place of positions, so that keys are not repeated for each of them.
        n_kv_heads, head_dim = self.kv_heads
        grouped = q.reshape(len(q), n_kv_heads, -1, head_dim)  # [B, K, H/K * S, D]
        mask = mask if q.shape[2] == 1 else mask.repeat(1, 1, self.heads[0] // n_kv_heads, 1)
        out = F.scaled_dot_product_attention(grouped, k, v, attn_mask=mask)
        return self.merge(out.reshape(q.shape))


class DecoderLayer(nn.Module):
    """A pre-norm layer."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.self_attn = Attention(config)
        self.mlp = GatedMLP(config.hidden_size, config.intermediate_size, config.hidden_size)
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, layer: int, past: CacheRows | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """[B, S, C] to the same; see `Attention.forward`."""
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, layer, past, mask)
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
        cos, sin = self._angles(x, past)
        mask = _seen(past)
        for i, layer in enumerate(self.layers):
            x = layer(x, cos, sin, i, past, mask)
            if i < len(deepstack) and audio_mask is not None:
                added = torch.zeros_like(x)
                added[audio_mask] = deepstack[i].to(x.dtype)
                x = x + added
        out: Tensor = self.norm(x)
        return out

    def _angles(self, x: Tensor, past: CacheRows | None) -> tuple[Tensor, Tensor]:
        if past is not None:
            return past.cache.cos[past.positions], past.cache.sin[past.positions]
        positions = torch.arange(x.shape[1], device=x.device)
        return rotary(positions, self.config.head_dim, self.config.rope_theta)


def _seen(past: CacheRows | None) -> Tensor | None:
    """[B, 1, S, n_seen]: a new position sees what stands before it, and itself."""
    if past is None or past.n_seen is None:
        return None
    stored = torch.arange(past.n_seen, device=past.positions.device)
    return (stored <= past.positions[:, :, None])[:, None]
