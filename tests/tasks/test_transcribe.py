"""The transcription task: prompts, and answers in the file's own times."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moss_cli.span import Span
from moss_cli.tasks.reading.timed import Segment
from moss_cli.tasks.transcribe import Timestamps, Transcribe, join_texts


def test_the_prompts_are_the_maintainers_own() -> None:
    assert Transcribe("none").questions[0].prompt == "Transcribe the audio."
    assert (
        Transcribe("segment")
        .questions[0]
        .prompt.startswith("Transcribe the audio into sentence-level timestamps using the format ")
    )
    assert Transcribe("none", custom_prompt="Write it down.").questions[0].prompt == "Write it down."


def test_times_are_those_of_the_file() -> None:
    reading = Transcribe().read(["[0.50]hello[1.25]"], Span(60.0, 70.0))
    assert reading.result.segments == (Segment(start=60.5, end=61.25, text="hello"),)
    assert reading.text == "hello"
    assert reading.notices == ()


def test_plain_text_has_no_segments() -> None:
    reading = Transcribe("none").read([" two  words\n"], Span(0.0, 5.0))
    assert (reading.text, reading.result.segments) == ("two words", ())


def test_speakers_are_split_off_their_sentences() -> None:
    answer = "[0.00][S01]hello[1.00][1.00][S02] hi [S01]how are you[2.00][2.00]nobody[3.00]"
    segments = Transcribe(speakers=True).read([answer], Span(10.0, 20.0)).result.model_dump()["segments"]
    assert [(s["start"], s["end"], s.get("speaker"), s["text"]) for s in segments] == [
        (10.0, 11.0, "S01", "hello"),
        (11.0, 12.0, "S02", "hi"),
        (11.0, 12.0, "S01", "how are you"),
        (12.0, 13.0, None, "nobody"),
    ]


@pytest.mark.parametrize("timestamps", ["segment", "none"])
def test_speakers_are_asked_for_in_the_maintainers_words(timestamps: Timestamps) -> None:
    prompt = Transcribe(timestamps, speakers=True).questions[0].prompt
    assert prompt.startswith("Transcribe the audio into text. Each sentence should begin with a s")
    assert ("end timestamp" in prompt) is (timestamps == "segment")


def test_a_language_is_a_hint_and_stands_in_the_result() -> None:
    task = Transcribe("none", language="Chinese")
    assert task.questions[0].prompt == "Transcribe the audio. The audio is in Chinese."
    assert task.read(["你好"], Span(0.0, 1.0)).result.model_dump()["language"] == "Chinese"
    assert Transcribe("none").read(["hello"], Span(0.0, 1.0)).result.model_dump()["language"] is None


def test_missing_times_are_said() -> None:
    notices = Transcribe().read(["hello"], Span(2.0, 5.0)).notices
    assert [(n.code, n.start, n.end) for n in notices] == [("times_missing", 2.0, 5.0)]


@given(answer=st.text(), start=st.floats(0, 1e5), length=st.floats(0.001, 1e4))
def test_times_never_pass_the_end_of_the_span(answer: str, start: float, length: float) -> None:
    span = Span(start, start + length)
    for segment in Transcribe().read([f"[0.1]{answer}[{length:.2f}]x"], span).result.segments:
        assert round(start, 3) <= segment.start <= segment.end <= span.end_s


@pytest.mark.parametrize(
    ("texts", "joined"),
    [
        (["a", "b"], "a b"),
        (["你好", "世界"], "你好世界"),
        (["你好", "ok"], "你好 ok"),
        (["안녕", "하세요"], "안녕 하세요"),
        ([], ""),
    ],
)
def test_sentences_are_joined_as_their_script_joins_them(texts: list[str], joined: str) -> None:
    assert join_texts(texts) == joined
