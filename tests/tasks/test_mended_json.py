"""One token that nobody can use does not lose the answer around it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moss_cli.tasks.ask import FIELDS
from moss_cli.tasks.reading.json_answers import read_json
from moss_cli.tasks.reading.mended_json import MOST_DIGITS, mended
from moss_cli.tasks.summarize import FIELDS as SUMMARY_FIELDS


@pytest.mark.parametrize(
    ("said", "read"),
    [
        (r"half \ud83d of it", "half \ufffd of it"),
        (r"\udE00\uD83D", "\ufffd\ufffd"),
        (r"\ud83d\ude00 and \ud83d", "\U0001f600 and \ufffd"),
        (r"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (r"a backslash: \\ud83d", r"a backslash: \ud83d"),
        ("two\nlines\x00", "two lines"),
        (r"it\'s 5\% of \u12 and \x", r"it\'s 5\% of \u12 and \x"),
    ],
)
def test_a_text_is_there_with_its_broken_character_replaced(said: str, read: str) -> None:
    found = read_json(f'{{"answer": "{said}", "evidence": []}}', FIELDS)
    assert (found.text("answer"), found.complete, found.cut) == (read, True, ())


@pytest.mark.parametrize("number", ["9" * 5_000, "-" + "9" * 5_000, "9" * 5_000 + ".5e3", "NaN", "-Infinity"])
def test_a_number_that_is_none_is_null_and_the_rest_is_there(number: str) -> None:
    answer = (
        f'{{"summary": "Rain.", "key_points": ["a"], "chapters": [{{"start": {number}, "end": 4, "title": "NaN"}}]}}'
    )
    found = read_json(answer, SUMMARY_FIELDS)
    assert (found.text("summary"), found.texts("key_points"), found.complete) == ("Rain.", ("a",), True)
    assert found.values["chapters"] == [{"start": None, "end": 4, "title": "NaN"}]


def test_an_answer_that_breaks_off_after_a_broken_token_is_read_as_far_as_it_goes() -> None:
    found = read_json(r'{"answer": "half \ud83d of it", "evidence": [{"start": 1, "end": 2, "text": "so \u00', FIELDS)
    assert (found.text("answer"), found.complete, found.cut) == ("half \ufffd of it", False, ("evidence",))
    assert found.values["evidence"][0]["text"] == "so "


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(VALUES, st.booleans())
def test_what_is_whole_stays_as_it_is(value: object, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert mended(text) == text


def test_the_longest_integer_that_is_read_stays_as_it_is() -> None:
    assert mended("9" * MOST_DIGITS) == "9" * MOST_DIGITS
    assert mended("9" * (MOST_DIGITS + 1)) == "null"


@given(st.text(alphabet='\\u"dD8cCfF0 x\n{}:,9', max_size=60))
def test_any_text_in_quotes_is_a_string_that_a_parser_takes(text: str) -> None:
    inside = mended('"' + text.replace('"', "") + ' "')
    closed = inside if inside.endswith('"') and len(inside) > 1 else inside + '"'
    assert isinstance(json.loads(closed), str)
