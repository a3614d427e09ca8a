"""Questions about one clip: its audio is prefilled once, and every answer is what it is when asked alone."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
import torch
from decoding_requests import SAMPLED, broken, finish, generations

from moss_cli.answers import Grammar
from moss_cli.engine.cache import BUCKET, cache_bytes
from moss_cli.engine.decoding import Decoding
from moss_cli.engine.engine import Engine
from moss_cli.engine.generate import generate
from moss_cli.engine.model import AudioFeatures
from moss_cli.engine.row import DecodeRequest, Generation

NO_STOP: frozenset[int] = frozenset()
TEXTS = ("Describe this audio.", "Transcribe the audio.", "Who speaks, and how do they sound to you?", "?")


def clip(engine: Engine, seconds: float = 5.3, seed: int = 0) -> AudioFeatures:
    noise = np.random.default_rng(seed).standard_normal(int(16_000 * seconds)).astype(np.float32) * 0.1
    return engine.hear(noise)


def about(engine: Engine, audio: AudioFeatures, text: str = TEXTS[0], **values: Any) -> DecodeRequest:
    markers = values.pop("time_markers", True)
    return DecodeRequest(engine.ask(text, audio, time_markers=markers), **{"max_new_tokens": 10} | values)


def alone(engine: Engine, request: DecodeRequest) -> Generation:
    return generate(engine.model, [request], NO_STOP)[0]


def answers(decoding: Decoding, requests: list[DecodeRequest]) -> list[Generation]:
    tickets = [decoding.submit(request) for request in requests]
    done = generations(finish(decoding))
    return [done[ticket] for ticket in tickets]


@pytest.mark.parametrize("n_slots", [1, 2, 3, 8])
def test_questions_about_a_clip_share_its_prefill_and_get_the_tokens_that_they_get_alone(
    engine: Engine, n_slots: int
) -> None:
    first, second = clip(engine), clip(engine, 2.9, seed=1)
    requests = [
        about(engine, audio, text, max_new_tokens=4 + 5 * i, sampling=SAMPLED, seed=i)
        for audio in (first, second)
        for i, text in enumerate(TEXTS)
    ]
    expected = [alone(engine, request) for request in requests]
    decoding = Decoding(engine.model, NO_STOP, n_slots=n_slots)
    assert answers(decoding, requests) == expected
    assert decoding.n_audio_prefilled == first.n_tokens + second.n_tokens


def test_time_markers_make_another_prefix(engine: Engine) -> None:
    audio = clip(engine)
    requests = [about(engine, audio, text, time_markers=on) for on in (True, False) for text in TEXTS]
    decoding = Decoding(engine.model, NO_STOP, n_slots=8)
    assert answers(decoding, requests) == [alone(engine, request) for request in requests]
    assert decoding.n_audio_prefilled == 2 * audio.n_tokens


def test_of_a_question_that_more_follow_the_prefix_is_kept_until_the_clip_is_dropped(engine: Engine) -> None:
    audio = clip(engine)
    asks = [about(engine, audio, text, more_follow=text != TEXTS[-1]) for text in TEXTS]
    expected = [alone(engine, request) for request in asks]
    decoding, n_shared = Decoding(engine.model, NO_STOP, n_slots=2), asks[0].prompt.n_shared
    for request, one in zip(asks[:-1], expected, strict=False):
        assert answers(decoding, [request]) == [one]
        assert decoding._prefixes.n_bytes == cache_bytes(engine.model.config.language, 1, BUCKET, torch.float32) * (
            n_shared / BUCKET
        )
    assert decoding.n_audio_prefilled == audio.n_tokens
    del request, one, audio, asks
    gc.collect()
    assert decoding._prefixes.n_bytes == 0


def test_nothing_is_kept_after_the_last_question(engine: Engine) -> None:
    audio = clip(engine)
    decoding = Decoding(engine.model, NO_STOP, n_slots=2)
    answers(decoding, [about(engine, audio, more_follow=True)])
    answers(decoding, [about(engine, audio, TEXTS[1])])
    assert (decoding._prefixes.n_bytes, decoding.n_audio_prefilled) == (0, audio.n_tokens)
    answers(decoding, [about(engine, audio, TEXTS[2])])
    assert decoding.n_audio_prefilled == 2 * audio.n_tokens


def test_an_answer_that_repeats_itself_is_asked_again_without_another_prefill(engine: Engine) -> None:
    audio = clip(engine)
    matcher = engine.grammars.matcher(Grammar("start: /(la ){200}/"))
    loops = about(engine, audio, max_new_tokens=300, stop_loops=True, matcher=matcher)
    again = about(engine, audio, sampling=SAMPLED)
    decoding = Decoding(engine.model, NO_STOP, n_slots=2)
    assert [one.finish_reason for one in answers(decoding, [loops])] == ["loop"]
    assert answers(decoding, [again]) == [alone(engine, again)]
    assert decoding.n_audio_prefilled == audio.n_tokens


def test_what_is_kept_counts_in_the_budget_and_gives_way(engine: Engine) -> None:
    audio, other = clip(engine), clip(engine, 3.0, seed=2)
    language = engine.model.config.language
    one_row = cache_bytes(language, 1, BUCKET, torch.float32)
    requests = [about(engine, audio, more_follow=True), about(engine, other, more_follow=True)]
    requests.append(about(engine, audio, TEXTS[1]))
    expected = [alone(engine, request) for request in requests]
    for budget, n_prefills in ((one_row, 2), (2 * one_row, 1)):
        decoding = Decoding(engine.model, NO_STOP, n_slots=4, max_cache_bytes=budget)
        for request, one in zip(requests, expected, strict=True):
            assert answers(decoding, [request]) == [one]
            assert decoding._cache is not None
            assert decoding._cache.n_bytes + decoding._prefixes.n_bytes <= budget
        assert decoding.n_audio_prefilled == n_prefills * audio.n_tokens + other.n_tokens


@pytest.mark.parametrize("at", range(1, 8))
def test_memory_that_runs_out_loses_nothing_of_what_is_shared(engine: Engine, at: int) -> None:
    audio = clip(engine)
    requests = [about(engine, audio, text, max_new_tokens=3 + 2 * i) for i, text in enumerate(TEXTS)]
    expected = [alone(engine, request) for request in requests]
    n_passes = 0

    def before(*_: Any) -> None:
        nonlocal n_passes
        n_passes += 1
        if n_passes == at:
            raise torch.OutOfMemoryError("CUDA out of memory")

    decoding = Decoding(engine.model, NO_STOP, n_slots=3)
    handle = engine.model.language_model.layers[1].register_forward_pre_hook(before)
    try:
        assert answers(decoding, requests) == expected
    finally:
        handle.remove()


def test_a_question_that_fails_in_its_prefill_leaves_nothing_that_others_could_copy(engine: Engine) -> None:
    audio = clip(engine)
    requests = [about(engine, audio, text) for text in TEXTS]
    expected = [alone(engine, request) for request in requests]
    n_first = len(requests[0].prompt.ids)

    def before(_: Any, args: Any) -> None:
        if args[0].ids.shape[1] == n_first:
            raise ValueError("poison")

    decoding = Decoding(engine.model, NO_STOP, n_slots=4)
    tickets = [decoding.submit(request) for request in requests]
    handle = engine.model.register_forward_pre_hook(before)
    try:
        events = finish(decoding)
    finally:
        handle.remove()
    assert {ticket: str(error) for ticket, error in broken(events).items()} == {tickets[0]: "poison"}
    done = generations(events)
    assert [done[ticket] for ticket in tickets[1:]] == expected[1:]


def test_a_question_that_is_cancelled_leaves_its_prefix_to_those_that_wait(engine: Engine) -> None:
    audio = clip(engine)
    requests = [about(engine, audio, text) for text in TEXTS[:2]]
    expected = alone(engine, requests[1])
    decoding = Decoding(engine.model, NO_STOP, n_slots=1)
    first, second = (decoding.submit(request) for request in requests)
    decoding.step()
    decoding.cancel(first)
    assert generations(finish(decoding)) == {second: expected}
    assert decoding.n_audio_prefilled == audio.n_tokens


def test_an_answer_that_goes_on_from_another_shares_the_prefix_too(engine: Engine) -> None:
    audio = clip(engine)
    whole = alone(engine, about(engine, audio))
    requests = [about(engine, audio, TEXTS[1]), about(engine, audio, prefix=whole.ids[:5])]
    decoding = Decoding(engine.model, NO_STOP, n_slots=2)
    assert answers(decoding, requests) == [alone(engine, requests[0]), whole]
    assert decoding.n_audio_prefilled == audio.n_tokens
