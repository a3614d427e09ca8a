"""One answer's state: thought and answer, forced tokens, limits and endings."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from moss_cli.answers import Grammar, Sampling
from moss_cli.engine.engine import OUT_OF_TIME, Engine
from moss_cli.engine.generate import generate
from moss_cli.engine.model import Prompt
from moss_cli.engine.row import DecodeRequest, Row, Thought
from moss_cli.errors import AnswerError

OPEN, END, STOP = 90, 91, 99
CLOSING = (7, 8, END)
STOPS = frozenset([STOP])


def make(thought: Thought | None = None, most: int = 20, **options: object) -> Row:
    prompt = Prompt(torch.tensor([1, 2]), torch.tensor([True, False]))
    return Row(0, DecodeRequest(prompt, most, thought=thought, **options), STOPS)  # type: ignore[arg-type]


def feed(row: Row, *tokens: int) -> Row:
    """Take tokens, what is forced in the place of what is given."""
    for token in tokens:
        row.take(token if row.forced is None else row.forced)
    return row


def test_an_answer_ends_at_a_stop_token_which_is_not_part_of_it() -> None:
    row = feed(make(), 5, 6, STOP)
    assert (row.ids, row.finish_reason) == ([5, 6], "stop")


def test_an_answer_ends_at_its_limit() -> None:
    row = feed(make(most=2), 5, 6)
    assert (row.ids, row.finish_reason) == ([5, 6], "length")


def test_a_loop_ends_an_answer_only_where_it_is_asked_to() -> None:
    assert feed(make(most=99, stop_loops=True), *[5] * 40).finish_reason == "loop"
    assert feed(make(most=99), *[5] * 40).finish_reason is None


def test_what_it_has_so_far_is_a_prompt_whose_audio_stands_where_it_stood() -> None:
    so_far = feed(make(), 5, 6).so_far
    assert so_far.ids.tolist() == [1, 2, 5, 6]
    assert so_far.audio_mask.tolist() == [True, False, False, False]


def test_a_draw_stays_the_same_until_a_token_is_taken() -> None:
    row, again = (make(sampling=Sampling(1.0), seed=3) for _ in range(2))
    first = row.draw
    assert row.draw == first == again.draw
    row.take(5)
    again.take(6)
    assert row.draw == again.draw != first


@given(st.lists(st.booleans(), max_size=12))
def test_draws_are_the_generators_one_after_another_however_often_one_is_looked_at(twice: list[bool]) -> None:
    row = make(sampling=Sampling(1.0), seed=5, most=99)
    generator = torch.Generator().manual_seed(5)
    for look_again in twice:
        expected = float(torch.rand((), generator=generator, dtype=torch.float64))
        assert row.draw == expected
        assert not look_again or row.draw == expected
        row.take(5)


def test_a_stop_token_inside_a_thought_ends_the_thought() -> None:
    row = feed(make(Thought(OPEN, END)), OPEN, 5, STOP, 6, STOP)
    assert (row.ids, row.finish_reason) == ([OPEN, 5, END, 6], "stop")


def test_a_thought_begins_only_at_the_beginning() -> None:
    row = make(Thought(OPEN, END))
    assert row.may_open == OPEN
    row.take(5)
    assert row.may_open is None
    assert feed(row, OPEN, STOP).finish_reason == "stop"  # which would have ended the thought alone
    assert make(Thought(OPEN, END, is_open=True)).may_open is None
    assert make().may_open is None


@pytest.mark.parametrize("is_open", [True, False])
@pytest.mark.parametrize("budget", [0, 1, 3])
def test_a_thought_over_its_budget_is_closed_in_the_words_for_it(budget: int, is_open: bool) -> None:
    row = make(Thought(OPEN, END, budget, CLOSING, is_open=is_open))
    begin = [] if is_open else [OPEN]
    feed(row, *begin, *[5] * (budget + 3), 6, STOP)
    assert row.ids == [*begin, *[5] * budget, *CLOSING, 6]
    assert row.finish_reason == "stop"


def test_a_thought_that_ends_in_time_is_not_closed() -> None:
    row = feed(make(Thought(OPEN, END, 3, CLOSING, is_open=True)), 5, END, 6, 6, 6, 6)
    assert row.ids == [5, END, 6, 6, 6, 6]


def test_a_prefix_that_ends_inside_the_closing_words_goes_on_with_them() -> None:
    row = make(Thought(OPEN, END, 2, CLOSING, is_open=True), prefix=[5, 5, 7])
    row.take_prefix()
    assert feed(row, 0, 0, 6).ids == [5, 5, *CLOSING, 6]


@pytest.mark.parametrize(("n_thought", "expected"), [(1, 7), (3, 9), (10, 16), (30, 16)])
def test_a_thought_does_not_count_as_the_answer_as_far_as_it_has_room(n_thought: int, expected: int) -> None:
    row = make(Thought(OPEN, END, is_open=True, room=10), 6, prefix=[40] * (n_thought - 1) + [END])
    row.take_prefix()
    while row.finish_reason is None:
        row.take(5)
    assert (len(row.ids), row.finish_reason) == (expected, "length")


def test_the_grammar_follows_the_answer_and_not_the_thought(engine: Engine) -> None:
    special, encode = engine.tokenizer.special, engine.tokenizer.encode
    think, end = special["<think>"], special["</think>"]
    matcher = engine.grammars.matcher(Grammar('start: "yes"'))
    row = Row(0, DecodeRequest(engine.ask("x", None), 20, matcher=matcher, thought=Thought(think, end)), frozenset())
    assert row.matcher is matcher
    feed(row, think, *encode("anything [goes] {here"))
    assert row.matcher is None
    feed(row, end)
    assert row.matcher is matcher and not matcher.is_accepting()
    feed(row, *encode("yes"))
    assert matcher.is_accepting()


def test_a_token_that_the_grammar_forbids_is_an_error(engine: Engine) -> None:
    matcher = engine.grammars.matcher(Grammar('start: "yes"'))
    row = Row(0, DecodeRequest(engine.ask("x", None), 20, matcher=matcher), frozenset())
    with pytest.raises(AnswerError, match="cannot go on in its grammar") as caught:
        feed(row, engine.tokenizer.encode("no")[0])
    assert caught.value.code == "grammar"


def thinking(engine: Engine, budget: int) -> DecodeRequest:
    special = engine.tokenizer.special
    thought = Thought(special["<think>"], special["</think>"], budget, engine.closing_words(), is_open=True)
    matcher = engine.grammars.matcher(Grammar('start: "yes"'))
    return DecodeRequest(engine.ask("Is it?", None, think=True), 200, matcher=matcher, thought=thought)


@pytest.mark.parametrize("budget", [0, 7])
def test_a_model_that_thinks_too_long_answers_after_a_sentence_that_says_so(engine: Engine, budget: int) -> None:
    answer = generate(engine.model, [thinking(engine, budget)], engine.stop_ids)[0]
    assert engine.text(answer.ids[budget:]) == f"{OUT_OF_TIME}</think>yes"
    assert answer.finish_reason == "stop"


@pytest.mark.parametrize("form", [Grammar('start: "yes"'), None])
def test_an_answer_that_would_end_inside_its_thought_goes_on_to_the_answer(
    engine: Engine, form: Grammar | None
) -> None:
    think, end, stop = (engine.tokenizer.special[name] for name in ("<think>", "</think>", "<|im_end|>"))
    request = DecodeRequest(
        engine.ask("x", None), 9, matcher=form and engine.grammars.matcher(form), thought=Thought(think, end)
    )
    answer = generate(engine.model, [dataclasses.replace(request, prefix=[think, 40, stop])], engine.stop_ids)[0]
    assert answer.ids[:3] == [think, 40, end]
    assert engine.text(answer.ids[3:]) == "yes" if form else len(answer.ids) == 9


def test_a_looping_answer_stops_early(engine: Engine) -> None:
    matcher = engine.grammars.matcher(Grammar('start: "ab"{200}'))
    request = DecodeRequest(engine.ask("x", None), 400, matcher=matcher, stop_loops=True)
    answer = generate(engine.model, [request], engine.stop_ids)[0]
    assert answer.finish_reason == "loop"
    assert len(answer.ids) < 200
