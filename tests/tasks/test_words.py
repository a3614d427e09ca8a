"""Words of an answer brought together with its sentences."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moss_cli.span import Span
from moss_cli.tasks.reading.timed import Segment
from moss_cli.tasks.reading.timestamps import drafts
from moss_cli.tasks.reading.words import units, with_words
from moss_cli.tasks.transcribe import Transcribe

SPAN = Span(10.0, 20.0)
ASK = Transcribe("word")


def read(sentences: str, words: str) -> tuple[list[tuple[float, float, str] | None], list[str]]:
    """The words of each segment flattened, and the codes of what is to be said."""
    reading = ASK.read([sentences, words], SPAN)
    found = [w and [(x.start, x.end, x.word) for x in w] for w in (s.words for s in reading.result.segments)]
    return found, [notice.code for notice in reading.notices]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("Hello, there - you!", ["hello", "there", "you"]),
        ("你好，世界。", ["你", "好", "世", "界"]),
        ("我们用Python写。", ["我", "们", "用", "python", "写"]),
        ("안녕 세상", ["안녕", "세상"]),
        ("...", []),
        ("don't stop-gap", ["dont", "stopgap"]),
    ],
)
def test_units_are_words_and_ideographs(text: str, keys: list[str]) -> None:
    assert [unit.key for unit in units(text)] == keys


@given(st.text())
def test_units_lie_in_order_and_leave_out_only_blanks_and_leading_marks(text: str) -> None:
    found = units(text)
    assert all(a.end <= b.start for a, b in pairwise(found))
    assert all(0 <= unit.start < unit.end <= len(text) and unit.key for unit in found)


def test_words_take_the_sentences_spelling_and_file_time() -> None:
    words, codes = read(
        "[0.50]Hello, there.[1.50][2.00]Bye![2.40]", "[0.50]hello[0.90][0.95]there[1.50][2.00]bye[2.40]"
    )
    assert words == [[(10.5, 10.9, "Hello,"), (10.95, 11.5, "there.")], [(12.0, 12.4, "Bye!")]]
    assert codes == []


def test_ideographs_under_one_time_are_one_word() -> None:
    words, _ = read("[0.00]今天天气好。[2.00]", "[0.00]今天[0.60][0.60]天气[1.20][1.20]好[2.00]")
    assert words == [[(10.0, 10.6, "今天"), (10.6, 11.2, "天气"), (11.2, 12.0, "好。")]]


def test_a_word_heard_otherwise_the_second_time_keeps_its_time() -> None:
    words, codes = read("[0.00]I have two dogs[2.00]", "[0.00]I[0.20][0.20]have[0.60][0.60]to[0.90][0.90]dogs[2.00]")
    assert words == [[(10.0, 10.2, "I"), (10.2, 10.6, "have"), (10.6, 10.9, "two"), (10.9, 12.0, "dogs")]]
    assert codes == []


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "hello there",
        "[0.50]hello[0.90]",  # a word is missing
        "[0.90]hello[0.50][0.95]there[1.50]",  # backwards
        "[0.95]hello[1.50][0.50]there[0.90]",
        "[4.50]hello[4.90][4.95]there[5.50]",  # outside its sentence
        "[0.50]hello there[1.50]",  # a sentence's time is no word's
    ],
)
def test_where_the_model_gives_no_times_of_its_own_there_are_none(answer: str) -> None:
    assert read("[0.50]hello there[1.50]", answer) == ([None], ["words_missing"])


def test_a_sentence_of_ideographs_under_one_time_is_no_word() -> None:
    said = "[0.00]今天天气很好我们去公园吧。[2.00]"
    assert read(said, said) == ([None], ["words_missing"])


@given(st.text(), st.text())
def test_any_two_answers_give_words_that_keep_the_rules(sentences: str, words: str) -> None:
    for segment in ASK.read([sentences, words], SPAN).result.segments:
        last = segment.start
        for word in segment.words or ():
            assert last <= word.start <= word.end <= segment.end
            last = word.start


@given(st.lists(st.sampled_from(["[0.10]", "[1.00]", "[2.50]", "[9.90]", "a", "b c", " ", "你好", "["]), max_size=30))
def test_answers_of_the_right_shape_give_words_that_keep_the_rules(parts: list[str]) -> None:
    test_any_two_answers_give_words_that_keep_the_rules.hypothesis.inner_test("".join(parts), "".join(parts[::-1]))
    segments = [Segment(start=10, end=20, text="a b c")]
    for segment in with_words(segments, drafts("".join(parts)), SPAN):
        assert segment.words is None or " ".join(w.word for w in segment.words) == "a b c"


@pytest.mark.parametrize(
    ("start", "end", "is_believed"), [(0.71, 1.79, True), (0.69, 1.79, False), (0.71, 1.81, False)]
)
def test_a_words_time_may_lie_a_little_outside_its_sentence(start: float, end: float, is_believed: bool) -> None:
    """By 0.3 s; the word is then bounded by the sentence."""
    words, codes = read("[1.00]hello[1.50]", f"[{start}]hello[{end}]")
    assert words == ([[(11.0, 11.5, "hello")]] if is_believed else [None])
    assert codes == ([] if is_believed else ["words_missing"])
