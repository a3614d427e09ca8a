"""The decode loop: slots, memory, failures, and answers that depend on nothing but their own request."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from decoding_requests import MOOD, SAMPLED, WORDS, asked, broken, finish, generations, heard, told

from moss_cli.engine.cache import BUCKET, CacheRows, cache_bytes
from moss_cli.engine.decoding import Broken, Decoding, Ended
from moss_cli.engine.engine import Engine
from moss_cli.engine.generate import generate
from moss_cli.engine.row import DecodeRequest, Generation
from moss_cli.errors import AnswerError, DeviceError, ExitCode, UsageError

NO_STOP: frozenset[int] = frozenset()
Fails = Callable[[int, int], Exception | None]  # (rows, tokens of each) of a forward pass: what it raises


@contextmanager
def failing(engine: Engine, fails: Fails) -> Iterator[list[tuple[int, int]]]:
    """Let forward passes fail; gives the sizes of those that were tried."""
    tried: list[tuple[int, int]] = []

    def before(_: Any, args: Any) -> None:
        n_rows, n_tokens = args[0].ids.shape
        tried.append((n_rows, n_tokens))
        error = fails(n_rows, n_tokens)
        if error is not None:
            raise error

    handle = engine.model.register_forward_pre_hook(before)
    try:
        yield tried
    finally:
        handle.remove()


def alone(engine: Engine, request: DecodeRequest, stop_ids: frozenset[int] = NO_STOP) -> Generation:
    return generate(engine.model, [fresh(request)], stop_ids)[0]


def fresh(request: DecodeRequest) -> DecodeRequest:
    """The request with a matcher of its own."""
    return dataclasses.replace(request, matcher=request.matcher and request.matcher.deep_copy())


def mixed(engine: Engine, n: int = 24) -> list[DecodeRequest]:
    """Requests of all kinds and of many lengths."""
    found = []
    for i in range(n):
        most = 4 + (i * 37) % 60
        if i % 4 == 0:
            request = heard(engine, 0.5 + i % 5, i, most)
        else:
            request = asked(engine, "word " * (1 + i % 7), most, form=(None, WORDS, MOOD)[i % 3], seed=i - i % 2 * 99)
        found.append(request)
    return found


def test_many_requests_over_few_slots_get_the_tokens_that_they_get_alone_in_far_fewer_steps_than_batches_take(
    engine: Engine,
) -> None:
    requests = mixed(engine)
    expected = [alone(engine, request, engine.stop_ids) for request in requests]
    decoding = Decoding(engine.model, engine.stop_ids, n_slots=8)
    tickets = [decoding.submit(fresh(request)) for request in requests]
    done = generations(finish(decoding))
    assert [done[ticket] for ticket in tickets] == expected
    assert {answer.finish_reason for answer in expected} == {"stop", "length"}
    n_chosen = [len(answer.ids) + (answer.finish_reason == "stop") for answer in expected]
    in_batches = sum(max(n_chosen[i : i + 8]) - 1 for i in range(0, len(requests), 8))
    assert decoding.n_steps <= 0.75 * in_batches


def test_a_clip_is_decoded_the_same_alone_and_beside_longer_and_shorter_ones(engine: Engine) -> None:
    # 4 s is one full window, the others end in tails of every kind
    requests = [heard(engine, seconds, i) for i, seconds in enumerate([0.02, 0.9, 3.99, 4.0, 4.03, 7.31, 13.7])]
    assert generate(engine.model, requests, NO_STOP) == [alone(engine, request) for request in requests]


def test_draws_do_not_depend_on_the_neighbours(engine: Engine) -> None:
    requests = [
        dataclasses.replace(heard(engine, seconds, i), sampling=SAMPLED, seed=i)
        for i, seconds in enumerate([1.0, 2.5, 5.0])
    ]
    expected = [alone(engine, request) for request in requests]
    assert generate(engine.model, requests[::-1], NO_STOP) == expected[::-1]


def test_the_seed_decides_the_draws(engine: Engine) -> None:
    first, again, other = (alone(engine, asked(engine, "x", seed=seed)).ids for seed in (1, 1, 2))
    assert first == again != other


def test_rows_end_when_they_end(engine: Engine) -> None:
    requests = [heard(engine, 1.0, 1), heard(engine, 2.0, 2)]
    free = generate(engine.model, requests, NO_STOP)
    stop = free[0].ids[3]
    assert stop not in free[0].ids[:3]
    answers = generate(engine.model, requests, frozenset([stop]))
    assert (answers[0].ids, answers[0].finish_reason) == (free[0].ids[:3], "stop")
    expected = free[1].ids[: free[1].ids.index(stop)] if stop in free[1].ids else free[1].ids
    assert answers[1].ids == expected


def test_an_answer_at_its_limit_says_so(engine: Engine) -> None:
    answer = alone(engine, asked(engine, "x", 5))
    assert (len(answer.ids), answer.finish_reason) == (5, "length")


def test_every_token_is_told_once_as_it_comes_and_the_end_after_the_last(engine: Engine) -> None:
    requests = [heard(engine, 1.0, 1, 5), heard(engine, 2.0, 2, 9)]
    decoding = Decoding(engine.model, NO_STOP, n_slots=2)
    tickets = [decoding.submit(request) for request in requests]
    events = finish(decoding)
    done = generations(events)
    assert [told(events, ticket) for ticket in tickets] == [done[ticket].ids for ticket in tickets]
    for ticket in tickets:
        assert isinstance([event for event in events if event.ticket == ticket][-1], Ended)


def test_tokens_are_reported_by_the_place_of_their_request(engine: Engine) -> None:
    seen: list[tuple[int, int]] = []

    def note(index: int, ids: Sequence[int], n_settled: int) -> None:
        assert n_settled <= len(ids)
        seen.append((index, ids[-1]))

    answers = generate(engine.model, [asked(engine, "a", 3), asked(engine, "b", 5)], NO_STOP, note)
    assert [[token for i, token in seen if i == row] for row in (0, 1)] == [answer.ids for answer in answers]


def test_an_answer_can_go_on_from_a_prefix_which_takes_no_steps(engine: Engine) -> None:
    request = heard(engine, 1.0)
    whole = alone(engine, request)
    assert alone(engine, dataclasses.replace(request, prefix=whole.ids[:5])).ids == whole.ids
    other = dataclasses.replace(request, prefix=[*whole.ids[:5], 77])
    decoding = Decoding(engine.model, NO_STOP, n_slots=1)
    ticket = decoding.submit(other)
    events = finish(decoding)
    ids = generations(events)[ticket].ids
    assert ids[:6] == [*whole.ids[:5], 77]
    assert [event.ids for event in events[:-1]] == [tuple(ids[:n]) for n in range(7, 13)]  # type: ignore[union-attr]
    assert decoding.n_steps == 12 - 6 - 1


def test_a_prefix_that_fills_the_answer_is_the_answer(engine: Engine) -> None:
    decoding = Decoding(engine.model, NO_STOP, n_slots=1)
    ticket = decoding.submit(dataclasses.replace(asked(engine, "x", 3), prefix=[5, 6, 7, 8]))
    assert decoding.step() == [Ended(ticket, Generation([5, 6, 7], "length", 3))]


def test_a_prefix_outside_its_grammar_breaks_its_own_request(engine: Engine) -> None:
    decoding = Decoding(engine.model, engine.stop_ids, n_slots=2)
    wrong = decoding.submit(dataclasses.replace(asked(engine, "x", form=MOOD), prefix=engine.tokenizer.encode("[")))
    right = decoding.submit(asked(engine, "x", 4))
    events = finish(decoding)
    assert [type(error) for error in broken(events).values()] == [AnswerError]
    assert set(broken(events)) == {wrong} and set(generations(events)) == {right}


def test_a_prompt_that_leaves_no_room_is_refused(engine: Engine) -> None:
    decoding = Decoding(engine.model, NO_STOP, n_slots=1)
    with pytest.raises(UsageError, match="the answer is too long for this model at once"):
        decoding.submit(asked(engine, "x", 40_960))
    assert decoding.n_waiting == 0


def test_the_next_request_has_a_slot_as_soon_as_one_is_free(engine: Engine) -> None:
    decoding = Decoding(engine.model, NO_STOP, n_slots=2)
    for most in (3, 6, 4, 1, 2):
        decoding.submit(asked(engine, "x", most))
    counts = []
    while decoding.n_waiting or decoding.n_active:
        decoding.step()
        counts.append((decoding.n_waiting, decoding.n_active))
    assert counts == [(3, 2), (3, 1), (2, 2), (2, 2), (2, 0), (0, 0)]
    assert decoding.n_steps == 6


def test_a_cancelled_request_is_never_told_of_again_and_the_others_go_on(engine: Engine) -> None:
    requests = [asked(engine, "word " * n, 10, seed=n) for n in range(1, 6)]
    decoding = Decoding(engine.model, NO_STOP, n_slots=3)
    tickets = [decoding.submit(request) for request in requests]
    decoding.step()
    decoding.cancel(tickets[0])  # has a slot
    decoding.cancel(tickets[4])  # waits
    assert (decoding.n_active, decoding.n_waiting) == (2, 1)
    events = finish(decoding)
    assert {event.ticket for event in events} == set(tickets[1:4])
    done = generations(events)
    assert [done[ticket] for ticket in tickets[1:4]] == [alone(engine, request) for request in requests[1:4]]


def test_the_cache_grows_by_buckets_while_rows_are_decoded(tiny: Engine) -> None:
    long, short = asked(tiny, "x", 2 * BUCKET + 40), asked(tiny, "y " * 20, 30, seed=3)
    decoding = Decoding(tiny.model, NO_STOP, n_slots=2)
    first, second = decoding.submit(long), decoding.submit(short)
    sizes = []
    events = []
    while decoding.n_active or decoding.n_waiting:
        events += decoding.step()
        assert decoding._cache is not None
        sizes.append(decoding._cache.n_positions)
    assert sorted(set(sizes)) == [BUCKET, 2 * BUCKET, 3 * BUCKET]
    done = generations(events)
    assert done[second] == alone(tiny, short)
    # A prefill of all but the last token, in a cache of that length from the start, goes on with that token.
    assert alone(tiny, dataclasses.replace(long, prefix=done[first].ids[:-1])) == done[first]


def test_requests_are_admitted_only_as_far_as_the_cache_may_grow(engine: Engine) -> None:
    language = engine.model.config.language
    two_rows = cache_bytes(language, 2, BUCKET, torch.float32)
    decoding = Decoding(engine.model, NO_STOP, n_slots=8, max_cache_bytes=two_rows)
    short = [asked(engine, "x", 3) for _ in range(3)]
    long = asked(engine, "x", 2 * BUCKET)  # never as long as that, but it may become so
    tickets = [decoding.submit(request) for request in (*short, long)]
    most = 0
    events = []
    while decoding.n_waiting or decoding.n_active:
        events += decoding.step()
        most = max(most, decoding.n_active)
        if any(isinstance(event, Ended) and event.ticket == tickets[2] for event in events):
            decoding.cancel(tickets[3])
    assert most == 2
    assert set(generations(events)) == set(tickets[:3])


def test_one_request_is_always_admitted(engine: Engine) -> None:
    decoding = Decoding(engine.model, NO_STOP, n_slots=4, max_cache_bytes=1)
    tickets = [decoding.submit(asked(engine, "x", n)) for n in (2, 3)]
    done = generations(finish(decoding))
    assert [len(done[ticket].ids) for ticket in tickets] == [2, 3]


@pytest.mark.parametrize("at", [1, 2, 5])
def test_memory_that_runs_out_once_halves_the_slots_and_loses_nothing(engine: Engine, at: int) -> None:
    requests = mixed(engine, 10)
    expected = [alone(engine, request, engine.stop_ids) for request in requests]
    n_passes = 0

    def fails(n_rows: int, n_tokens: int) -> Exception | None:
        nonlocal n_passes
        n_passes += 1
        return torch.OutOfMemoryError("CUDA out of memory") if n_passes == at else None

    decoding = Decoding(engine.model, engine.stop_ids, n_slots=4)
    tickets = [decoding.submit(fresh(request)) for request in requests]
    with failing(engine, fails):
        events = finish(decoding)
    done = generations(events)
    assert [done[ticket] for ticket in tickets] == expected
    assert [told(events, ticket) for ticket in tickets] == [answer.ids for answer in expected]
    assert decoding.n_slots == 2


def test_memory_for_few_rows_is_found_by_halving_once_and_for_all(engine: Engine) -> None:
    requests = mixed(engine, 12)
    decoding = Decoding(engine.model, engine.stop_ids, n_slots=8)
    tickets = [decoding.submit(fresh(request)) for request in requests]
    n_short = 0

    def fails(n_rows: int, n_tokens: int) -> Exception | None:
        nonlocal n_short
        if n_rows <= 2:
            return None
        n_short += 1
        return RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    with failing(engine, fails):
        done = generations(finish(decoding))
    assert [done[ticket] for ticket in tickets] == [alone(engine, request, engine.stop_ids) for request in requests]
    assert (decoding.n_slots, n_short) == (2, 2)


def test_what_does_not_fit_alone_fails_for_itself(engine: Engine) -> None:
    long, short = asked(engine, "word " * 50, 5), asked(engine, "x", 5)
    decoding = Decoding(engine.model, NO_STOP, n_slots=4)
    big, small = decoding.submit(long), decoding.submit(short)
    with failing(engine, lambda _, n_tokens: MemoryError() if n_tokens > 40 else None):
        events = finish(decoding)
    error = broken(events)[big]
    assert isinstance(error, DeviceError)
    assert (error.code, error.exit_code) == ("out_of_memory", ExitCode.DEVICE)
    assert error.message == "out of memory on cpu"
    assert error.hint == "try --dtype 4bit, a smaller --batch-size or a shorter --chunk"
    assert generations(events) == {small: alone(engine, short)}


def test_a_request_whose_prefill_fails_is_the_only_one_that_does(engine: Engine) -> None:
    requests = [asked(engine, "word " * n, 6) for n in (3, 3, 4, 3)]
    n_poisoned = len(requests[2].prompt.ids)
    decoding = Decoding(engine.model, NO_STOP, n_slots=4)
    tickets = [decoding.submit(request) for request in requests]
    with failing(engine, lambda _, n_tokens: ValueError("poison") if n_tokens == n_poisoned else None):
        events = finish(decoding)
    assert {ticket: str(error) for ticket, error in broken(events).items()} == {tickets[2]: "poison"}
    done = generations(events)
    for i in (0, 1, 3):
        assert done[tickets[i]] == alone(engine, requests[i])


def test_a_request_that_fails_in_a_decode_step_is_found_and_the_others_go_on_as_if_nothing_had_been(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [asked(engine, "word " * n, 8, seed=n) for n in range(1, 5)]
    expected = [alone(engine, request) for request in requests]
    poison = expected[1].ids[3]
    assert all(poison not in expected[i].ids for i in (0, 2, 3))
    decoding = Decoding(engine.model, NO_STOP, n_slots=4)
    tickets = [decoding.submit(request) for request in requests]

    run = decoding._steps._step

    def poisoned(ids: torch.Tensor, past: CacheRows) -> torch.Tensor:
        if poison in ids:
            raise ValueError("poison")
        return run(ids, past)

    monkeypatch.setattr(decoding._steps, "_step", poisoned)
    events = finish(decoding)
    assert {ticket: str(error) for ticket, error in broken(events).items()} == {tickets[1]: "poison"}
    assert told(events, tickets[1]) == expected[1].ids[:4]
    done = generations(events)
    assert [done[tickets[i]] for i in (0, 2, 3)] == [expected[i] for i in (0, 2, 3)]
    assert decoding.n_slots == 4


def test_what_breaks_outside_a_row_fails_those_that_are_decoded_and_the_rest_goes_on(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The making of the cache fails once, for no want of memory."""
    requests = [asked(engine, f"Question {n}?", 3) for n in range(4)]
    expected = [alone(engine, request) for request in requests[2:]]
    decoding = Decoding(engine.model, NO_STOP, n_slots=2)
    broken_device = RuntimeError("CUDA error: unspecified launch failure")

    def reserve(rows: Sequence[Any], n_more: int = 0) -> None:
        monkeypatch.undo()
        raise broken_device

    monkeypatch.setattr(decoding, "_reserve", reserve)
    tickets = [decoding.submit(request) for request in requests]
    events = finish(decoding)
    assert [event.ticket for event in events if isinstance(event, Broken)] == tickets[:2]
    assert all(event.error is broken_device for event in events if isinstance(event, Broken))
    assert [event.generation for event in events if isinstance(event, Ended)] == expected
    assert (decoding.n_active, decoding.n_waiting) == (0, 0)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA error: unspecified launch failure")])
def test_what_has_ended_when_something_breaks_has_ended_once(engine: Engine, error: Exception) -> None:
    """The first of three rows ends, and moving the last one into its slot fails."""
    requests = [asked(engine, f"Question {n}?", n_tokens) for n, n_tokens in enumerate((3, 6, 9))]
    expected = [alone(engine, request) for request in requests]
    decoding = Decoding(engine.model, NO_STOP, n_slots=3)
    tickets = [decoding.submit(request) for request in requests]
    events = decoding.step()
    cache = decoding._cache
    assert cache is not None

    def move(source: int, target: int) -> None:
        raise error

    cache.move = move  # type: ignore[method-assign]
    events += finish(decoding)
    ended = [event.ticket for event in events if isinstance(event, Ended | Broken)]
    assert sorted(ended) == sorted(set(ended))
    done = generations(events)
    assert all(done[ticket] == one for ticket, one in zip(tickets, expected, strict=True) if ticket in done)
    if isinstance(error, MemoryError):
        assert set(done) == set(tickets)


def test_a_grammar_that_fails_breaks_its_own_row(engine: Engine) -> None:
    good = asked(engine, "b", 20, form=WORDS)
    bad = dataclasses.replace(asked(engine, "a", 20), matcher=None)
    expected = alone(engine, good, engine.stop_ids)
    matcher = engine.grammars.matcher(WORDS)
    assert not matcher.consume_token(engine.tokenizer.encode("[")[0])
    assert matcher.is_error()  # whose mask would allow the end alone
    decoding = Decoding(engine.model, engine.stop_ids, n_slots=2)
    wrong = decoding.submit(dataclasses.replace(bad, matcher=matcher))
    right = decoding.submit(fresh(good))
    events = finish(decoding)
    assert [type(error) for error in broken(events).values()] == [AnswerError]
    assert set(broken(events)) == {wrong}
    assert generations(events) == {right: expected}


def test_generate_raises_what_breaks_a_request(engine: Engine) -> None:
    with failing(engine, lambda *_: ValueError("poison")), pytest.raises(ValueError, match="poison"):
        generate(engine.model, [asked(engine, "x")], NO_STOP)


def test_nothing_to_do_is_no_step(engine: Engine) -> None:
    decoding = Decoding(engine.model, NO_STOP, n_slots=2)
    assert (decoding.step(), decoding.n_steps) == ([], 0)
    assert generate(engine.model, [], NO_STOP) == []


def test_an_error_of_a_request_holds_no_tensors(engine: Engine) -> None:
    decoding = Decoding(engine.model, NO_STOP, n_slots=1)
    decoding.submit(asked(engine, "x"))
    with failing(engine, lambda *_: ValueError("poison")):
        [event] = [event for event in finish(decoding) if isinstance(event, Broken)]
    frames = []
    at = event.error.__traceback__
    while at is not None:
        frames.append(at.tb_frame)
        at = at.tb_next
    assert not any(isinstance(value, torch.Tensor) for frame in frames for value in frame.f_locals.values())
