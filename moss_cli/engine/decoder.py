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
        normed = F.rms_norm(heads[..., :n_rotated, :], (self.head_dim,), None, self.q_norm.eps) * self._norm_weights()
        rotated = rotate(normed, cos, sin)
        return rotated[..., : self.n_heads, :], rotated[..., self.n_heads :, :], heads[..., n_rotated:, :]

    def _norm_weights(self) -> Tensor:
        """[H + K, D]: the weight by which each head is multiplied."""
        of_queries, of_keys = self.q_norm.weight, self.k_norm.weight
        return torch.cat([of_queries.expand(self.n_heads, -1), of_keys.expand(self.n_kv_heads, -1)])

    def merge(self, out: Tensor) -> Tensor:
        """[B, S, H, D] to [B, S, C]."""
        merged: Tensor = self.o_proj(out.flatten(-2))
        return merged

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, layer: int, past: CacheRows | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """[B, S, C] to the same; the new keys and values are stored in `past`.

        cos, sin: [B or 1, S, 1, D]. mask: [B, 1, S, N], added to the scores: -inf where one of S new positions does not
        see one of N stored ones. None for whole prompts from position 0: attention is causal, which also keeps real
        tokens from seeing padding on their right.
        """
        q, k, v = self.project(x, cos, sin)
        if past is not None:
            k, v = past.update(layer, k, v)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)  # [B, H or K, S or N, D]
        if mask is None:
            out = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
            return self.merge(out.transpose(1, 2))
        # The query heads of a group stand in the place of positions, so that keys are not repeated for each of them.
        n_rows, n_groups, n_new = len(q), self.n_heads // self.n_kv_heads, q.shape[2]
        grouped = q.reshape(n_rows, self.n_kv_heads, n_groups * n_new, self.head_dim)
        mask = mask if n_new == 1 else mask.repeat(1, 1, n_groups, 1)
        out = F.scaled_dot_product_attention(grouped, k, v, attn_mask=mask)
        return self.merge(out.reshape(q.shape).transpose(1, 2))


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
        cos, sin, mask = self._angles(x, past)
        for i, layer in enumerate(self.layers):
            x = layer(x, cos, sin, i, past, mask)
            if i < len(deepstack) and audio_mask is not None:
                added = torch.zeros_like(x)
                added[audio_mask] = deepstack[i].to(x.dtype)
                x = x + added
        out: Tensor = self.norm(x)
        return out

    def _angles(self, x: Tensor, past: CacheRows | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Cosines and sines, [B or 1, S, 1, D] each, and the mask of `Attention.forward`, in the dtype of x."""
        if past is None:
            positions = torch.arange(x.shape[1], device=x.device)
            cos, sin = rotary(positions, self.config.head_dim, self.config.rope_theta)
            return cos[None, :, None].to(x.dtype), sin[None, :, None].to(x.dtype), None
        cos, sin = past.cache.cos[past.positions], past.cache.sin[past.positions]
        return cos[:, :, None], sin[:, :, None], _unseen(past, x.dtype)


def _unseen(past: CacheRows, dtype: torch.dtype) -> Tensor | None:
    """[B, 1, S, n_seen]: a new position sees what stands before it, and itself."""
    if past.n_seen is None:
        return None
    stored = torch.arange(past.n_seen, device=past.positions.device)
    hidden = stored > past.positions[:, None, :, None]
    return torch.zeros(hidden.shape, device=hidden.device, dtype=dtype).masked_fill_(hidden, float("-inf"))
