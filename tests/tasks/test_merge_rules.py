"""What was read of several pieces as one result, task by task."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moss_cli.span import Span
from moss_cli.tasks.ask import Ask
from moss_cli.tasks.describe_speaker import DescribeSpeaker
from moss_cli.tasks.emotion import DescribeEmotion
from moss_cli.tasks.music import DescribeMusic
from moss_cli.tasks.reading.merge_rules import (
    Weighed,
    joined_labels,
    middle,
    own_spans,
    prevailing,
    sentences,
    tidied,
    timeline,
)
from moss_cli.tasks.reading.task import Part, Reading, Task
from moss_cli.tasks.reading.timed import Labelled
from moss_cli.tasks.scene import DescribeScene, Scene
from moss_cli.tasks.summarize import Summarize
from moss_cli.tasks.transcribe import Transcribe


def parts(
    task: Task[Any], *answers: Sequence[str] | str, seconds: float = 10.0, overlap: float = 0.0
) -> list[Part[Any]]:
    """Pieces of `seconds` each, one after another, with these answers."""
    found = []
    for i, answer in enumerate(answers):
        start = i * (seconds - overlap)
        span = Span(start, start + seconds)
        found.append(Part(span=span, reading=task.read([answer] if isinstance(answer, str) else answer, span)))
    return found


def merged(task: Task[Any], *answers: Sequence[str] | str, **options: float) -> Any:
    return task.merge(parts(task, *answers, **options)).result


def test_segments_follow_each_other_in_file_time() -> None:
    reading = Transcribe().merge(parts(Transcribe(), "[0.50]one[1.00]", "", "[0.00]two[9.00]"))
    assert [(s.start, s.end, s.text) for s in reading.result.segments] == [(0.5, 1.0, "one"), (20.0, 29.0, "two")]
    assert reading.text == "one two"


def test_speakers_of_several_pieces_carry_the_number_of_their_piece_and_a_warning() -> None:
    task = Transcribe(speakers=True)
    reading = task.merge(parts(task, "[0.00][S01]one[1.00]", "[0.00][S01]two[1.00]"))
    assert [s.speaker for s in reading.result.segments] == ["S01/1", "S01/2"]
    assert [notice.code for notice in reading.notices] == ["speakers_by_piece"]
    alone = task.merge(parts(task, "[0.00][S01]one[1.00]", ""))
    assert ([s.speaker for s in alone.result.segments], alone.notices) == (["S01"], ())


def test_speakers_in_plain_text_carry_the_number_of_their_piece_and_a_warning() -> None:
    task = Transcribe("none", speakers=True)
    reading = task.merge(parts(task, "[S01]one [S02] two", "", "[S01]three"))
    assert reading.text == "[S01/1]one [S02/1] two [S01/3]three"
    assert [notice.code for notice in reading.notices] == ["speakers_by_piece"]
    alone = task.merge(parts(task, "[S01]one", "two"))
    assert (alone.text, alone.notices) == ("[S01]one two", ())


def test_a_sentence_over_a_cut_keeps_the_speaker_of_its_beginning() -> None:
    task = Transcribe(speakers=True)
    found = parts(task, "[7.00][S02]we are all[10.00]", "[1.00][S01]we are all here[5.00]", overlap=4.0)
    assert [(s.speaker, s.text) for s in task.merge(found).result.segments] == [("S02/1", "we are all here")]


def test_plain_text_of_pieces_that_overlap_is_written_once() -> None:
    task = Transcribe("none")
    reading = task.merge(parts(task, "a b c d", "c d e f", "e f g", overlap=4.0))
    assert reading.text == "a b c d e f g"


def test_an_event_over_a_cut_is_one() -> None:
    task = DescribeScene()
    rest = '{"setting": "a street", "atmosphere": null, "summary": "A siren"}'
    result = merged(task, ("2 - 3: dog\n8 - 10: siren", rest), ("0 - 4: Siren\n5 - 6: dog", rest))
    assert [(e.start, e.end, e.label) for e in result.events] == [(2, 3, "dog"), (8, 14, "siren"), (15, 16, "dog")]
    assert (result.setting, result.summary) == ("a street", "A siren")


def test_an_event_in_an_overlap_counts_once() -> None:
    task = DescribeScene()
    result = merged(task, ("7 - 8: dog", "{}"), ("1 - 2: dog\n2.5 - 3.5: cat", "{}"), overlap=4.0)
    assert [(e.start, e.end, e.label) for e in result.events] == [(7, 8, "dog"), (8.5, 9.5, "cat")]


def test_an_event_that_either_piece_puts_into_the_other_s_stretch_counts_once() -> None:
    task = DescribeScene()
    result = merged(task, ("7 - 10: dog", "{}"), ("1 - 2.5: Dog\n6 - 7: cat", "{}"), overlap=4.0)
    assert [(e.start, e.end, e.label) for e in result.events] == [(7, 8.5, "Dog"), (12, 13, "cat")]


def test_what_lasts_over_several_cuts_is_one_with_and_without_overlaps() -> None:
    task = DescribeMusic()
    whole = '{"sections": [{"start": 0, "end": 10, "label": "verse"}]}'
    last = '{"sections": [{"start": 0, "end": 6, "label": "verse"}, {"start": 6, "end": 10, "label": "verse"}]}'
    assert [(s.start, s.end) for s in merged(task, whole, whole, last).sections] == [(0, 26), (26, 30)]
    assert [(s.start, s.end) for s in merged(task, whole, whole, last, overlap=4.0).sections] == [(0, 18), (18, 22)]


def test_what_holds_for_most_of_the_recording_prevails() -> None:
    voice = DescribeSpeaker()
    result = merged(voice, '{"gender": "male"}', '{"gender": "female"}', '{"gender": "Female", "age": "old"}')
    assert (result.gender, result.age) == ("female", "old")
    emotion = DescribeEmotion()
    sad = '{"overall": "sad", "evidence": "slow", "segments": [{"start": 0, "end": 10, "emotion": "sad", "cue": null}]}'
    happy = '{"overall": "happy", "evidence": "fast", "segments": []}'
    result = merged(emotion, sad, sad, happy)
    assert (result.overall, result.evidence) == ("sad", "slow")
    assert [(s.start, s.end) for s in result.segments] == [(0, 20)]


def test_evidence_is_that_of_all_pieces_that_spell_the_emotion_in_either_case() -> None:
    result = merged(
        DescribeEmotion(),
        '{"overall": "sad", "evidence": null, "segments": []}',
        '{"overall": "Sad", "evidence": "slow", "segments": []}',
        '{"overall": "happy", "evidence": "fast", "segments": []}',
    )
    assert (result.overall, result.evidence) == ("sad", "slow")


def test_no_emotion_has_the_evidence_of_the_pieces_that_name_none() -> None:
    result = merged(DescribeEmotion(), *['{"overall": null, "evidence": "nobody speaks", "segments": []}'] * 2)
    assert (result.overall, result.evidence) == (None, "nobody speaks")


def test_labels_beyond_those_named_to_the_model_are_counted() -> None:
    task = DescribeScene()
    lines = "\n".join(f"{i}.0 - {i}.5: sound {i % 43}" for i in range(90))
    found = parts(task, (lines, '{"summary": "Many."}'), ("0 - 1: rain", '{"summary": null}'), seconds=100)
    question = task.over(found)
    assert question is not None
    first, second = question.questions[0].prompt.splitlines()[2:4]
    assert first.startswith("From 0 to 100 seconds: Many. sound 0, sound 1, ")
    assert first.endswith(", sound 39, and 3 more.")
    assert second == "From 100 to 200 seconds: rain"


def test_music_is_merged_field_by_field() -> None:
    result = merged(
        DescribeMusic(),
        '{"tempo_bpm": 90, "key": "C major", "instruments": ["piano"], "summary": "Slow."}',
        '{"tempo_bpm": 120, "key": "C major", "instruments": ["drums", "piano"], "summary": "Fast"}',
        '{"tempo_bpm": 120, "key": "A minor", "instruments": []}',
    )
    assert (result.tempo_bpm, result.key, result.instruments) == (120, "C major", ("piano", "drums"))
    assert result.summary == "Slow. Fast."


def test_chapters_and_points_of_all_pieces_are_kept() -> None:
    one = '[{"start": 0, "end": 10, "title": "Budget", "summary": "a"}]'
    two = '[{"start": 0, "end": 5, "title": "budget", "summary": "b"}]'
    result = merged(
        Summarize(),
        f'{{"summary": "A.", "key_points": ["x"], "chapters": {one}}}',
        f'{{"summary": "B.", "key_points": ["x", "y"], "chapters": {two}}}',
    )
    assert (result.summary, result.key_points) == ("A. B.", ("x", "y"))
    assert [(c.start, c.end, c.title, c.summary) for c in result.chapters] == [(0, 15, "Budget", "a. b.")]


def test_a_choice_is_what_most_of_the_recording_says() -> None:
    task = Ask("Which?", choices=("rain", "wind"))
    assert merged(task, "B", "A", "B").answer == "wind"


def test_a_part_that_broke_off_makes_the_whole_incomplete() -> None:
    task = Summarize()
    whole = '{"summary": "B", "key_points": [], "chapters": []}'
    assert not task.merge(parts(task, '{"summary": "A", ', whole)).complete
    assert task.merge(parts(task, whole, whole)).complete


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], None),
        ([(None, 5)], None),
        ([("a", 1), ("b", 1)], "a"),
        ([("a", 3), ("b", 2), ("B", 2)], "b"),
        ([(None, 100), ("a", 1)], "a"),
    ],
)
def test_prevailing(values: list[tuple[str | None, float]], expected: str | None) -> None:
    assert prevailing(Weighed(*value) for value in values) == expected


def test_middle_is_weighed_by_time() -> None:
    assert middle([(60, 1), (None, 50), (120, 5), (200, 1)]) == 120
    assert middle([(None, 1)]) is None


def test_sentences_end_and_are_said_once() -> None:
    assert sentences(["One", None, " Two. ", "One", ""]) == "One. Two."
    assert sentences(["你好。", "再见"]) == "你好。再见。"
    assert sentences([None]) is None


def test_spans_that_overlap_are_shared_half_and_half() -> None:
    task = Transcribe()
    spans = own_spans(parts(task, "", "", "", overlap=4.0))
    assert [(s.start_s, s.end_s) for s in spans] == [(0, 8), (8, 14), (14, 22)]


@given(st.lists(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10)), max_size=5), min_size=1, max_size=5))
def test_timelines_are_in_order_and_inside_the_file(found: list[list[tuple[float, float]]]) -> None:
    pieces = []
    for i, items in enumerate(found):
        events = tuple(Labelled(start=i * 8 + min(t), end=i * 8 + max(t), label="x") for t in items)
        pieces.append(Part(span=Span(i * 8, i * 8 + 10), reading=Reading(Scene(events=events), "")))
    merged_items = timeline(pieces, lambda scene: scene.events, lambda event: event.label, joined_labels)
    starts = [item.start for item in merged_items]
    assert starts == sorted(starts)
    assert all(0 <= item.start <= item.end <= len(found) * 8 + 2 for item in merged_items)


def test_an_event_of_no_length_is_none_and_the_same_at_once_is_one() -> None:
    found = [(1, 2, "dog"), (1, 2, "dog"), (1, 2, "cat"), (1.5, 4, "Dog"), (3, 3, "dog"), (4, 5, "dog"), (6, 6, "bell")]
    events = [Labelled(start=start, end=end, label=label) for start, end, label in found]
    assert [(e.start, e.end, e.label) for e in tidied(events, lambda event: event.label, joined_labels)] == [
        (1, 4, "dog"),
        (1, 2, "cat"),
        (4, 5, "dog"),  # another one: it begins where the one before ends
    ]


ITEMS = [(0, 4, "a"), (0, 4, "a"), (2, 5, "A"), (5, 5, "b"), (6, 8, "b"), (90, 95, "c")]  # the last lies past the end


@pytest.mark.parametrize(
    ("task", "field", "text"),
    [
        (DescribeEmotion(), "segments", "emotion"),
        (DescribeScene(custom_prompt="What sounds?"), "events", "label"),
        (DescribeScene(), "events", "label"),
        (DescribeMusic(), "sections", "label"),
        (Summarize(), "chapters", "title"),
        (Ask("What?"), "evidence", "text"),
    ],
)
def test_every_timeline_is_without_doubled_items_and_those_of_no_length(task: Task[Any], field: str, text: str) -> None:
    in_json = json.dumps({field: [{"start": start, "end": end, text: label} for start, end, label in ITEMS]})
    in_lines = "\n".join(f"{start} - {end}: {label}" for start, end, label in ITEMS)
    answers = [in_lines, "{}"] if len(task.questions) == 2 else [in_json]
    [whole] = parts(task, answers)
    items = getattr(whole.reading.result, field)
    assert [(item.start, item.end, getattr(item, text)) for item in items] == [(0, 5, "a"), (6, 8, "b")]
    assert getattr(task.merge([whole, replace(whole, span=Span(4.0, 14.0))]).result, field) == items
