import re

from hypothesis import given
from hypothesis import strategies as st

from moss_cli.output.terminal import one_line, printable


def test_escape_sequences_are_shown_instead_of_obeyed():
    assert printable("\x1b[31mred\x1b[0m\x07\r\x7f") == "␛[31mred␛[0m␇␍␡"
    assert printable("\x9b31m") == "\\x9b31m"
    assert printable("a\u202eb\u2066c") == "a\\u202eb\\u2066c"


def test_lines_tabs_and_words_in_any_script_stay():
    assert printable("a\tb\n[laughter] שלום 😀 \u200f") == "a\tb\n[laughter] שלום 😀 \u200f"


def test_bytes_of_a_path_that_are_not_utf8_are_shown():
    assert printable("a\udcff") == "a\\xff"
    assert printable("\ud800") == "\\ud800"


def test_a_name_stays_on_one_line():
    assert one_line("a\nb\tc\u2028d") == "a␊b␉c\\u2028d"


@given(st.text(st.characters()))
def test_nothing_drives_a_terminal(text):
    shown = printable(text)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)
    assert "\n" not in one_line(text)
    shown.encode()
