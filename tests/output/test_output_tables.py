"""Tables: a row an item, with everything that is known of it and of the file."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from output_examples import HELLO, TWO_SPEAKERS, envelope, segment, segments

from moss_cli.output.render import render
from moss_cli.schema import Envelope, Record
from moss_cli.tasks.describe_speaker import SpeakerDescription
from moss_cli.tasks.music import Music
from moss_cli.tasks.reading.timed import Labelled, Segment, Word
from moss_cli.tasks.summarize import Chapter, Summary

FILE = "talks/talk.wav"


def result(task: str, found: Record, **changes: str) -> Envelope:
    return envelope(task=task, result=found, **changes)


def rows(one: Envelope) -> list[list[str]]:
    """What a reader of csv gets, which is what one of tsv gets as well."""
    read = list(csv.reader(io.StringIO(render(one, "csv"))))
    assert [line.split("\t") for line in render(one, "tsv").splitlines()] == read
    return read


def test_a_row_has_the_file_first_then_times_in_seconds_and_all_fields() -> None:
    assert rows(envelope(*HELLO)) == [
        ["file", "start", "end", "text", "speaker", "language"],
        [FILE, "0.000", "1.240", "Hello there.", "", "en"],
        [FILE, "1.500", "3.000", "[laughter] Bye.", "", "en"],
    ]


def test_the_columns_are_those_of_the_task_and_not_of_what_was_found() -> None:
    assert [row[4] for row in rows(envelope(TWO_SPEAKERS[0], segment(1, 2, "Who?")))] == ["speaker", "S01", ""]
    assert rows(envelope(*HELLO))[0] == rows(envelope(*TWO_SPEAKERS))[0]


def test_every_row_of_a_timeline_has_what_is_known_of_the_whole() -> None:
    sections = (Labelled(start=0, end=4, label="intro"), Labelled(start=4, end=9, label="verse"))
    music = Music(style="folk", tempo_bpm=92.5, key="E minor", instruments=("organ", "flute"), sections=sections)
    whole = ["folk", "92.5", "E minor", "organ; flute", "", ""]
    assert rows(result("music", music)) == [
        ["file", "start", "end", "label", "style", "tempo_bpm", "key", "instruments", "mood", "summary"],
        [FILE, "0.000", "4.000", "intro", *whole],
        [FILE, "4.000", "9.000", "verse", *whole],
    ]


def test_a_result_without_items_has_one_row() -> None:
    head, row = rows(result("music", Music(key="D major")))
    assert dict(zip(head, row, strict=True)) == dict.fromkeys(head, "") | {"file": FILE, "key": "D major"}


def test_a_task_without_items_has_a_row_a_file_with_all_fields() -> None:
    head, row = rows(result("describe-speaker", SpeakerDescription(gender="female", accent="Scottish")))
    assert head == ["file", *SpeakerDescription.model_fields]
    assert row[:4] == [FILE, "female", "", "Scottish"]


def test_a_name_that_items_and_results_share_means_the_result_s() -> None:
    chapters = (Chapter(start=0, end=5, title="One", summary="Of it."),)
    head, row = rows(result("summarize", Summary(summary="Of all.", chapters=chapters)))
    assert (row[head.index("chapter_summary")], row[head.index("summary")]) == ("Of it.", "Of all.")


def test_with_times_of_words_a_row_is_a_word() -> None:
    words = (Word(start=0, end=0.5, word="Hello"), Word(start=0.5, end=1, word="there."))
    one = envelope(Segment(start=0, end=1, text="Hello there.", words=words), segment(2, 3, "Bye."))
    with_words = one.model_copy(update={"params": one.params.model_copy(update={"timestamps": "word"})})
    assert [row[1:8] for row in rows(with_words)] == [
        ["start", "end", "text", "speaker", "word_start", "word_end", "word"],
        ["0.000", "1.000", "Hello there.", "", "0.000", "0.500", "Hello"],
        ["0.000", "1.000", "Hello there.", "", "0.500", "1.000", "there."],
        ["2.000", "3.000", "Bye.", "", "", "", ""],
    ]


def test_text_without_times_is_one_row() -> None:
    assert rows(envelope(text="one two"))[1:] == [[FILE, "", "", "one two", "", "en"]]


def test_a_file_in_which_nothing_is_said_keeps_its_row() -> None:
    assert rows(envelope(text=""))[1:] == [[FILE, "", "", "", "", "en"]]


def test_tabs_line_breaks_and_backslashes_are_escaped_in_tsv() -> None:
    one = envelope(segment(0, 1, "a\tb\nc\r\nd\\e\u2028f"))
    assert render(one, "tsv").splitlines()[1].split("\t")[3] == r"a\tb\nc\r\nd\\e\nf"


def test_quotes_and_line_breaks_are_quoted_in_csv() -> None:
    one = envelope(segment(0, 1, 'He said, "no".\r\n\r\nGood.'))
    assert render(one, "csv").splitlines()[1:] == [f'{FILE},0.000,1.000,"He said, ""no"".', 'Good.",,en']


@pytest.mark.parametrize("fmt", ["tsv", "csv"])
@given(items=segments)
def test_every_row_has_the_columns_of_the_header(fmt: str, items: list[Segment]) -> None:
    text = render(envelope(*items, duration=None), fmt)
    found = list(csv.reader(io.StringIO(text))) if fmt == "csv" else [row.split("\t") for row in text.splitlines()]
    assert {len(row) for row in found} == {len(found[0])}
    assert text.encode()
