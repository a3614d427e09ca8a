"""Attention over tokens that lie end to end, with nothing between them, as the layers' matrices like them best.

The clips' beginnings come first, then the questions on them, then one token of zeros: what padding points at. Only to
attend are they laid side by side, in groups of like lengths. The products are made one by one, in the type of the
values: on processors, for heads so small, that is three times as quick as the fused attention with its backward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

BLOCK = 128  # queries at once: those before the last ones need not look at what comes later


@dataclass(frozen=True)
class Group:
    """N sequences padded on the right to L queries and S keys; padding has the place of the last token.

    `bias` is 0 where a query may look and -inf elsewhere. The first S - L keys are of the beginning of a clip: that of
    row i is beginning `clip[i]`; without one there are none."""

    own: Tensor  # [N, L]
    seen: Tensor  # [N, S]
    bias: Tensor  # [N, L, S]
    clip: Tensor | None  # [N]


@dataclass(frozen=True)
class Layout:
    """Where T tokens stand in the groups. `inverse` [T]: of each token its place among all the groups' queries."""

    groups: tuple[Group, ...]  # the first has the beginnings
    inverse: Tensor
    positions: Tensor  # [T]: in the sequence that each token belongs to

    def in_type(self, dtype: torch.dtype) -> Layout:
        """The same for queries of another type."""
        return replace(self, groups=tuple(replace(one, bias=one.bias.to(dtype)) for one in self.groups))


def layout(lengths: Tensor, asked: Sequence[tuple[Tensor, Tensor]]) -> Layout:
    """Of beginnings with `lengths` [B] and then, for each (clip [N], lengths [N]) of `asked`, N questions on them."""
    n_tokens = int(lengths.sum()) + sum(int(n.sum()) for _, n in asked)
    beginnings, at = _places(lengths, 0, n_tokens)
    groups = [Group(beginnings, beginnings, _causal(lengths, beginnings.shape[1], 0, None), None)]
    positions = [_counted(lengths, torch.zeros_like(lengths))]
    for clip, n_own in asked:
        own, at = _places(n_own, at, n_tokens)
        bias = _causal(n_own, own.shape[1], beginnings.shape[1], lengths[clip])
        groups.append(Group(own, torch.cat([beginnings[clip], own], dim=1), bias, clip))
        positions.append(_counted(n_own, lengths[clip]))
    places = torch.cat([group.own.flatten() for group in groups])
    inverse = torch.empty(n_tokens + 1, dtype=torch.long)
    inverse[places] = torch.arange(len(places))
    inverse[n_tokens] = len(places)
    return Layout(tuple(groups), inverse, torch.cat([*positions, torch.zeros(1, dtype=torch.long)]))


def _places(lengths: Tensor, first: int, padding: int) -> tuple[Tensor, int]:
    """[N, L] places of tokens that lie end to end from `first` on, and the place after the last."""
    within = torch.arange(int(lengths.max()))[None, :]
    starts = first + lengths.cumsum(0) - lengths
    return torch.where(within < lengths[:, None], starts[:, None] + within, padding), first + int(lengths.sum())


def _counted(lengths: Tensor, starts: Tensor) -> Tensor:
    return torch.cat([torch.arange(int(a), int(a + n)) for n, a in zip(lengths, starts, strict=True)])


def _causal(lengths: Tensor, n_own: int, n_before: int, before: Tensor | None) -> Tensor:
    own = torch.ones(n_own, n_own, dtype=torch.bool).tril().expand(len(lengths), -1, -1)
    if before is not None:
        theirs = torch.arange(n_before)[None, :] < before[:, None]
        own = torch.cat([theirs[:, None].expand(-1, n_own, -1), own], dim=2)
    return torch.zeros(own.shape).masked_fill(~own, -torch.inf)


class Attend(torch.autograd.Function):
    """q [T, H, D], k and v [T, K, D] to [T, H, D]: what each token makes of those it may look at."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, laid: Layout) -> Tensor:
        scale, n_kv = q.shape[2] ** -0.5, k.shape[1]
        outs, chances = [], []
        for group in laid.groups:
            queries, keys, values = _gathered(q * scale, k, v, group)
            out = torch.empty_like(queries)
            for a, b, n_seen in _blocks(group):
                scores = queries[:, :, :, a:b].flatten(2, 3) @ keys[:, :, :n_seen].transpose(-1, -2)
                scores = scores.view(*scores.shape[:2], -1, b - a, n_seen).add_(group.bias[:, None, None, a:b, :n_seen])
                share = scores.softmax(-1)
                weighed = share.flatten(2, 3) @ values[:, :, :n_seen]
                out[:, :, :, a:b] = weighed.view(*weighed.shape[:2], -1, b - a, weighed.shape[-1])
                chances.append(share)
            outs.append(_joined(out))
        ctx.save_for_backward(q, k, v, *chances)
        ctx.laid, ctx.n_kv = laid, n_kv
        return _packed(outs, laid)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        q, k, v, *chances = ctx.saved_tensors
        laid: Layout = ctx.laid
        scale, rest = q.shape[2] ** -0.5, iter(chances)
        d_queries, d_keys, d_values = [], [], []
        for group in laid.groups:
            queries, keys, values = _gathered(q * scale, k, v, group)
            d_out = _rows(grad, group.own, ctx.n_kv)
            d_q, d_k, d_v = torch.empty_like(queries), torch.zeros_like(keys), torch.zeros_like(values)
            for a, b, n_seen in _blocks(group):
                share, block = next(rest), d_out[:, :, :, a:b].flatten(2, 3)
                flat = share.flatten(2, 3)
                d_v[:, :, :n_seen] += flat.transpose(-1, -2) @ block
                d_share = block @ values[:, :, :n_seen].transpose(-1, -2)
                d_scores = torch._softmax_backward_data(d_share, flat, -1, flat.dtype)
                d_q[:, :, :, a:b] = (d_scores @ keys[:, :, :n_seen] * scale).unflatten(2, (-1, b - a))
                d_k[:, :, :n_seen] += d_scores.transpose(-1, -2) @ queries[:, :, :, a:b].flatten(2, 3)
            d_queries.append(_joined(d_q))
            d_keys.append(d_k)
            d_values.append(d_v)
        return _packed(d_queries, laid), _of_keys(d_keys, laid), _of_keys(d_values, laid), None


def _blocks(group: Group) -> list[tuple[int, int, int]]:
    """From which query to which, and how many keys they can see."""
    n_own, n_seen = group.own.shape[1], group.seen.shape[1]
    ends = [min(a + BLOCK, n_own) for a in range(0, n_own, BLOCK)]
    return [(a, b, n_seen - n_own + b) for a, b in zip(range(0, n_own, BLOCK), ends, strict=True)]


def _gathered(q: Tensor, k: Tensor, v: Tensor, group: Group) -> tuple[Tensor, Tensor, Tensor]:
    """Queries [N, K, H/K, L, D], keys and values [N, K, S, D] of a group."""
    n_kv = k.shape[1]
    return _rows(q, group.own, n_kv), _rows(k, group.seen, n_kv).squeeze(2), _rows(v, group.seen, n_kv).squeeze(2)


def _rows(tokens: Tensor, places: Tensor, n_kv: int) -> Tensor:
    """[T, H, D] to [N, K, H/K, L, D]."""
    rows = tokens.index_select(0, places.flatten()).view(*places.shape, n_kv, -1, tokens.shape[2])
    return rows.permute(0, 2, 3, 1, 4).contiguous()


def _joined(rows: Tensor) -> Tensor:
    """[N, K, G, L, D] to [N * L, K * G, D]."""
    return rows.permute(0, 3, 1, 2, 4).reshape(-1, rows.shape[1] * rows.shape[2], rows.shape[4])


def _packed(parts: Sequence[Tensor], laid: Layout) -> Tensor:
    return torch.cat([*parts, torch.zeros_like(parts[0][:1])]).index_select(0, laid.inverse)


def _of_keys(parts: Sequence[Tensor], laid: Layout) -> Tensor:
    """Gradients [N, K, S, D] of each group's keys as one [T, K, D]: a beginning has those of all questions on it."""
    beginnings, *others = parts
    total, own = beginnings.float(), []
    for part, group in zip(others, laid.groups[1:], strict=True):
        n_before = total.shape[2]
        assert group.clip is not None
        asks = torch.nn.functional.one_hot(group.clip, len(total)).T.to(part.dtype)  # [B, N]
        total = total + (asks @ part[:, :, :n_before].flatten(1)).view(total.shape)
        own.append(part[:, :, n_before:])
    rows = [part.transpose(1, 2).flatten(0, 1) for part in (total.to(beginnings.dtype), *own)]
    return _packed(rows, laid)
