"""Answers that go wrong: cut ones asked for again in halves, loops and misshapen ones decoded again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scripted import asked, clip
from scripted_backend import cut, loop

from moss_cli.answers import FinishReason, Turn
from moss_cli.audio.chunk import Chunk
from moss_cli.audio.results import SAMPLE_RATE
from moss_cli.backends.protocol import Reply, Request
from moss_cli.errors import AnswerError, DeviceError, MossError, UsageError
from moss_cli.run.conversation import AGAIN
from moss_cli.run.envelopes import ending_notices
from moss_cli.run.speech_pieces import SearchedChunk, halves, plan, spoken
from moss_cli.span import Span
from moss_cli.tasks.ask import Ask
from moss_cli.tasks.describe_speaker import DescribeSpeaker
from moss_cli.tasks.reading.task import Part
from moss_cli.tasks.transcribe import Transcribe

SENTENCE = "[0.00]hello[0.50]"


def test_a_cut_transcript_is_asked_for_again_in_halves() -> None:
    task = Transcribe()
    [parts], backend = asked(task, lambda _, n: cut(SENTENCE) if n == 1 else SENTENCE, clip(10.0, pause_at=5.0))
    assert isinstance(parts, list)
    assert [(p.span.start_s, round(p.span.end_s, 1), p.finish_reason, p.attempts) for p in parts] == [
        (0.0, 5.3, "stop", 2),
        (parts[0].span.end_s, 10.0, "stop", 2),
    ]
    assert [notice.code for part in parts for notice in ending_notices(part)] == ["retried", "retried"]
    assert [round(s.start, 1) for s in task.merge(parts).result.segments] == [0.0, 5.3]
    assert len(backend.asked) == len(backend.heard) == 3
    assert len({request.seed for request in backend.asked}) == 3
    assert sum(part.cost.generated for part in parts) == 3  # what the first attempt took counts


def test_what_is_cut_however_short_the_chunk_is_partial_and_ends() -> None:
    [parts], backend = asked(Transcribe(), lambda *_: cut(SENTENCE), clip(30.0))
    assert isinstance(parts, list)
    assert {part.finish_reason for part in parts} == {"length"}
    assert not any(part.complete for part in parts)
    assert (parts[0].span.start_s, parts[-1].span.end_s) == (0.0, 30.0)
    assert len(backend.asked) < 40


@pytest.mark.parametrize(
    "failure", [AnswerError("none", code="unreadable"), DeviceError("out of memory"), RuntimeError("a bug")]
)
def test_a_half_that_fails_leaves_what_came_of_the_whole(failure: Exception) -> None:
    [parts], _ = asked(Transcribe(), lambda _, n: cut(SENTENCE) if n == 1 else failure, clip(10.0, pause_at=5.0))
    assert isinstance(parts, list)
    [part] = parts
    assert (part.finish_reason, part.reading.text) == ("length", "hello")


def test_a_device_that_fails_fails_the_chunk_alone() -> None:
    failure = DeviceError("out of memory", code="out_of_memory")
    found, _ = asked(Transcribe(), lambda _, n: failure if n == 2 else SENTENCE, clip(3.0), clip(4.0), clip(5.0))
    assert found[1] is failure
    assert [isinstance(one, list) for one in found] == [True, False, True]


def test_an_answer_is_given_room_by_the_audios_length() -> None:
    task = Transcribe("word")
    _, backend = asked(task, lambda *_: SENTENCE, clip(60.0))
    sentences, words = backend.asked
    assert (sentences.n_characters, sentences.n_least) == (64 + 20 * 60, 64)
    assert words.n_characters == 64 + 90 * 60
    assert sentences.max_new_tokens is None
    _, backend = asked(task, lambda *_: SENTENCE, clip(60.0), max_new_tokens=7)
    assert [request.max_new_tokens for request in backend.asked] == [7, 7]


def test_a_thought_that_takes_all_the_length_is_named() -> None:
    [parts], _ = asked(Ask("What?"), lambda *_: Reply("", "length", thought="so what"), clip(3.0), think=True)
    assert isinstance(parts, list)
    [part] = parts
    assert (part.complete, part.thought, part.reading.text) == (False, "so what", "")
    [notice] = ending_notices(part)
    assert notice.message == "the thought used up the maximum length, so there is no answer"


@pytest.mark.parametrize(
    ("finish_reason", "attempts", "cut_fields", "code", "message"),
    [
        ("length", 1, ("events",), "cut", "the answer reached its maximum length in events; the rest is missing"),
        ("length", 1, (), "cut", "the answer reached its maximum length; the rest is missing"),
        ("loop", 3, (), "loop", "the model repeated itself in all 3 attempts; the answer was cut there"),
        ("stop", 2, (), "retried", "this answer took 2 attempts"),
    ],
)
def test_how_an_answer_ended_is_told(
    finish_reason: FinishReason, attempts: int, cut_fields: tuple[str, ...], code: str, message: str
) -> None:
    reading = replace(Transcribe().read([SENTENCE], Span(1.0, 2.0)), cut=cut_fields)
    [notice] = ending_notices(Part(Span(1.0, 2.0), reading, finish_reason, attempts))
    assert (notice.code, notice.message, notice.start, notice.end) == (code, message, 1.0, 2.0)


def test_a_task_that_cannot_be_divided_is_not_halved() -> None:
    [parts], backend = asked(Ask("What?"), lambda *_: cut('{"answer": "a'), clip(10.0))
    assert isinstance(parts, list)
    [part] = parts
    assert (part.finish_reason, part.reading.text, len(backend.asked)) == ("length", "a", 1)


def test_a_loop_is_decoded_again_with_draws_and_says_so() -> None:
    [parts], backend = asked(Transcribe(), lambda _, n: loop(SENTENCE) if n < 3 else SENTENCE, clip(3.0))
    assert isinstance(parts, list)
    [part] = parts
    assert (part.finish_reason, part.attempts) == ("stop", 3)
    assert [request.sampling for request in backend.asked[1:]] == [AGAIN, AGAIN]
    assert AGAIN.temperature == 1.0
    assert AGAIN.top_k == 50
    assert len({request.seed for request in backend.asked}) == 3
    assert [notice.code for notice in ending_notices(part)] == ["retried"]


def test_what_loops_in_all_attempts_stays_as_it_was_first_and_says_so() -> None:
    [parts], backend = asked(Transcribe(), lambda _, n: loop(f"[0.00]try {n}[0.50]"), clip(3.0))
    assert isinstance(parts, list)
    [part] = parts
    assert (part.finish_reason, part.attempts, part.reading.text, len(backend.asked)) == ("loop", 3, "try 1", 3)
    [notice] = ending_notices(part)
    assert notice.message == "the model repeated itself in all 3 attempts; the answer was cut there"


def test_only_the_looping_one_of_several_is_decoded_again() -> None:
    found, backend = asked(
        Transcribe(), lambda _, n: loop(SENTENCE) if n == 2 else SENTENCE, clip(3.0), clip(4.0), clip(5.0)
    )
    assert [one[0].attempts for one in found if isinstance(one, list)] == [1, 2, 1]
    assert len(backend.asked) == 4


def test_what_was_shown_of_a_looping_answer_stands() -> None:
    texts = {1: '{"answer": "It is', 2: " rain", 3: ' and wind", "evidence": []}'}
    shown: list[str] = []
    [parts], backend = asked(
        Ask("What?"), lambda _, n: loop(texts[n]) if n < 3 else texts[n], clip(3.0), on_text=shown.append
    )
    assert isinstance(parts, list)
    assert parts[0].reading.text == "It is rain and wind"
    assert backend.asked[2].goes_on_from is not None
    assert backend.asked[2].goes_on_from.settled == '{"answer": "It is rain'
    assert shown == [texts[1], texts[1] + texts[2], texts[1] + texts[2] + texts[3]]


def test_an_answer_of_another_form_is_decoded_again_and_then_an_error() -> None:
    task, good = DescribeSpeaker(), '{"gender": "male"}'
    [parts], backend = asked(task, lambda _, n: good if n == 3 else "A man.", clip(3.0))
    assert isinstance(parts, list)
    assert (parts[0].reading.result.gender, parts[0].attempts, len(backend.asked)) == ("male", 3, 3)
    assert [request.sampling for request in backend.asked[1:]] == [AGAIN, AGAIN]
    [error], backend = asked(task, lambda *_: "A man.", clip(3.0))
    assert isinstance(error, AnswerError)
    assert (error.message, error.exit_code) == ("none of the model's 3 answers had the required form", 7)
    assert len(backend.asked) == 3


def test_what_cannot_be_asked_fails_the_conversation_with_its_reason() -> None:
    def say(request: Request, n: int) -> str:
        raise RuntimeError("no such thing")

    [error], _ = asked(Transcribe(), say, clip(3.0))
    assert isinstance(error, MossError)
    assert (error.code, error.message) == ("internal", "RuntimeError: no such thing")
    assert isinstance(error.__cause__, RuntimeError)


def test_halves_join_at_a_pause_and_short_chunks_have_none() -> None:
    first, *rest = halves(clip(10.0, pause_at=4.0))
    assert (first.span.start_s, round(first.span.end_s, 1)) == (0.0, 4.3)
    assert rest[0].span.start_s == first.span.end_s
    assert [one.name for one in (first, *rest)] == ["0/0", "0/1"]
    assert halves(clip(3.9)) == []


def test_stretches_without_speech_are_skipped() -> None:
    chunk = Chunk(np.arange(10 * SAMPLE_RATE, dtype=np.float32), Span(100.0, 110.0), "7")
    found = list(spoken(chunk, [Span(0, 2), Span(5, 8)]))
    assert [(p.start_s, p.end_s) if isinstance(p, Span) else (p.span.start_s, p.span.end_s) for p in found] == [
        (100, 102), (102, 105), (105, 108), (108, 110),
    ]  # fmt: skip
    pieces = [p for p in found if isinstance(p, Chunk)]
    assert [p.name for p in pieces] == ["7.0", "7.1"]
    assert [int(p.samples[0]) // SAMPLE_RATE for p in pieces] == [2, 8]


def test_without_a_search_for_silence_chunks_stay_whole() -> None:
    chunk = clip(50.0)
    assert list(plan([SearchedChunk(chunk)], "nothing", finds_speech=False)) == [chunk]


TOO_LONG = UsageError("too long", code="too_long")
THREE_TURNS = tuple(Turn(f"{n}?", f"{n}.") for n in range(3))


def test_a_question_is_asked_after_the_turns_before_it() -> None:
    _, backend = asked(Ask("Why?", turns=THREE_TURNS), lambda *_: '{"answer": "a", "evidence": []}', clip(3.0))
    assert [request.turns for request in backend.asked] == [THREE_TURNS]


def test_turns_that_the_model_has_no_room_for_are_left_out_the_oldest_first() -> None:
    task = Ask("Why?", turns=THREE_TURNS)
    said = '{"answer": "a", "evidence": []}'
    [parts], backend = asked(task, lambda request, _: TOO_LONG if len(request.turns) > 1 else said, clip(3.0))
    assert isinstance(parts, list)
    assert [request.turns for request in backend.asked] == [THREE_TURNS, THREE_TURNS[1:], THREE_TURNS[2:]]
    [notice] = parts[0].reading.notices
    assert notice.code == "turns_left_out"
    assert notice.message == "the model had no room for the oldest of the earlier questions; 2 left out"


def test_what_is_too_long_without_any_turns_fails() -> None:
    found, backend = asked(Ask("Why?", turns=THREE_TURNS), lambda *_: TOO_LONG, clip(3.0))
    assert found == [TOO_LONG]
    assert [len(request.turns) for request in backend.asked] == [3, 2, 1, 0]
