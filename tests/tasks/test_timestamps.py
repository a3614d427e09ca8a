"""Reading [x.xx]text[y.yy], as it should be written and as models write it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moss_cli.tasks.reading.timestamps import TIME, TimedText, read_timestamps

CLIP_S = 10.0


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("", []),
        ("[0.00]hello there[2.01][2.01]nice today[4.32]", [(0.0, 2.01, "hello there"), (2.01, 4.32, "nice today")]),
        ("[1.00] spaces \n inside [2.00]", [(1.0, 2.0, "spaces inside")]),
        ("[0:01.50]clock[0:00:02,5]", [(1.5, 2.5, "clock")]),
        ("[1.0]the end is missing", [(1.0, 10.0, "the end is missing")]),
        ("[1.0]a[2.0]b[3.0]", [(1.0, 2.0, "a"), (2.0, 3.0, "b")]),
        ("the start is missing[2.0]", [(0.0, 2.0, "the start is missing")]),
        ("stray [1.0]a[2.0] stray", [(0.0, 1.0, "stray"), (1.0, 2.0, "a"), (2.0, 10.0, "stray")]),
        ("[1.0][3.0]twice opened[4.0]", [(3.0, 4.0, "twice opened")]),
        ("[4.0]backwards[2.0]", [(0.0, 2.0, "backwards")]),
        ("[1.0]a[99.0][2.0]b[3.0]", [(1.0, 2.0, "a"), (2.0, 3.0, "b")]),
        ("[1.0]past the end[10.04]", [(1.0, 10.0, "past the end")]),
        ("[50.0]all[60.0][61.0]outside[70.0]", [(0.0, 0.0, "all"), (0.0, 10.0, "outside")]),
        ("[laughter] is not a time", [(0.0, 10.0, "[laughter] is not a time")]),
        ("[5.0][6.0]", []),
    ],
)
def test_answers_are_read_as_they_are_meant(answer: str, expected: list[tuple[float, float, str]]) -> None:
    assert read_timestamps(answer, CLIP_S).texts == tuple(TimedText(*one) for one in expected)


def test_an_answer_in_order_is_not_called_repaired() -> None:
    reading = read_timestamps("[0.00]a[2.01][2.01]b[4.32]", CLIP_S)
    assert (reading.untimed, reading.repaired) == (False, False)


def test_an_answer_without_times_is_called_untimed() -> None:
    assert read_timestamps("just words", CLIP_S).untimed


def test_times_that_run_backwards_are_called_repaired() -> None:
    assert read_timestamps("[3.0]a[1.0]", CLIP_S).repaired


PIECES = st.lists(
    st.one_of(
        st.text(max_size=6), st.floats(0, 30).map(lambda t: f"[{t:.2f}]"), st.sampled_from(["[1.00]", "][", "[", "a b"])
    ),
    max_size=16,
).map("".join)


@given(answer=PIECES, duration_s=st.floats(0.01, 30))
def test_whatever_the_model_says_no_word_is_lost_and_times_stay_in_order(answer: str, duration_s: float) -> None:
    last = 0.0
    segments = read_timestamps(answer, duration_s).texts
    for segment in segments:
        assert last <= segment.start_s <= segment.end_s <= duration_s
        last = segment.end_s
    assert " ".join(TIME.sub(" ", answer).split()) == " ".join(s.text for s in segments)


@given(st.lists(st.tuples(st.integers(1, 300), st.text("abc d", min_size=1).filter(str.strip)), max_size=8))
def test_what_is_written_in_the_format_is_read_back(parts: list[tuple[int, str]]) -> None:
    at, expected, answer = 0, [], ""
    for length, text in parts:
        start, at = at / 100, at + length
        answer += f"[{start:.2f}]{text}[{at / 100:.2f}]"
        expected.append(TimedText(start, at / 100, " ".join(text.split())))
    assert read_timestamps(answer, 30.0).texts == tuple(expected)
