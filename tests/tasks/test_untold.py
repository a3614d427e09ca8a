"""What an answer says nothing of though it should, and what is no such thing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moss_cli.span import Span, less
from moss_cli.tasks.emotion import DescribeEmotion
from moss_cli.tasks.music import DescribeMusic
from moss_cli.tasks.reading.task import Part, Reading, Task
from moss_cli.tasks.reading.timed import Labelled, Segment, Word
from moss_cli.tasks.reading.untold import (
    EDGE_S,
    LEAST_UNTOLD_S,
    accounted_s,
    still_untold,
    untold_rest,
    untold_speech,
)
from moss_cli.tasks.scene import DescribeScene
from moss_cli.tasks.summarize import Summarize
from moss_cli.tasks.transcribe import Transcribe

ALL = Span(0.0, 30.0)
SPEECH = (Span(1, 9), Span(10, 19), Span(20, 29))
SENTENCE = "one two three four five six"


def said(*times: tuple[float, float], text: str = SENTENCE) -> list[Segment]:
    return [Segment(start=start, end=end, text=text) for start, end in times]


@pytest.mark.parametrize(
    ("segments", "untold"),
    [
        (said((1, 9), (10, 19), (20, 29)), ()),
        (said((1.2, 8.5), (10.3, 18.8), (20.5, 27.5)), ()),  # times are off
        (said((1, 9), (10, 15)), (Span(15.25, 29),)),  # ends early
        (said((10, 19), (20, 29)), (Span(1, 9),)),  # begins late
        (said((1, 9), (20, 29)), (Span(10, 19),)),
        (said((1, 9), (13, 19)), (Span(10, 12.75), Span(20, 29))),
        ([], (Span(1, 29),)),
        (said((0, 30), text="hm"), (Span(3, 29),)),  # one word accounts for 2 s of 26
        (said((0, 30), text="..."), (Span(1, 29),)),
    ],
)
def test_speech_without_text_is_found_wherever_it_is(segments: list[Segment], untold: tuple[Span, ...]) -> None:
    assert untold_speech(segments, SPEECH) == untold


def test_two_seconds_are_the_least() -> None:
    assert untold_speech([], [Span(0, 1), Span(2, 2.99)]) == ()
    assert untold_speech([], [Span(0, 1), Span(2, 3)]) == (Span(0, 3),)


def test_speech_on_either_side_of_a_segment_is_not_one_stretch() -> None:
    assert untold_speech(said((2, 3), text="hm"), [Span(0, 1.5), Span(3.5, 5)]) == ()


def test_words_of_any_script_account_for_what_people_take_to_say_them() -> None:
    assert accounted_s("one two, three!") == 6
    assert accounted_s("我们今天") == 8
    assert accounted_s("สวัสดีทุกคน") == pytest.approx(4.4, abs=1.3)  # one unit of many letters
    assert accounted_s("?!") == 0


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 5)), max_size=8),
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), max_size=8),
)
def test_what_is_found_is_speech_that_no_segment_covers(
    items: list[tuple[int, int]], spoken: list[tuple[int, int]]
) -> None:
    segments = said(*((start, start + length) for start, length in sorted(items)))
    speech = [Span(start, start + length) for start, length in spoken]
    speech = [Span(10 * i, min(10 * i + one.duration_s, 10 * i + 9)) for i, one in enumerate(speech)]
    for span in untold_speech(segments, speech):
        assert sum(one.inside(span).duration_s for one in speech) >= LEAST_UNTOLD_S
        assert any(one.start_s <= span.start_s < one.end_s for one in speech)
    covered = [Span(max(one.start - EDGE_S, 0), one.end + EDGE_S) for one in segments]
    alone = less(speech, covered)
    found = untold_speech(segments, speech)
    for one in alone:
        if one.duration_s >= LEAST_UNTOLD_S:
            assert any(span.start_s <= one.start_s and one.end_s <= span.end_s for span in found)


# --- tasks ---


def test_a_sentence_that_ends_with_its_clip_only_because_its_end_is_missing_accounts_for_less() -> None:
    task, speech = Transcribe(), [Span(20, 30)]
    sure, repaired = "[20.00]one two three four five[30.00]", "[20.00]one two three four five"
    assert task.untold(task.read([sure], ALL), ALL, speech) == ()
    assert task.untold(task.read([repaired], ALL), ALL, speech) == (Span(25, 30),)


def test_a_plain_text_too_short_for_its_clip_leaves_all_of_it_untold() -> None:
    task = Transcribe("none")
    for text, untold in (("", (ALL,)), ("hello there", (ALL,)), (" ".join(["word"] * 13), ())):
        assert task.untold(task.read([text], ALL), ALL, SPEECH) == untold
    assert task.untold(task.read([""], ALL), ALL, ()) == ()


def timeline(task: Task[Any], *times: tuple[float, float]) -> Reading[Any]:
    label = {"emotion": "calm", "cue": None, "label": "x", "title": "x", "summary": None}
    values: dict[str, Any] = {"overall": None, "evidence": None, "style": None, "summary": "so it goes"}
    field = {"emotion": "segments", "scene": "events", "music": "sections", "summarize": "chapters"}[task.name]
    values |= {field: [{"start": start, "end": end, **label} for start, end in times]}
    answers = [json.dumps(values)] * len(task.questions)
    if task.name == "scene":
        answers[0] = "\n".join(f"{start} - {end}: x" for start, end in times)
    return task.read(answers, ALL)


@pytest.mark.parametrize("task", [DescribeEmotion(), DescribeScene(), DescribeMusic(), Summarize()])
def test_a_timeline_that_ends_long_before_what_is_heard_leaves_the_rest_untold(task: Task[Any]) -> None:
    assert task.untold(timeline(task, (0, 10), (10, 20)), ALL, SPEECH) == (Span(20, 30),)
    assert task.untold(timeline(task, (0, 10), (10, 24)), ALL, SPEECH) == ()
    assert task.untold(timeline(task, (0, 30), (2, 3)), ALL, SPEECH) == ()
    assert task.untold(timeline(task, (0, 5)), ALL, SPEECH[:1]) == ()  # nothing is heard after it
    assert task.untold(timeline(task), ALL, SPEECH) == ()


def test_chapters_that_were_asked_for_and_are_not_there_are_untold() -> None:
    assert Summarize("chapters").untold(timeline(Summarize()), ALL, SPEECH) == (ALL,)


def test_a_fifth_of_a_long_clip_may_be_left() -> None:
    hour = Span(0, 3600)
    assert untold_rest([Labelled(start=0, end=2881, label="x")], hour, [hour]) == ()
    assert untold_rest([Labelled(start=0, end=2879, label="x")], hour, [hour]) == (Span(2879, 3600),)


# --- shared out among stretches ---


def test_segments_stay_with_the_stretch_in_which_they_begin_and_end_with_it() -> None:
    task = Transcribe("word")
    words = (Word(start=12, end=12.5, word="one"), Word(start=12.5, end=25, word="two"))
    segments = (*said((1, 9)), Segment(start=12, end=25, text="one two", words=words), *said((26, 29)))
    result = task.read(["", ""], ALL).result.model_copy(update={"segments": segments})
    told = [Span(0, 16), Span(25.5, 30)]
    first, second = task.told(Reading(result, "x"), told)
    assert [(one.start, one.end) for one in first.result.segments] == [(1, 9), (12, 16)]
    assert [(one.start, one.end) for one in first.result.segments[1].words or ()] == [(12, 12.5), (12.5, 16)]
    assert (second.text, second.result.segments) == (SENTENCE, segments[2:])


@given(
    st.lists(st.tuples(st.floats(0, 29), st.floats(0, 9)), max_size=6),
    st.lists(st.tuples(st.floats(0, 30), st.floats(0, 5)), max_size=4),
)
def test_nothing_is_lost_that_is_shared_out(items: list[tuple[float, float]], holes: list[tuple[float, float]]) -> None:
    segments = tuple(said(*((start, min(start + length, 30)) for start, length in sorted(items))))
    task = Transcribe()
    told = less([ALL], [Span(start, start + length) for start, length in sorted(holes)])
    result = task.read([""], ALL).result.model_copy(update={"segments": segments})
    shared = [one for reading in task.told(Reading(result, ""), told) for one in reading.result.segments]
    assert [(one.start, one.text) for one in shared] == [(one.start, one.text) for one in segments]
    assert all(one.start <= one.end for one in shared)


# --- over all parts ---


def part(start: float, end: float, *untold: Span) -> Part[Any]:
    return Part(Span(start, end), Transcribe().read([""], Span(start, end)), untold=untold)


def test_what_one_of_two_pieces_tells_is_told() -> None:
    assert still_untold([part(0, 20, Span(12, 20)), part(14, 40)]) == (Span(12, 14),)
    assert still_untold([part(0, 20, Span(15, 20)), part(14, 40)]) == ()
    assert still_untold([part(0, 20, Span(12, 20)), part(14, 40, Span(14, 30))]) == (Span(12, 30),)
    assert still_untold([part(0, 20), part(20, 40)]) == ()
