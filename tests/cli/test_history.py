"""The file of earlier questions: whole lines whoever writes at once, and never too many of them."""

from __future__ import annotations

import multiprocessing

import pytest

from moss_cli.cli.history import LONGEST_BYTES, MOST_BYTES, History, KeptQuestion, conversation_of, newest_turns


def question(text: str, *, goes_on: bool = False, answer: str = "a") -> KeptQuestion:
    return KeptQuestion("2026-01-01T00:00:00Z", "/a.wav", "0" * 64, "tiny", None, text, answer, goes_on, {})


@pytest.fixture
def history() -> History:
    return History(pytest.fail)


def _add(name: str) -> None:
    for n in range(50):
        History(pytest.fail).add(question(f"{name} {n}", answer="x" * n * 20))


def test_runs_that_end_at_once_keep_all_their_questions_in_order(history: History) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_add, args=(name,)) for name in "abcd"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 4
    found = [one.question for one in history.read()]
    for name in "abcd":
        assert [text for text in found if text.startswith(name)] == [f"{name} {n}" for n in range(50)]
    assert len(found) == 200


def test_the_oldest_go_where_there_would_be_too_much(history: History) -> None:
    for n in range(120):
        history.add(question(str(n), answer="x" * 20_000))
    assert history.file.stat().st_size <= MOST_BYTES
    found = [int(one.question) for one in history.read()]
    assert found == list(range(found[0], 120))
    assert 30 <= len(found) <= 50


def test_a_question_that_is_too_long_is_not_kept() -> None:
    said: list[str] = []
    history = History(said.append)
    history.add(question("x" * LONGEST_BYTES))
    assert said == ["the question is too long to be kept for --continue"]
    assert history.read() == []


def test_names_and_texts_that_are_not_utf_8_come_back_as_they_were(history: History) -> None:
    one = question("a\udcff\u2028\n\0b")
    history.add(one)
    assert history.read() == [one]


def test_a_conversation_begins_with_the_last_question_that_goes_on_from_no_other() -> None:
    a, b, c, d = question("a"), question("b"), question("c", goes_on=True), question("d", goes_on=True)
    assert conversation_of([a, b, c, d]) == [b, c, d]
    assert conversation_of([c, d]) == [c, d]  # what it began with has gone
    assert conversation_of([]) == []


def test_a_question_goes_on_from_the_newest_turns() -> None:
    assert len(newest_turns([question(str(n)) for n in range(30)])) == 20
    assert [turn.question for turn in newest_turns([question("a", answer="x" * 30_000), question("b")])] == ["b"]
