"""Answers that go wrong: cut ones asked for again in halves, loops and misshapen ones decoded again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scripted import answerer, clip

from moss_cli.audio.results import SAMPLE_RATE
from moss_cli.engine.engine import Engine
from moss_cli.engine.generate import Request
from moss_cli.errors import AnswerError
from moss_cli.run.conversation import AGAIN
from moss_cli.run.speech_pieces import Piece, halves, plan, spoken
from moss_cli.span import Span
from moss_cli.tasks.ask import Ask
from moss_cli.tasks.describe_speaker import DescribeSpeaker
from moss_cli.tasks.transcribe import Transcribe


def test_a_cut_transcript_is_asked_for_again_in_halves(monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    def answer(request: Request, call: int) -> tuple[str, str]:
        return ("[0.00]hello[0.50]", "length" if call == 1 else "stop")

    task = Transcribe()
    one, seen = answerer(monkeypatch, engine, task, answer)
    [answered] = one.answer(task, [clip(10.0, pause_at=5.0)])
    assert [(a.span.start_s, round(a.span.end_s, 1), a.finish_reason, a.attempts) for a in answered] == [
        (0.0, 5.3, "stop", 2),
        (answered[0].span.end_s, 10.0, "stop", 2),
    ]
    assert [notice.code for a in answered for notice in a.notices()] == ["retried", "retried"]
    merged = task.merge([a.part for a in answered])
    assert [round(s.start, 1) for s in merged.result.segments] == [0.0, 5.3]  # type: ignore[union-attr]
    assert len(seen) == 3
    assert len({request.seed for request in seen}) == 3


def test_what_is_cut_however_short_the_piece_is_partial_and_ends(
    monkeypatch: pytest.MonkeyPatch, engine: Engine
) -> None:
    task = Transcribe()
    one, seen = answerer(monkeypatch, engine, task, lambda request, call: ("[0.00]hello[0.50]", "length"))
    [answered] = one.answer(task, [clip(30.0)])
    assert {a.finish_reason for a in answered} == {"length"}
    assert all(not a.complete for a in answered)
    assert answered[0].span.start_s == 0
    assert answered[-1].span.end_s == 30.0
    assert len(seen) < 40


def test_an_answer_is_never_longer_than_the_model_has_positions(
    monkeypatch: pytest.MonkeyPatch, engine: Engine
) -> None:
    task = Transcribe("word")
    one, seen = answerer(monkeypatch, engine, task, lambda *_: ("[0.00]hello[0.50]", "stop"))
    one.answer(task, [clip(60.0)])
    sentences, words = seen
    limit = engine.model.config.language.max_position_embeddings
    assert sentences.max_new_tokens == 64 + 20 * 60
    assert words.max_new_tokens == limit - len(words.prompt.ids) < 64 + 90 * 60
    assert all(request.most_tokens + len(request.prompt.ids) <= limit for request in seen)


def test_a_thought_that_takes_all_the_length_is_named(monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    task = Ask("What?")
    one, _ = answerer(monkeypatch, engine, task, lambda *_: ("so what", "length"))
    one.job = replace(one.job, think=True)
    [[answered]] = one.answer(task, [clip(3.0)])
    assert (answered.complete, answered.thought, answered.reading.text) == (False, "so what", "")
    [notice] = answered.notices()
    assert notice.message == "the thought took all the length there was, so that no answer came"


def test_other_tasks_are_not_halved(monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    task = Ask("What?")
    one, seen = answerer(monkeypatch, engine, task, lambda request, call: ('{"answer": "a', "length"))
    [[answered]] = one.answer(task, [clip(10.0)])
    assert (answered.finish_reason, answered.reading.text, len(seen)) == ("length", "a", 1)


def test_a_loop_is_decoded_again_with_draws_and_says_so(monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    def answer(request: Request, call: int) -> tuple[str, str]:
        return ("[0.00]hello[0.50]", "loop" if call < 3 else "stop")

    task = Transcribe()
    one, seen = answerer(monkeypatch, engine, task, answer)
    [[answered]] = one.answer(task, [clip(3.0)])
    assert (answered.finish_reason, answered.attempts) == ("stop", 3)
    assert [request.sampling for request in seen[1:]] == [AGAIN, AGAIN]
    assert [notice.code for notice in answered.notices()] == ["retried"]


def test_only_the_looping_answers_of_a_batch_are_decoded_again(monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    task = Transcribe()
    one, seen = answerer(
        monkeypatch, engine, task, lambda request, call: ("[0.00]hello[0.50]", "loop" if call == 2 else "stop")
    )
    answered = one.answer(task, [clip(3.0), clip(4.0), clip(5.0)])
    assert [a.attempts for [a] in answered] == [1, 2, 1]
    assert len(seen) == 4


def test_what_was_shown_of_a_looping_answer_stands(monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    texts = {1: '{"answer": "It is', 2: " rain", 3: ' and wind", "evidence": []}'}
    task = Ask("What?")
    one, seen = answerer(monkeypatch, engine, task, lambda _, call: (texts[call], "loop" if call < 3 else "stop"))
    shown: list[str] = []
    [[answered]] = one.answer(task, [clip(3.0)], on_shown=shown.append)
    assert answered.reading.text == "It is rain and wind"
    assert all(answered.reading.text.startswith(text) for text in shown)
    assert shown == sorted(shown, key=len)
    assert engine.text(seen[2].prefix) == '{"answer": "It is rain'


def test_an_answer_of_another_form_is_decoded_again_and_then_an_error(
    monkeypatch: pytest.MonkeyPatch, engine: Engine
) -> None:
    task = DescribeSpeaker()
    good = '{"gender": "male"}'
    one, seen = answerer(monkeypatch, engine, task, lambda _, call: (good if call == 3 else "A man.", "stop"))
    [[answered]] = one.answer(task, [clip(3.0)])
    assert (answered.reading.result.gender, answered.attempts, len(seen)) == ("male", 3, 3)  # type: ignore[union-attr]
    one, seen = answerer(monkeypatch, engine, task, lambda *_: ("A man.", "stop"))
    [error] = one.answer(task, [clip(3.0)])
    assert isinstance(error, AnswerError)
    assert (error.message, error.exit_code) == ("none of 3 answers has the form that was asked for", 7)
    assert len(seen) == 3


def test_halves_join_at_a_pause_and_short_pieces_have_none() -> None:
    first, *rest = halves(clip(10.0, pause_at=4.0))
    assert (first.span.start_s, round(first.span.end_s, 1)) == (0.0, 4.3)
    assert rest[0].span.start_s == first.span.end_s
    assert halves(clip(3.9)) == []


def test_stretches_without_speech_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moss_cli.run.speech_pieces.silent_stretches", lambda samples: [Span(0, 2), Span(5, 8)])
    piece = Piece(np.arange(10 * SAMPLE_RATE, dtype=np.float32), Span(100.0, 110.0), "7")
    found = list(spoken(piece))
    assert [(p.start_s, p.end_s) if isinstance(p, Span) else (p.span.start_s, p.span.end_s) for p in found] == [
        (100, 102), (102, 105), (105, 108), (108, 110),
    ]  # fmt: skip
    pieces = [p for p in found if isinstance(p, Piece)]
    assert [p.name for p in pieces] == ["7.0", "7.1"]
    assert [int(p.samples[0]) // SAMPLE_RATE for p in pieces] == [2, 8]


def test_without_a_search_for_silence_chunks_are_pieces() -> None:
    from moss_cli.audio.chunk import chunks

    samples = clip(50.0).samples
    pieces = list(plan(chunks(iter([samples]), longest_s=20.0), "x", "nothing"))
    assert [p.name for p in pieces if isinstance(p, Piece)] == ["0", "1", "2"]
