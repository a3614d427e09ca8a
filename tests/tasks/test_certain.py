"""What is certain of a transcript while its chunks come stands in the whole, whatever the others say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moss_cli.span import Span
from moss_cli.tasks.reading.task import Part, Reading
from moss_cli.tasks.reading.timed import Segment, Word
from moss_cli.tasks.transcribe import Timestamps, Transcribe, Transcription

WORDS = ("one", "two", "three", "four", "five", "six", "我们", "[laughter]")


@dataclass(frozen=True)
class Answered:
    """A chunk's parts, and where what follows it begins."""

    parts: list[Part[Transcription]]
    next_s: float


def part(span: Span, *segments: Segment, text: str | None = None) -> Part[Transcription]:
    said = " ".join(one.text for one in segments) if text is None else text
    return Part(span, Reading(Transcription(segments=segments), said))


def line(start: float, end: float, text: str, speaker: str | None = None) -> Segment:
    return Segment(start=start, end=end, text=text, speaker=speaker)


def some_segments(random: Random, span: Span, low_s: float, *, speakers: bool) -> list[Segment]:
    """What a piece may say: times anywhere in it, also the same over and over, and overlapping."""
    found = []
    for _ in range(random.randint(0, 4)):
        start, end = sorted(round(span.start_s + random.randint(0, 8) / 8 * span.duration_s, 3) for _ in range(2))
        start = max(low_s, round(start - random.choice((0.0, 0.0, 0.2)), 3))
        said = random.choices(WORDS, k=random.randint(1, 5))
        words = None
        if random.random() < 0.5:
            length_s = (end - start) / len(said)
            words = tuple(
                Word(start=start + n * length_s, end=start + (n + 1) * length_s, word=one) for n, one in enumerate(said)
            )
        speaker = random.choice((None, None, "S01", "S02")) if speakers else None
        found.append(Segment(start=start, end=end, text=" ".join(said), speaker=speaker, words=words))
    return sorted(found, key=lambda one: one.start) if random.random() < 0.5 else found


def some_recording(random: Random, *, speakers: bool) -> list[Answered]:
    """Chunks that overlap or do not, of several parts some of them, as where something was asked for again."""
    chunks, start_s = [], 0.0
    for _ in range(random.randint(1, 7)):
        span = Span(start_s, start_s + random.choice((1.0, 4.0, 8.0, 7.9996)))
        next_s = span.end_s - random.choice((0.0, 0.0, 0.03, 0.25, 0.5)) * span.duration_s
        spans = [span]
        if random.random() < 0.5:
            cut_s = span.start_s + random.choice((0.3, 0.5, 0.9)) * span.duration_s
            spans = [Span(span.start_s, cut_s), Span(cut_s - random.choice((0.0, 0.25)), span.end_s)]
        parts = []
        for one in spans:
            said = some_segments(random, one, round(span.start_s, 3), speakers=speakers)
            text = " ".join((f"[{each.speaker}] " if each.speaker else "") + each.text for each in said)
            parts.append(part(one, *said, text=text))
        chunks.append(Answered(parts, next_s))
        start_s = next_s + random.choice((0.0, 0.0, 3.0))  # in which nobody speaks
    return chunks


def given_in_turn(task: Transcribe, chunks: Sequence[Answered]) -> list[Any]:
    merging = task.merging()
    return [merging.add(one.parts, one.next_s) for one in chunks]


@pytest.mark.parametrize("speakers", [False, True])
@settings(max_examples=300)
@given(seed=st.integers(0, 2**64))
def test_what_is_certain_begins_the_whole(seed: int, speakers: bool) -> None:
    chunks = some_recording(Random(seed), speakers=speakers)
    task = Transcribe(speakers=speakers)
    whole = task.merge([part for one in chunks for part in one.parts]).result.segments
    n_given = 0
    for certain in given_in_turn(task, chunks):
        new = certain.result.segments
        assert new == whole[n_given : n_given + len(new)]
        n_given += len(new)
        assert all(one.start >= certain.before_s for one in whole[n_given:])


@pytest.mark.parametrize("speakers", [False, True])
@given(seed=st.integers(0, 2**64))
def test_text_without_times_that_is_certain_begins_the_whole(seed: int, speakers: bool) -> None:
    chunks = some_recording(Random(seed), speakers=speakers)
    task = Transcribe(cast(Timestamps, "none"), speakers=speakers)
    whole = task.merge([part for one in chunks for part in one.parts]).text
    assert whole.startswith("".join(certain.text for certain in given_in_turn(task, chunks)))


def texts(certain: Any) -> list[str]:
    return [one.text for one in certain.result.segments]


def test_all_of_a_chunk_that_ends_in_a_pause_is_certain_at_once() -> None:
    chunks = [
        Answered([part(Span(0, 8), line(0, 3, "one"), line(4, 8, "two"))], 8),
        Answered([part(Span(8, 16), line(8, 16, "three"))], 16),
    ]
    assert [texts(one) for one in given_in_turn(Transcribe(), chunks)] == [["one", "two"], ["three"]]


def test_what_the_next_chunk_may_have_heard_too_waits_for_it() -> None:
    chunks = [
        Answered([part(Span(0, 10), line(0, 3, "one"), line(5, 10, "two three four"))], 8),
        Answered([part(Span(8, 16), line(8, 12, "three four five"))], 16),
    ]
    assert [texts(one) for one in given_in_turn(Transcribe(), chunks)] == [["one"], ["two three four five"]]


def test_labels_wait_until_it_is_known_whether_they_carry_numbers() -> None:
    chunks = [
        Answered([part(Span(0, 8), line(0, 1, "one"), line(2, 3, "two", "S01"), line(4, 5, "three"))], 8),
        Answered([part(Span(8, 16), line(8, 9, "four"))], 16),
        Answered([part(Span(16, 24), line(16, 17, "five", "S01"))], 24),
    ]
    in_turn = given_in_turn(Transcribe(speakers=True), chunks)
    assert [texts(one) for one in in_turn] == [["one"], [], ["two", "three", "four", "five"]]
    assert [one.speaker for one in in_turn[2].result.segments] == ["S01/1", None, None, "S01/3"]


def test_no_task_but_transcribe_says_before_the_end_what_comes_first() -> None:
    from moss_cli.tasks.catalogue import CATALOGUE

    merged = [entry.name for entry in CATALOGUE if entry.name != "ask" and entry.load()().merging() is not None]
    assert merged == ["transcribe"]
