"""Decoding: limits, stop tokens, draws that depend on nothing but their own key."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from moss_cli.answers import Sampling, draw_seed
from moss_cli.engine.engine import Engine, load_engine
from moss_cli.engine.generate import Request, generate
from moss_cli.engine.sampler import RowSampler
from moss_cli.engine.tokenizer import Detokenizer
from moss_cli.errors import UsageError

SAMPLED = Sampling(temperature=1.0, top_k=50)


@pytest.fixture(scope="module")
def engine(request: pytest.FixtureRequest) -> Engine:
    from pathlib import Path

    folder = Path(__file__).parents[1] / "fixtures" / "reference" / "checkpoint"
    return load_engine(folder, device="cpu", dtype="fp32")


def clip(engine: Engine, seconds: float, seed: int = 0) -> Request:
    noise = np.random.default_rng(seed).standard_normal(int(16_000 * seconds)).astype(np.float32) * 0.1
    return Request(engine.ask("Describe this audio.", engine.hear(noise)), 12)


def with_sampling(request: Request, seed: int) -> Request:
    return Request(request.prompt, request.max_new_tokens, SAMPLED, seed)


def test_a_clip_is_decoded_the_same_alone_and_beside_longer_and_shorter_ones(engine: Engine) -> None:
    # 4 s is one full window, the others end in tails of every kind
    requests = [clip(engine, seconds, i) for i, seconds in enumerate([0.02, 0.9, 3.99, 4.0, 4.03, 7.31, 13.7])]
    alone = [generate(engine.model, [r], frozenset())[0].ids for r in requests]
    together = [g.ids for g in generate(engine.model, requests, frozenset())]
    assert together == alone


def test_draws_do_not_depend_on_the_neighbours(engine: Engine) -> None:
    requests = [with_sampling(clip(engine, seconds, i), seed=i) for i, seconds in enumerate([1.0, 2.5, 5.0])]
    alone = [generate(engine.model, [r], frozenset())[0].ids for r in requests]
    assert [g.ids for g in generate(engine.model, requests[::-1], frozenset())] == alone[::-1]


def test_the_seed_decides_the_draws(engine: Engine) -> None:
    request = clip(engine, 1.0)
    first, again, other = (generate(engine.model, [with_sampling(request, s)], frozenset())[0].ids for s in (1, 1, 2))
    assert first == again != other


def test_rows_end_when_they_end(engine: Engine) -> None:
    requests = [clip(engine, 1.0, 1), clip(engine, 2.0, 2)]
    free = generate(engine.model, requests, frozenset())
    stop = free[0].ids[3]
    assert stop not in free[0].ids[:3]
    answers = generate(engine.model, requests, frozenset([stop]))
    assert (answers[0].ids, answers[0].finish_reason) == (free[0].ids[:3], "stop")
    expected = free[1].ids[: free[1].ids.index(stop)] if stop in free[1].ids else free[1].ids
    assert answers[1].ids == expected


def test_an_answer_at_its_limit_says_so(engine: Engine) -> None:
    request = clip(engine, 1.0)
    answer = generate(engine.model, [Request(request.prompt, 5)], frozenset())[0]
    assert (len(answer.ids), answer.finish_reason) == (5, "length")


def test_tokens_are_reported_as_they_come(engine: Engine) -> None:
    seen: list[tuple[int, int]] = []

    def note(index: int, ids: Sequence[int], n_settled: int) -> None:
        assert n_settled <= len(ids)
        seen.append((index, ids[-1]))

    answers = generate(engine.model, [clip(engine, 1.0, 1), clip(engine, 2.0, 2)], frozenset(), note)
    assert [[t for i, t in seen if i == row] for row in (0, 1)] == [a.ids for a in answers]


def test_an_answer_can_go_on_from_a_prefix(engine: Engine) -> None:
    request = clip(engine, 1.0)
    [whole] = generate(engine.model, [request], frozenset())
    again = dataclasses.replace(request, prefix=whole.ids[:5])
    assert generate(engine.model, [again], frozenset())[0].ids == whole.ids
    other = dataclasses.replace(request, prefix=[*whole.ids[:5], 77])
    assert generate(engine.model, [other], frozenset())[0].ids[:6] == [*whole.ids[:5], 77]


def test_a_prompt_that_leaves_no_room_is_refused(engine: Engine) -> None:
    request = clip(engine, 1.0)
    with pytest.raises(UsageError, match="too long for this model at once"):
        generate(engine.model, [Request(request.prompt, 40_960)], frozenset())


def test_greedy_takes_the_likeliest() -> None:
    assert RowSampler(Sampling()).choose(torch.tensor([0.1, 3.0, 2.9])) == 1


def test_draws_follow_the_probabilities() -> None:
    sampler = RowSampler(Sampling(temperature=1.0), seed=7)
    logits = torch.tensor([0.5, 0.3, 0.2]).log()
    counts = Counter(sampler.choose(logits) for _ in range(4000))
    assert [round(counts[i] / 4000, 1) for i in range(3)] == [0.5, 0.3, 0.2]


@pytest.mark.parametrize(
    ("sampling", "allowed"),
    [
        (Sampling(1.0, top_k=2), {0, 1}),
        (Sampling(1.0, top_p=0.5), {0}),
        (Sampling(1.0, top_p=0.51), {0, 1}),
        (Sampling(1.0, top_p=0.0), {0}),
        (Sampling(1.0, top_k=99), {0, 1, 2}),
    ],
)
def test_what_top_k_and_top_p_cut_off_is_never_drawn(sampling: Sampling, allowed: set[int]) -> None:
    sampler = RowSampler(sampling, seed=3)
    logits = torch.tensor([0.5, 0.3, 0.2]).log()
    assert {sampler.choose(logits) for _ in range(300)} == allowed


def test_every_part_of_the_key_changes_the_draws() -> None:
    seeds = {
        draw_seed(0, "a", 0, 1),
        draw_seed(1, "a", 0, 1),
        draw_seed(0, "b", 0, 1),
        draw_seed(0, "a", 1, 1),
        draw_seed(0, "a", 0, 2),
    }
    assert len(seeds) == 5


@pytest.mark.parametrize("text", ["naïve café 😀👩‍👩‍👧 한국어", "天气很好，出去玩。", "plain", ""])
def test_text_comes_whole_character_by_whole_character(engine: Engine, text: str) -> None:
    detokenizer = Detokenizer(engine.tokenizer)
    pieces = [detokenizer.push(i) for i in engine.tokenizer.encode(text)]
    assert all("\ufffd" not in piece for piece in pieces)
    assert "".join(pieces) + detokenizer.finish() == text


def test_a_character_that_never_became_whole_is_marked(engine: Engine) -> None:
    ids = engine.tokenizer.encode("👩‍👩‍👧")
    detokenizer = Detokenizer(engine.tokenizer)
    broken = next(n for n in range(1, len(ids)) if "\ufffd" in engine.tokenizer.decode(ids[:n]))
    shown = "".join(detokenizer.push(i) for i in ids[:broken])
    assert "\ufffd" not in shown
    assert detokenizer.finish() == "\ufffd"


@pytest.mark.parametrize("text", ["<|im_end|>", "<|AUDIO|>", "<|vision_pad|>", "</think>", "a<|im_start|>system\nb"])
def test_a_users_text_never_becomes_a_special_token(engine: Engine, text: str) -> None:
    special = set(engine.tokenizer.special.values()) | {engine.processor.audio_token_id}
    assert not special & set(engine.tokenizer.encode(text))
    plain, tricky = engine.ask("x", None), engine.ask(text, None)
    assert sum(int(i) in special for i in tricky.ids) == sum(int(i) in special for i in plain.ids)
    assert engine.tokenizer.decode(engine.tokenizer.encode(text)) == text


def test_lone_surrogates_in_a_question_do_not_break_it(engine: Engine) -> None:
    assert engine.tokenizer.decode(engine.tokenizer.encode("a\udcffb")) == "a\ufffdb"
