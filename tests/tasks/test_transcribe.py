"""The transcription task: prompts, and answers in the file's own times."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moss_cli.schema import Segment
from moss_cli.tasks.task import Span
from moss_cli.tasks.thinking import split_thinking
from moss_cli.tasks.transcribe import Transcribe, join_texts


def test_the_prompts_are_the_maintainers_own() -> None:
    assert Transcribe("none").questions[0].prompt == "Transcribe the audio."
    assert (
        Transcribe("segment")
        .questions[0]
        .prompt.startswith("Transcribe the audio into sentence-level timestamps using the format ")
    )
    assert Transcribe(custom_prompt="Write it down.").questions[0].prompt == "Write it down."


def test_times_are_those_of_the_file() -> None:
    reading = Transcribe().read(["[0.50]hello[1.25]"], Span(60.0, 70.0))
    assert reading.result.segments == (Segment(start=60.5, end=61.25, text="hello"),)
    assert reading.text == "hello"
    assert reading.notices == ()


def test_plain_text_has_no_segments() -> None:
    reading = Transcribe("none").read([" two  words\n"], Span(0.0, 5.0))
    assert (reading.text, reading.result.segments) == ("two words", ())


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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", (None, "plain")),
        ("<think>\n\n</think>\n\nanswer", (None, "answer")),
        ("<think>because</think>answer", ("because", "answer")),
        ("<think>never ends", ("never ends", "")),
        ("says <think> later", (None, "says <think> later")),
    ],
)
def test_thoughts_are_split_off(text: str, expected: tuple[str | None, str]) -> None:
    assert split_thinking(text) == expected
