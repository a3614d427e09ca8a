"""Choosing: the likeliest token, draws that follow the probabilities, and nothing that a grammar forbids."""

from __future__ import annotations

import json
from collections import Counter

import pytest
import torch
from decoding_requests import MOOD, WORDS, asked, finish, generations
from hypothesis import given
from hypothesis import strategies as st

from moss_cli.answers import Form, Grammar, Sampling
from moss_cli.engine.choose import allowed_bits, choose, sample, unpacked
from moss_cli.engine.decoding import Decoding
from moss_cli.engine.engine import Engine
from moss_cli.engine.model import Prompt
from moss_cli.engine.row import DecodeRequest, Row, Thought

LOGITS = torch.tensor([0.5, 0.3, 0.2]).log()


def row(sampling: Sampling | None = None, seed: int = 0, **options: object) -> Row:
    prompt = Prompt(torch.tensor([1]), torch.tensor([False]))
    return Row(0, DecodeRequest(prompt, 9, sampling or Sampling(), seed, **options), frozenset())  # type: ignore[arg-type]


def drawn(sampling: Sampling, n: int, seed: int = 0) -> list[int]:
    draws = torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    tokens: list[int] = sample(LOGITS.expand(n, -1), sampling, draws).tolist()
    return tokens


def test_greedy_takes_the_likeliest() -> None:
    assert choose(torch.tensor([[0.1, 3.0, 2.9], [4.0, 3.0, 2.9]]), [row(), row()]) == [1, 0]


def test_draws_follow_the_probabilities() -> None:
    counts = Counter(drawn(Sampling(temperature=1.0), 4000, seed=7))
    assert [round(counts[i] / 4000, 1) for i in range(3)] == [0.5, 0.3, 0.2]


def test_a_draw_is_the_inverse_of_the_cumulative_sum() -> None:
    draws = torch.tensor([0.0, 0.49, 0.51, 0.79, 0.81, 1.0 - 2**-53], dtype=torch.float64)
    assert sample(LOGITS.expand(6, -1), Sampling(1.0), draws).tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("sampling", "allowed"),
    [
        (Sampling(1.0, top_k=2), {0, 1}),
        (Sampling(1.0, top_p=0.5), {0}),
        (Sampling(1.0, top_p=0.51), {0, 1}),
        (Sampling(1.0, top_p=0.0), {0}),
        (Sampling(1.0, top_k=99), {0, 1, 2}),
        (Sampling(0.01), {0}),
    ],
)
def test_what_top_k_and_top_p_cut_off_is_never_drawn(sampling: Sampling, allowed: set[int]) -> None:
    assert set(drawn(sampling, 300, seed=3)) == allowed


@given(
    st.lists(
        st.tuples(
            st.sampled_from([Sampling(), Sampling(1.0), Sampling(1.0, 0.7), Sampling(0.7, 1.0, 3)]), st.integers(0, 9)
        ),
        min_size=1,
        max_size=8,
    ),
    st.integers(0, 2**32),
)
def test_a_rows_token_does_not_depend_on_the_others(kinds: list[tuple[Sampling, int]], seed: int) -> None:
    logits = torch.randn(len(kinds), 40, generator=torch.Generator().manual_seed(seed))
    alone = [choose(logits[i : i + 1].clone(), [row(*kind)])[0] for i, kind in enumerate(kinds)]
    assert choose(logits.clone(), [row(*kind) for kind in kinds]) == alone


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4), st.integers(0, 31))
def test_bits_are_unpacked_in_the_order_of_the_tokens(words: list[int], missing: int) -> None:
    bits = torch.tensor([word - 2**32 if word >= 2**31 else word for word in words], dtype=torch.int32)[None]
    n = 32 * len(words) - missing
    assert unpacked(bits, n).tolist() == [[bool(words[i // 32] >> i % 32 & 1) for i in range(n)]]


def allowed(engine: Engine, form: Form, text: str) -> bool:
    """Whether every token of `text` is allowed, one after the other."""
    matcher, size = engine.grammars.matcher(form), engine.model.config.language.vocab_size
    for token in engine.tokenizer.encode(text):
        if not unpacked(allowed_bits([matcher], size), size)[0, token]:
            return False
        assert matcher.consume_token(token)
    return bool(matcher.is_accepting())


def test_every_row_has_the_mask_of_its_own_grammar(engine: Engine) -> None:
    size = engine.model.config.language.vocab_size
    matchers = [engine.grammars.matcher(form) for form in (MOOD, WORDS, MOOD)]
    matchers[2].consume_tokens(engine.tokenizer.encode('{"mood": "calm'))
    together = allowed_bits(matchers, size)
    assert together.shape == (3, -(-size // 32)) and together.dtype == torch.int32
    for i, matcher in enumerate(matchers):
        assert torch.equal(together[i], allowed_bits([matcher], size)[0])
    assert allowed(engine, MOOD, '{"mood": "calm", "tempo": null}')


def test_a_forbidden_token_is_not_chosen_however_likely_and_free_rows_are_not_masked(engine: Engine) -> None:
    size = engine.model.config.language.vocab_size
    brace, word = engine.tokenizer.encode("{")[0], engine.tokenizer.encode("word")[0]
    logits = torch.zeros(2, size)
    logits[:, word], logits[:, brace] = 9.0, 1.0
    bound, free = row(matcher=engine.grammars.matcher(Grammar('start: "{" "a"'))), row()
    assert choose(logits.clone(), [bound, free]) == [brace, word]
    assert choose(logits.clone(), [free, bound]) == [word, brace]
    assert choose(logits[:1].clone(), [bound]) == [brace]


def test_a_thought_may_begin_beside_what_the_grammar_allows_but_only_where_one_may(engine: Engine) -> None:
    special, size = engine.tokenizer.special, engine.model.config.language.vocab_size
    think, end = special["<think>"], special["</think>"]
    logits = torch.zeros(1, size)
    logits[0, think] = 9.0
    form = Grammar('start: "yes"')
    thinker = row(matcher=engine.grammars.matcher(form), thought=Thought(think, end))
    assert choose(logits.clone(), [thinker]) == [think]
    assert choose(logits.clone(), [row(matcher=engine.grammars.matcher(form))]) != [think]
    thinker.take(think)
    assert choose(logits.clone(), [thinker]) == [think]  # inside a thought all is free
    thinker.take(end)
    assert choose(logits.clone(), [thinker]) != [think]


def test_random_weights_answer_in_the_form_of_each_rows_own_grammar(engine: Engine) -> None:
    forms = [MOOD, WORDS, None]
    requests = [asked(engine, "Say something.", 40, form=form, seed=seed) for seed in range(6) for form in forms]
    decoding = Decoding(engine.model, engine.stop_ids, n_slots=len(requests))
    tickets = [decoding.submit(request) for request in requests]
    done = generations(finish(decoding))
    answers = [done[ticket] for ticket in tickets]
    for answer in answers[::3]:
        assert answer.finish_reason == "stop"
        assert set(json.loads(engine.text(answer.ids))) == {"mood", "tempo"}
    for answer in answers[1::3]:
        assert answer.finish_reason == "length"
        assert set(engine.text(answer.ids)) <= set("abcdefghijklmnopqrstuvwxyz ")
