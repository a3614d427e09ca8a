"""Answers keep to their grammar, row by row, and thoughts are free."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from moss_cli.answers import Sampling
from moss_cli.engine.engine import OUT_OF_TIME, Engine, load_engine
from moss_cli.engine.generate import Request, Thought, generate
from moss_cli.engine.grammar import Constraint, json_grammar, mask_logits
from moss_cli.engine.loops import LONGEST_PERIOD, LoopWatch, is_loop, without_loop
from moss_cli.tasks.transcribe import SEGMENTS_GRAMMAR

SCHEMA = {
    "type": "object",
    "properties": {"mood": {"enum": ["calm", "tense"]}, "tempo": {"type": ["integer", "null"]}},
    "required": ["mood", "tempo"],
    "additionalProperties": False,
}
SEGMENT = re.compile(r"(\[\d{1,5}\.\d\d\]([^\[\]]|\[[^\]\[0-9][^\]\[]*\])+\[\d{1,5}\.\d\d\])*", re.DOTALL)


@pytest.fixture(scope="module")
def engine() -> Engine:
    folder = Path(__file__).parents[1] / "fixtures" / "reference" / "checkpoint"
    return load_engine(folder, device="cpu", dtype="fp32")


def consume(engine: Engine, constraint: Constraint, text: str) -> bool:
    """Whether every token of `text` is allowed, one after the other."""
    for token in engine.tokenizer.encode(text):
        logits = mask_logits(torch.zeros(1, 151_936), [constraint])
        if logits[0, token] < 0:
            return False
        constraint.consume(token)
    return True


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[0.00]hello there[2.01][2.01]the weather is nice today[4.32]",
        "[12.34]你好，世界！[600.00]",
        "[0.00]so [laughter] funny[1.00]",
    ],
)
def test_what_the_prompt_asks_for_is_allowed(engine: Engine, text: str) -> None:
    constraint = engine.grammars.constrain(SEGMENTS_GRAMMAR)
    assert consume(engine, constraint, text)
    assert constraint.complete


@pytest.mark.parametrize("text", ["hello", "[0.00][1.00]", "[0.0]a", "[0.00]a[1.00]b", "[a]"])
def test_what_it_does_not_ask_for_is_not(engine: Engine, text: str) -> None:
    constraint = engine.grammars.constrain(SEGMENTS_GRAMMAR)
    assert not (consume(engine, constraint, text) and constraint.complete)


def test_an_answer_in_the_middle_may_not_end(engine: Engine) -> None:
    constraint = engine.grammars.constrain(SEGMENTS_GRAMMAR)
    assert consume(engine, constraint, "[0.00]hello")
    assert not constraint.complete
    logits = mask_logits(torch.zeros(1, 151_936), [constraint])
    assert logits[0, engine.tokenizer.special["<|im_end|>"]] == float("-inf")


def test_json_has_fixed_white_space(engine: Engine) -> None:
    constraint = engine.grammars.constrain(json_grammar(SCHEMA))
    assert consume(engine, constraint, '{"mood": "calm", "tempo": null}')
    assert constraint.complete
    assert not consume(engine, engine.grammars.constrain(json_grammar(SCHEMA)), '{ "mood"')
    assert not consume(engine, engine.grammars.constrain(json_grammar(SCHEMA)), '{"mood":  "calm"')


def test_a_thought_is_free_and_the_answer_after_it_is_not(engine: Engine) -> None:
    special = engine.tokenizer.special
    constraint = engine.grammars.constrain(json_grammar(SCHEMA))
    assert mask_logits(torch.zeros(1, 151_936), [constraint])[0, special["<think>"]] == 0
    constraint.consume(special["<think>"])
    assert not constraint.active
    assert consume(engine, constraint, "anything [goes] {here")
    constraint.consume(special["</think>"])
    assert not constraint.complete
    assert consume(engine, constraint, '{"mood": "tense", "tempo": 120}')
    assert constraint.complete


def test_without_thinking_none_can_begin(engine: Engine) -> None:
    constraint = engine.grammars.constrain(json_grammar(SCHEMA), thinking=False)
    assert mask_logits(torch.zeros(1, 151_936), [constraint])[0, engine.tokenizer.special["<think>"]] < 0


def test_a_grammar_that_cannot_be_compiled_is_an_error(engine: Engine) -> None:
    with pytest.raises(ValueError, match=r"."):
        engine.grammars.constrain("start: NOTHING_LIKE_THIS")


@torch.inference_mode()
def test_random_weights_answer_in_the_form_of_each_rows_own_grammar(engine: Engine) -> None:
    prompt = engine.ask("Say something.", None)
    sampled = Sampling(1.0, top_k=50)
    grammars = [json_grammar(SCHEMA), SEGMENTS_GRAMMAR, None]
    requests = [
        Request(prompt, 40, sampled, seed, None if g is None else engine.grammars.constrain(g, thinking=False))
        for seed in range(12)
        for g in grammars
    ]
    answers = generate(engine.model, requests, engine.stop_ids)
    for answer, request in zip(answers[::3], requests[::3], strict=True):
        assert request.constraint is not None
        assert answer.finish_reason == "stop"
        assert set(json.loads(engine.text(answer.ids))) == {"mood", "tempo"}
    for answer in answers[1::3]:
        if answer.finish_reason == "stop":
            assert SEGMENT.fullmatch(engine.text(answer.ids))
    # A row without a grammar draws what it draws alone.
    assert answers[2].ids == generate(engine.model, [Request(prompt, 40, sampled, 0)], engine.stop_ids)[0].ids


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([], False),
        ([7] * 39, False),
        ([7] * 40, True),
        ([1, 2, 3] + [4, 5] * 20, True),
        ([4, 5] * 19, False),
        (list(range(64)) * 4, False),
        (list(range(64)) * 5, True),
        (list(range(500)), False),
        ([1, 2] * 30 + [9], False),
    ],
)
def test_loops_are_told_from_refrains(ids: list[int], expected: bool) -> None:
    assert is_loop(ids) is expected


@given(st.lists(st.integers(0, 5), max_size=20), st.lists(st.integers(0, 5), min_size=1, max_size=9), st.integers(0, 9))
def test_a_loop_is_cut_to_one_round_and_what_came_before_stays(head: list[int], round_: list[int], extra: int) -> None:
    ids = head + round_ * (40 // len(round_) + 5 + extra)
    assert is_loop(ids)
    kept = without_loop(ids)
    assert not is_loop(kept)
    assert ids[: len(kept)] == kept
    assert len(kept) <= len(head) + 2 * len(round_)


@given(st.lists(st.integers(0, 3), max_size=300))
def test_what_has_settled_only_grows_and_is_never_in_the_loops_second_round(ids: list[int]) -> None:
    watch, before = LoopWatch(), 0
    for n, token in enumerate(ids, 1):
        watch.push(token)
        assert before <= watch.n_settled <= n
        before = watch.n_settled
        if watch.in_loop:
            # At the latest when its second round is complete, a loop is in doubt.
            assert watch.n_settled <= len(without_loop(ids[:n])) + LONGEST_PERIOD
            assert watch.n_settled < n


def test_a_loop_that_begins_is_held_back_after_its_first_rounds() -> None:
    watch = LoopWatch()
    for token in [1, 2, 3, 4, 5] + [6, 7, 8] * 20:
        watch.push(token)
    assert watch.n_settled == 5 + 3 + 2  # its first round, and what of the second came before it was complete


def test_a_looping_answer_stops_early(engine: Engine) -> None:
    request = Request(
        engine.ask("x", None), 400, constraint=engine.grammars.constrain('start: "ab"{200}', thinking=False)
    )
    looping = Request(request.prompt, 400, constraint=request.constraint, stop_loops=True)
    answer = generate(engine.model, [looping], engine.stop_ids)[0]
    assert answer.finish_reason == "loop"
    assert len(answer.ids) < 200


@pytest.mark.parametrize("grammar", ['start: "yes"', None])
def test_an_answer_that_would_end_inside_its_thought_goes_on_to_the_answer(engine: Engine, grammar: str | None) -> None:
    think, end_think, stop = (engine.tokenizer.special[name] for name in ("<think>", "</think>", "<|im_end|>"))
    constraint = engine.grammars.constrain(grammar) if grammar else None
    request = Request(engine.ask("x", None), 9, constraint=constraint, thought=Thought(think, end_think))
    answer = generate(engine.model, [replace(request, prefix=[think, 40, stop])], engine.stop_ids)[0]
    assert answer.ids[:3] == [think, 40, end_think]
    assert engine.text(answer.ids[3:]) == "yes" if grammar else len(answer.ids) == 9


@pytest.mark.parametrize(("n_thought", "expected"), [(1, 7), (3, 9), (10, 16), (30, 16)])
def test_a_thought_does_not_count_as_the_answer_as_far_as_it_has_room(
    engine: Engine, n_thought: int, expected: int
) -> None:
    think, end_think = engine.tokenizer.special["<think>"], engine.tokenizer.special["</think>"]
    thought = Thought(think, end_think, is_open=True, room=10)
    prefix = [40] * (n_thought - 1) + [end_think]
    request = Request(engine.ask("x", None, think=True), 6, thought=thought, prefix=prefix)
    answer = generate(engine.model, [request], frozenset())[0]
    assert (len(answer.ids), answer.finish_reason) == (expected, "length")


def thinking_request(engine: Engine, budget: int, *, think: bool | None) -> Request:
    special = engine.tokenizer.special
    thought = Thought(special["<think>"], special["</think>"], budget, engine.closing_words(), bool(think))
    constraint = engine.grammars.constrain('start: "yes"', in_thought=bool(think))
    return Request(engine.ask("Is it?", None, think=think), 200, constraint=constraint, thought=thought)


def test_a_thought_over_its_budget_is_ended_with_a_sentence_and_the_answer_follows(engine: Engine) -> None:
    answer = generate(engine.model, [thinking_request(engine, 7, think=True)], engine.stop_ids)[0]
    text = engine.text(answer.ids)
    assert text.endswith(f"{OUT_OF_TIME}</think>yes")
    assert len(answer.ids) == 7 + len(engine.closing_words()) + len(engine.tokenizer.encode("yes"))
    assert answer.finish_reason == "stop"


def test_a_budget_of_nothing_ends_the_thought_at_once(engine: Engine) -> None:
    answer = generate(engine.model, [thinking_request(engine, 0, think=True)], engine.stop_ids)[0]
    assert engine.text(answer.ids) == f"{OUT_OF_TIME}</think>yes"


def test_the_prompt_opens_or_forestalls_the_thought(engine: Engine) -> None:
    plain, opened, forestalled = (
        engine.tokenizer.decode(engine.ask("x", None, think=think).ids.tolist()) for think in (None, True, False)
    )
    assert opened == plain + "<think>\n"
    assert forestalled == plain + "<think>\n\n</think>\n\n"
