"""Attention over tokens that lie end to end is the attention of each sequence by itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from training import packed
from training.packed import Attend, layout

N_QUERY, N_KV, WIDTH = 4, 2, 6
BEGINNINGS = [5, 3]
ASKED = [([1, 0], [4, 2]), ([1], [9])]  # which beginning each question is on, and how long it is


@pytest.fixture
def tokens() -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of all tokens and the one of padding."""
    torch.manual_seed(0)
    n_tokens = sum(BEGINNINGS) + sum(sum(lengths) for _, lengths in ASKED) + 1
    shapes = ((n_tokens, heads, WIDTH) for heads in (N_QUERY, N_KV, N_KV))
    q, k, v = (torch.randn(shape).double() for shape in shapes)
    for one in (q, k, v):
        one[-1] = 0.0
        one.requires_grad_()
    return q, k, v


def laid_out() -> packed.Layout:
    asked = [(torch.tensor(clip), torch.tensor(lengths)) for clip, lengths in ASKED]
    return layout(torch.tensor(BEGINNINGS), asked).in_type(torch.float64)


def one_by_one(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The same of the library's attention, a sequence at a time."""
    starts = [0, BEGINNINGS[0]]
    whole = [torch.arange(a, a + n) for a, n in zip(starts, BEGINNINGS, strict=True)]
    out, at = torch.zeros_like(q), sum(BEGINNINGS)
    sequences = [(places, places) for places in whole]
    for clips, lengths in ASKED:
        for clip, n in zip(clips, lengths, strict=True):
            own = torch.arange(at, at + n)
            sequences.append((own, torch.cat([whole[clip], own])))
            at += n
    for own, seen in sequences:
        mask = seen[None, :] <= own[:, None]
        rows = (one[None].transpose(1, 2) for one in (q[own], k[seen], v[seen]))
        found = F.scaled_dot_product_attention(*rows, attn_mask=mask, enable_gqa=True)
        out = out.index_copy(0, own, found[0].transpose(0, 1))
    return out


@pytest.mark.parametrize("block", [3, 128])
def test_tokens_see_what_they_would_see_alone(
    tokens: tuple[Tensor, Tensor, Tensor], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed, "BLOCK", block)
    out, expected = Attend.apply(*tokens, laid_out()), one_by_one(*tokens)
    assert torch.allclose(out, expected)
    weights = torch.randn_like(out)
    weights[-1] = 0.0
    given = torch.autograd.grad((out * weights).sum(), tokens)
    wanted = torch.autograd.grad((expected * weights).sum(), tokens)
    assert all(torch.allclose(one, other) for one, other in zip(given, wanted, strict=True))


def test_positions_go_on_from_the_beginning_that_a_question_is_on() -> None:
    positions = laid_out().positions.tolist()
    assert positions == [*range(5), *range(3), *range(3, 7), *range(5, 7), *range(3, 12), 0]
