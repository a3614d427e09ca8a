"""Subtitle lines by their width on display, and cues of so many lines."""

from __future__ import annotations

from itertools import pairwise

import pysubs2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from output_examples import envelope
from wcwidth import width

from moss_cli.output.cues import Cue, TimedWord
from moss_cli.output.layout import Layout
from moss_cli.output.render import render
from moss_cli.output.text import one_line
from moss_cli.output.wrap import fit, wrapped
from moss_cli.tasks.reading.timed import Segment


@pytest.mark.parametrize(
    ("text", "columns", "lines"),
    [
        ("the quick brown fox", 10, ["the quick", "brown fox"]),
        ("the quick brown fox", None, ["the quick brown fox"]),
        ("今天天气很好，我们去公园散步吧。", 12, ["今天天气很", "好，我们去公", "园散步吧。"]),
        ("他说（你好）。", 8, ["他说（你", "好）。"]),
        ("他们说（你好）。", 8, ["他们说", "（你", "好）。"]),
        ("jumps over 你好世界 the", 15, ["jumps over 你好", "世界 the"]),
        ("abcdefghij k", 4, ["abcd", "efgh", "ij k"]),
        ("  a \n b  ", 40, ["a b"]),
        ("", 10, []),
    ],
)
def test_lines(text: str, columns: int | None, lines: list[str]) -> None:
    assert wrapped(text, columns) == ([one_line(text)] if columns is None else lines)


@given(st.text(), st.integers(2, 60))
def test_no_line_is_wider_than_asked_and_no_character_is_lost(text: str, columns: int) -> None:
    lines = wrapped(text, columns)
    assert "".join("".join(lines).split()) == "".join(one_line(text).split())
    for line in lines:
        assert width(line) <= columns or len(line) == 1


FOX = Cue(
    0,
    4000,
    "the quick brown fox jumps",
    words=tuple(
        TimedWord(start, end, word)
        for start, end, word in [
            (0, 500, "the"),
            (500, 1000, "quick"),
            (1500, 2000, "brown"),
            (2000, 2500, "fox"),
            (3000, 4000, "jumps"),
        ]
    ),
)


def test_a_cue_with_too_many_lines_is_cut_where_its_words_are_said() -> None:
    assert [(c.start_ms, c.end_ms, c.text) for c in fit([FOX], Layout(10, 1))] == [
        (0, 1000, "the quick"),
        (1500, 2500, "brown fox"),
        (3000, 4000, "jumps"),
    ]
    assert [(c.start_ms, c.end_ms, c.text) for c in fit([FOX], Layout(10, 2))] == [
        (0, 2500, "the quick\nbrown fox"),
        (3000, 4000, "jumps"),
    ]


def test_without_times_of_words_a_cues_time_is_shared_out_by_width() -> None:
    cue = Cue(1000, 3000, "aaaa bbbb")
    assert [(c.start_ms, c.end_ms, c.text) for c in fit([cue], Layout(4, 1))] == [
        (1000, 2000, "aaaa"),
        (2000, 3000, "bbbb"),
    ]


def test_without_a_count_a_cue_stays_one() -> None:
    assert [c.text for c in fit([FOX], Layout(10))] == ["the quick\nbrown fox\njumps"]


@given(st.text(max_size=80), st.integers(2, 30), st.integers(1, 3), st.integers(0, 5000))
def test_parts_of_a_cue_follow_each_other_inside_it(text: str, columns: int, count: int, length: int) -> None:
    parts = list(fit([Cue(500, 500 + length, text)], Layout(columns, count)))
    assert all(500 <= p.start_ms <= p.end_ms <= 500 + length for p in parts)
    assert all(a.end_ms <= b.start_ms for a, b in pairwise(parts))
    assert all(p.text.count("\n") < count for p in parts)


@pytest.mark.parametrize("fmt", ["srt", "vtt"])
def test_a_player_reads_what_is_wrapped(fmt: str) -> None:
    said = envelope(Segment(start=0, end=4, text="the quick brown fox jumps over 你好世界"))
    read = pysubs2.SSAFile.from_string(render(said, fmt, Layout(10, 2)))
    assert [event.plaintext for event in read] == ["the quick\nbrown fox", "jumps over\n你好世界"]


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("ちょっと待ってください", 6),
        ("コンピューターのデータ", 6),
        ("「はい」、と言った。", 6),
        ("時々そう思うゝ", 4),
        ("wait… （yes）！ no？", 10),
    ],
)
def test_small_kana_and_closing_marks_never_begin_a_line_nor_opening_ones_end_it(text: str, columns: int) -> None:
    lines = wrapped(text, columns)
    assert len(lines) > 1
    assert not [line for line in lines if line[0] in "ょっッャュョー」、。々ゝ…）！？"]
    assert not [line for line in lines if line[-1] in "「（"]


def test_a_mark_after_a_space_stays_with_its_word_and_so_does_what_a_no_break_space_holds() -> None:
    assert wrapped("Bonjour ! Salut", 9) == ["Bonjour !", "Salut"]
    assert wrapped("ab 10\u00a0km", 6) == ["ab", "10\u00a0km"]


def test_the_lines_of_a_cue_are_about_as_long_as_each_other() -> None:
    cue = Cue(0, 9000, "david needs twenty minutes for the budget")
    assert [c.text for c in fit([cue], Layout(35, 2))] == ["david needs twenty\nminutes for the budget"]
    assert [c.text for c in fit([cue], Layout(21, 1))] == ["david needs", "twenty minutes", "for the budget"]


def test_no_part_of_a_cue_is_too_short_to_be_read() -> None:
    words = tuple(
        TimedWord(start, end, word)
        for start, end, word in [(0, 1400, "twenty"), (1400, 2800, "minutes"), (2800, 2900, "budget")]
    )
    parts = fit([Cue(0, 2900, "twenty minutes budget", words=words)], Layout(8, 1))
    assert [(c.start_ms, c.end_ms) for c in parts] == [(0, 1234), (1234, 2067), (2067, 2900)]
    parts = fit([Cue(0, 900, "aaaa bbbb cccc")], Layout(4, 1))
    assert [(c.start_ms, c.end_ms) for c in parts] == [(0, 300), (300, 600), (600, 900)]


def test_a_cue_lasts_into_the_pause_that_follows_it_until_it_can_be_read() -> None:
    quick, text = Cue(0, 100, "yes"), "x" * 40  # 40 columns take 2 s
    ends = [(c.start_ms, c.end_ms) for c in fit([quick, Cue(5000, 5100, text)], Layout(42, 2), 6000)]
    assert ends == [(0, 833), (5000, 6000)]
    ends = [(c.start_ms, c.end_ms) for c in fit([quick, Cue(500, 1000, text)], Layout(42, 2), 9000)]
    assert ends == [(0, 500), (500, 2500)]


def test_words_stay_with_the_part_of_the_cue_that_says_them() -> None:
    parts = fit([FOX], Layout(10, 1))
    assert [[word.text for word in part.words] for part in parts] == [["the", "quick"], ["brown", "fox"], ["jumps"]]
