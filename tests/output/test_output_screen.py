"""Text on a terminal: lines broken between words, columns kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from wcwidth import width as display_width

from moss_cli.output.screen import folded, hanging, settled
from moss_cli.output.text import one_line


def test_lines_are_broken_between_words() -> None:
    assert folded("it rains all day long, says she\n", 20) == "it rains all day\nlong, says she\n"
    assert folded("会议讨论了明年的预算,大家同意\n", 20) == "会议讨论了明年的预\n算,大家同意\n"


def test_a_long_message_goes_on_below_itself_and_a_word_stays_whole() -> None:
    text = "moss: warning: it rains all day long"
    assert hanging(text, 36, 6) == hanging(text, 0, 6) == hanging(text, 19, 6) == text
    assert hanging(text, 24, 6) == "moss: warning: it rains\n      all day long"
    assert hanging("moss: " + "a" * 20 + " b", 20, 6) == "moss: " + "a" * 14 + "\n      " + "a" * 6 + " b"


@given(st.text(), st.integers(20, 60))
def test_a_message_is_never_wider_than_the_terminal_and_loses_no_word(text: str, columns: int) -> None:
    shown = hanging("moss: " + one_line(text), columns, 6)
    assert all(display_width(line) <= columns for line in shown.split("\n"))
    assert "".join(shown.split()) == "".join(("moss: " + one_line(text)).split())


def test_what_continues_a_column_stays_in_it() -> None:
    assert folded("setting     a street in the rain\n", 28) == "setting     a street in the\n            rain\n"
    assert folded("  - travel is cut by a third\n", 20) == "  - travel is cut by\n    a third\n"
    assert folded(" 0:00.0 –  0:02.0  rain on a roof at night\n", 38) == (
        " 0:00.0 –  0:02.0  rain on a roof at\n                   night\n"
    )


def test_a_column_that_would_be_too_narrow_is_none() -> None:
    assert folded("0:00.0 – 0:02.0  rain on a roof\n", 24) == "0:00.0 – 0:02.0 rain on\na roof\n"


def test_what_fits_and_what_has_no_width_stays() -> None:
    assert folded("two  blanks\n\n  - one\n", 40) == "two  blanks\n\n  - one\n"
    assert folded("a long line " * 20, 0) == "a long line " * 20
    assert folded("a long line " * 20, 19) == "a long line " * 20


@given(st.lists(st.sampled_from(["rain", "a", "会", "议,", "(x)", "“y”", "long-word", "😀"]), max_size=40), st.data())
def test_what_was_shown_of_a_text_stands_however_it_goes_on(words: list[str], data: st.DataObject) -> None:
    text = one_line(" ".join(words))
    whole = folded(text + "\n", 24)
    begun = text[: data.draw(st.integers(0, len(text)))]
    assert whole.startswith(folded(settled(one_line(begun)), 24))
    assert all(display_width(line) <= 24 for line in whole.splitlines())
    assert whole.split() == text.split() or "".join(whole.split()) == "".join(text.split())
