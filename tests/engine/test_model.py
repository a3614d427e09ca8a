"""One forward pass for whole prompts, for parts of them, and for single tokens."""

from __future__ import annotations

import pytest
import torch
from decoding_requests import asked, heard

from moss_cli.engine.cache import BUCKET, CacheRows, KVCache, bucket
from moss_cli.engine.engine import Engine
from moss_cli.engine.model import Prompt, Tokens
from moss_cli.engine.prefill import PADDING, PREFILL_TOKENS, prefill_groups, prompt_tokens
from moss_cli.engine.row import DecodeRequest, Row


def cache_of(engine: Engine, n_slots: int, n_positions: int) -> KVCache:
    return KVCache(engine.model.config.language, n_slots, n_positions, device=torch.device("cpu"), dtype=torch.float32)


@pytest.mark.parametrize("cuts", [[], [1], [20], [7, 8, 30], list(range(1, 40))])
@torch.inference_mode()
def test_a_prompt_in_parts_gives_what_it_gives_as_a_whole(engine: Engine, cuts: list[int]) -> None:
    ids = asked(engine, "word " * 40).prompt.ids
    expected = engine.model(prompt_tokens([asked(engine, "word " * 40).prompt], torch.device("cpu")))
    cache = cache_of(engine, 3, len(ids))
    for start, end in zip([0, *cuts], [*cuts, len(ids)], strict=True):
        positions = torch.arange(start, end)[None]
        tokens = Tokens(ids[None, start:end], torch.tensor([end - start - 1]))
        logits = engine.model(tokens, CacheRows(cache, 1, positions, end))
    assert torch.allclose(logits, expected, atol=1e-4)


@torch.inference_mode()
def test_rows_in_one_pass_may_start_at_positions_of_their_own(engine: Engine) -> None:
    prompts = [asked(engine, text).prompt for text in ("word " * 9, "some other words " * 5)]
    expected = torch.cat([engine.model(prompt_tokens([p], torch.device("cpu"))) for p in prompts])
    cache = cache_of(engine, 2, 99)
    for slot, prompt in enumerate(prompts):
        n = len(prompt.ids) - 3
        tokens = Tokens(prompt.ids[None, :n], torch.tensor([n - 1]))
        engine.model(tokens, CacheRows(cache, slot, torch.arange(n)[None]))
    ends = torch.tensor([len(prompt.ids) for prompt in prompts])
    positions = ends[:, None] - 3 + torch.arange(3)
    ids = torch.stack([prompt.ids[-3:] for prompt in prompts])
    logits = engine.model(Tokens(ids, torch.tensor([2, 2])), CacheRows(cache, 0, positions, int(ends.max())))
    assert torch.allclose(logits, expected, atol=1e-4)


@torch.inference_mode()
def test_prompts_padded_together_give_what_they_give_alone(engine: Engine) -> None:
    prompts = [heard(engine, 1.3).prompt, asked(engine, "x").prompt, heard(engine, 5.0).prompt]
    expected = torch.cat([engine.model(prompt_tokens([p], torch.device("cpu"))) for p in prompts])
    assert torch.allclose(engine.model(prompt_tokens(prompts, torch.device("cpu"))), expected, atol=1e-4)


@torch.inference_mode()
def test_a_cache_keeps_its_rows_when_it_is_resized(engine: Engine) -> None:
    cache = cache_of(engine, 2, 5)
    for tensor in (*cache.keys, *cache.values):
        tensor.copy_(torch.randn(tensor.shape))
    before = [tensor.clone() for tensor in (*cache.keys, *cache.values)]
    cache.resize(4, BUCKET + 1)
    assert (cache.n_slots, cache.n_positions, len(cache.cos)) == (4, 2 * BUCKET, 2 * BUCKET)
    for old, new in zip(before, (*cache.keys, *cache.values), strict=True):
        assert torch.equal(new[:2, :, :BUCKET], old)
        assert not new[2:].any() and not new[:, :, BUCKET:].any()
    cache.resize(1, 5)
    for old, new in zip(before, (*cache.keys, *cache.values), strict=True):
        assert torch.equal(new, old[:1])


@pytest.mark.parametrize(("n", "expected"), [(1, BUCKET), (BUCKET, BUCKET), (BUCKET + 1, 2 * BUCKET)])
def test_lengths_are_whole_buckets(n: int, expected: int) -> None:
    assert bucket(n) == expected


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([10, 10, 10], [[10, 10, 10]]),
        ([10, 15], [[10, 15]]),  # 5 of 30 are padding
        ([10, 20], [[10, 20]]),  # 10 of 40: just a quarter
        ([10, 21], [[10], [21]]),
        ([21, 10, 20], [[10, 20, 21]]),  # 12 of 63
        ([21, 10], [[10], [21]]),
        ([PREFILL_TOKENS], [[PREFILL_TOKENS]]),
        ([PREFILL_TOKENS // 2] * 3, [[PREFILL_TOKENS // 2] * 2, [PREFILL_TOKENS // 2]]),
    ],
)
def test_prompts_of_like_lengths_are_prefilled_together(lengths: list[int], expected: list[list[int]]) -> None:
    prompts = [Prompt(torch.zeros(n, dtype=torch.long), torch.zeros(n, dtype=torch.bool)) for n in lengths]
    rows = [Row(i, DecodeRequest(prompt, 9), frozenset()) for i, prompt in enumerate(prompts)]
    assert PADDING == 0.25
    assert [[row.n_positions for row in group] for group in prefill_groups(rows)] == expected
