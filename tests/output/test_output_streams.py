"""What is written while a result comes is the beginning of the whole, byte for byte, in every format that can be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from output_examples import NASTY, envelope

from moss_cli.output.formats import FORMATS
from moss_cli.output.layout import AS_IT_IS, Layout
from moss_cli.output.render import render
from moss_cli.output.streams import stream_of
from moss_cli.schema import Envelope
from moss_cli.tasks.emotion import Emotion, EmotionSegment
from moss_cli.tasks.reading.certain import Certain
from moss_cli.tasks.reading.timed import Segment, Word
from moss_cli.tasks.transcribe import Transcription

FILE = "talks/talk.wav"
STREAMED = ("txt", "srt", "vtt", "tsv", "csv")
LAYOUTS = (AS_IT_IS, Layout(16, 2), Layout(8, 1), Layout(None, 1), Layout(times=True))


def some_segments(random: Random) -> list[Segment]:
    """In order, or nearly; of no length, together, up to the end of the file, with words or without."""
    found, at_s = [], 0.0
    for _ in range(random.randint(0, 8)):
        start = max(0.0, at_s + random.choice((0.0, 0.0, 0.3, 1.0, 5.0, -0.2)))
        end = start + random.choice((0.0, 0.4, 1.0, 3.0))
        text = " ".join(random.choices((*NASTY, "good", "morning", "everyone", "北京市"), k=random.randint(1, 7)))
        words = None
        if random.random() < 0.5:
            each_s = (end - start) / max(1, len(text.split()))
            words = tuple(
                Word(start=start + n * each_s, end=start + (n + 1) * each_s, word=word)
                for n, word in enumerate(text.split())
            )
        speaker = random.choice((None, "S01", "a\n-->"))
        found.append(Segment(start=start, end=end, text=text, speaker=speaker, words=words))
        at_s = end
    return found


def whole(found: Sequence[Segment], timestamps: str, duration_s: float) -> Envelope:
    one = envelope(*found, duration=duration_s)
    return one.model_copy(update={"params": one.params.model_copy(update={"timestamps": timestamps})})


def in_pieces(found: Sequence[Segment], duration_s: float, random: Random) -> list[Certain[Any]]:
    """The segments as they may become certain, with all that can be said of when the next ones begin, or less."""
    cuts = sorted({0, len(found), *(random.randint(0, len(found)) for _ in range(3))})
    pieces = []
    for first, last in pairwise(cuts):
        next_s = min([duration_s - 0.5, *(one.start for one in found[last:])])
        before_s = max(0.0, next_s - random.choice((0.0, 0.001, 1.0)))
        before_s = math.inf if last == len(found) and random.random() < 0.5 else before_s
        pieces.append(Certain(Transcription(language="en", segments=tuple(found[first:last])), "", before_s))
    return pieces


@pytest.mark.parametrize("fmt", STREAMED)
@given(seed=st.integers(0, 2**64))
def test_what_is_written_while_a_transcript_comes_begins_the_whole(fmt: str, seed: int) -> None:
    random = Random(seed)
    found, timestamps = some_segments(random), random.choice(("segment", "word"))
    duration_s = max([0.5, *(one.end for one in found)]) + random.choice((0.0, 0.01, 0.3, 9.0))
    for layout in LAYOUTS:
        stream = stream_of(fmt, "transcribe", FILE, timestamps=timestamps, layout=layout)
        assert stream is not None
        text = "".join(stream.more(one) for one in in_pieces(found, duration_s, random))
        assert render(whole(found, timestamps, duration_s), fmt, layout).startswith(text)


def certain(*found: Segment, before_s: float) -> Certain[Any]:
    return Certain(Transcription(segments=found), "", before_s)


FIRST = Segment(start=0.5, end=2.0, text="good morning")
SECOND = Segment(start=2.5, end=4.0, text="everyone", speaker="S01")


@pytest.mark.parametrize(
    ("fmt", "written"),
    [
        ("txt", ["good morning\n", "[S01] everyone\n"]),
        (
            "srt",
            [
                "1\n00:00:00,500 --> 00:00:02,000\ngood morning\n\n",
                "2\n00:00:02,500 --> 00:00:04,000\n[S01] everyone\n\n",
            ],
        ),
        (
            "vtt",
            [
                "WEBVTT\n\n1\n00:00:00.500 --> 00:00:02.000\ngood morning\n\n",
                "2\n00:00:02.500 --> 00:00:04.000\n<v S01>everyone</v>\n\n",
            ],
        ),
        (
            "tsv",
            [
                "file\tstart\tend\ttext\tspeaker\tlanguage\ntalks/talk.wav\t0.500\t2.000\tgood morning\t\t\n",
                "talks/talk.wav\t2.500\t4.000\teveryone\tS01\t\n",
            ],
        ),
        (
            "csv",
            [
                "file,start,end,text,speaker,language\ntalks/talk.wav,0.500,2.000,good morning,,\n",
                "talks/talk.wav,2.500,4.000,everyone,S01,\n",
            ],
        ),
    ],
)
def test_each_piece_is_written_at_once_where_nothing_can_change_it(fmt: str, written: list[str]) -> None:
    stream = stream_of(fmt, "transcribe", FILE, timestamps="segment")
    assert stream is not None
    assert [stream.more(certain(FIRST, before_s=2.4)), stream.more(certain(SECOND, before_s=8.0))] == written


def test_a_cue_waits_while_what_follows_could_cut_it_short() -> None:
    stream = stream_of("srt", "transcribe", FILE, timestamps="segment")
    assert stream is not None
    assert stream.more(certain(FIRST, before_s=1.9)) == ""
    assert stream.more(certain(SECOND, before_s=2.5)) == "1\n00:00:00,500 --> 00:00:02,000\ngood morning\n\n"


def test_a_wrapped_cue_waits_while_what_follows_decides_how_long_it_may_be_read() -> None:
    short = Segment(start=1.0, end=1.2, text="good morning everyone")
    stream = stream_of("srt", "transcribe", FILE, timestamps="segment", layout=Layout(40, 1))
    assert stream is not None
    assert stream.more(certain(short, before_s=1.9)) == ""
    assert stream.more(certain(before_s=4.0)) == "1\n00:00:01,000 --> 00:00:02,050\ngood morning everyone\n\n"


def test_a_cue_that_may_be_the_last_one_waits_for_the_end_of_the_file() -> None:
    stream = stream_of("srt", "transcribe", FILE, timestamps="segment")
    assert stream is not None
    assert stream.more(certain(FIRST, before_s=float("inf"))) == ""


@given(st.lists(st.sampled_from((*NASTY, "good", "morning", "北京")), max_size=9))
def test_text_without_times_grows_as_it_is_in_the_whole(words: list[str]) -> None:
    stream = stream_of("txt", "transcribe", FILE, timestamps="none")
    assert stream is not None
    said = [" ".join(word.split()) for word in words]
    given = "".join(stream.more(Certain(Transcription(), word + " ", 0.0)) for word in said)
    one = envelope().model_copy(update={"text": " ".join(said)})
    assert render(one, "txt").startswith(given)


def test_subtitles_of_any_timeline_can_be_written_while_it_comes() -> None:
    stream = stream_of("vtt", "emotion", FILE)
    assert stream is not None
    found = Emotion(segments=(EmotionSegment(start=0, end=2, emotion="calm"),))
    assert stream.more(Certain(found, "", 2.0)) == "WEBVTT\n\n1\n00:00:00.000 --> 00:00:02.000\ncalm\n\n"


def test_what_says_first_what_is_known_last_is_not_written_before_the_end() -> None:
    late = [fmt for fmt in FORMATS if stream_of(fmt, "transcribe", FILE, timestamps="segment") is None]
    assert late == ["json", "jsonl", "md"]
    assert [fmt for fmt in FORMATS if stream_of(fmt, "emotion", FILE) is not None] == ["srt", "vtt"]
