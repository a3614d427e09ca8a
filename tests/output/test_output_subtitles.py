import html
import json
import re
from itertools import pairwise

import pysubs2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from output_examples import HELLO, TWO_SPEAKERS, envelope, segment, segments

from moss_cli.output.cues import Cue, cues
from moss_cli.output.render import render
from moss_cli.output.subtitles import WORD_JOINER, lay_out
from moss_cli.output.text import lines, one_line
from moss_cli.tasks.reading.timed import Segment, Word


def spans(written, fmt):
    return [(event.start, event.end) for event in pysubs2.SSAFile.from_string(written, fmt)]


def one(text, fmt):
    """The cue of one text, without number and times."""
    return "\n".join(render(envelope(segment(0, 1, text)), fmt).removeprefix("WEBVTT\n\n").split("\n")[2:]).rstrip("\n")


def test_srt_is_numbered_from_one_with_exact_milliseconds():
    assert render(envelope(*HELLO), "srt") == (
        "1\n00:00:00,000 --> 00:00:01,240\nHello there.\n\n2\n00:00:01,500 --> 00:00:03,000\n[laughter] Bye.\n\n"
    )


def test_vtt_begins_with_its_name():
    assert render(envelope(*HELLO), "vtt") == (
        "WEBVTT\n\n1\n00:00:00.000 --> 00:00:01.240\nHello there.\n\n"
        "2\n00:00:01.500 --> 00:00:03.000\n[laughter] Bye.\n\n"
    )


def test_silence_has_no_cues():
    assert render(envelope(), "srt") == ""
    assert render(envelope(segment(0, 1, " \n")), "srt") == ""
    assert render(envelope(), "vtt") == "WEBVTT\n"


def test_speakers_are_named():
    assert "\n[S01] Hi.\n\n2\n" in render(envelope(*TWO_SPEAKERS), "srt")
    assert "\n<v S01>Hi.</v>\n\n2\n" in render(envelope(*TWO_SPEAKERS), "vtt")
    assert "<v a&gt;b &amp;c>Hi.</v>" in render(envelope(segment(0, 1, "Hi.", "a>b\n&c")), "vtt")


def test_speaker_cannot_make_an_arrow():
    written = render(envelope(segment(0, 1, "Hi.", "a--")), "vtt")
    assert f"<v a--{WORD_JOINER}>Hi.</v>" in written
    assert written.count("-->") == 1


def test_blank_lines_go_and_lines_stay():
    assert one("a\n\n \n b\r\n\r\nc", "srt") == "a\nb\nc"
    assert one("a\n\n \n b\r\n\r\nc", "vtt") == "a\nb\nc"


def test_vtt_escapes_markup():
    assert one("<i>a</i> & b --> c &amp;", "vtt") == "&lt;i&gt;a&lt;/i&gt; &amp; b --&gt; c &amp;amp;"
    assert one(r"{\an8}", "vtt") == f"{{\\{WORD_JOINER}an8}}"


def test_srt_text_is_no_markup():
    assert one("<i>a</i>", "srt") == f"<{WORD_JOINER}i>a<{WORD_JOINER}/i>"
    assert one("a --> b", "srt") == f"a --{WORD_JOINER}> b"
    assert one(r"{\an8}a\Nb", "srt") == f"｛\\{WORD_JOINER}an8｝a\\{WORD_JOINER}Nb"
    assert one("1 < 2 > 0, [x] & C# \\ 5", "srt") == "1 < 2 > 0, [x] & C# \\ 5"


@pytest.mark.parametrize(("fmt", "text"), [("srt", "00:00:01,000 00:00:02,000"), ("vtt", "00:01.000 00:02.000")])
def test_a_line_of_times_is_no_cue(fmt, text):
    assert len(spans(render(envelope(segment(0, 1, text)), fmt), fmt)) == 1
    assert one(text, fmt).replace(WORD_JOINER, "") == text


def test_last_line_of_digits_survives():
    written = render(envelope(segment(0, 1, "The answer:\n42")), "srt")
    assert pysubs2.SSAFile.from_string(written, "srt")[0].plaintext == f"The answer:\n42{WORD_JOINER}"
    assert one("42", "srt") == "42"


def test_rounding_never_makes_sixty_seconds():
    assert "00:01:00,000 --> 00:01:01,000" in render(envelope(segment(59.9996, 60.9999, "a"), duration=None), "srt")


def test_more_than_a_hundred_hours_are_written_out():
    assert "\n100:00:00,000 --> 100:00:01,000\n" in render(
        envelope(segment(360_000, 360_001, "a"), duration=None), "srt"
    )


LAYOUTS = {
    "an overlap ends where the next starts": ([(0, 900), (500, 1000)], [(0, 500), (500, 1000)]),
    "a cue without length gets half a second": ([(1000, 1000)], [(1000, 1500)]),
    "a cue without length ends at the next": ([(1000, 1000), (1200, 2000)], [(1000, 1200), (1200, 2000)]),
    "a cue without length ends at the file's end": ([(9800, 9800)], [(9800, 10_000)]),
    "what starts together is shown together": ([(0, 0), (0, 700), (800, 900)], [(0, 700), (800, 900)]),
    "at the very end a cue starts earlier": ([(0, 10_000), (10_000, 10_000)], [(0, 9500), (9500, 10_000)]),
    "at the very end a short rest is halved": ([(9900, 10_000), (10_000, 10_000)], [(9900, 9950), (9950, 10_000)]),
    "a rest of a millisecond is shared": ([(9999, 10_000), (10_000, 10_000)], [(9999, 10_000)]),
    "alone at the very end": ([(10_000, 10_000)], [(9500, 10_000)]),
    "beyond the file": ([(12_000, 13_000)], [(9500, 10_000)]),
    "out of order": ([(500, 600), (0, 100)], [(0, 100), (500, 600)]),
    "a millisecond stays one": ([(0, 1), (1, 2)], [(0, 1), (1, 2)]),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layout(name):
    given_spans, expected = LAYOUTS[name]
    blocks = lay_out([Cue(start, end, "text") for start, end in given_spans], 10_000)
    assert [(block.start_ms, block.end_ms) for block in blocks] == expected
    assert sum(len(block.cues) for block in blocks) == len(given_spans)


milliseconds = st.one_of(st.integers(0, 10), st.integers(0, 5000))


@given(st.lists(st.tuples(milliseconds, milliseconds), max_size=8), st.one_of(st.none(), milliseconds), st.booleans())
def test_cues_never_overlap_and_players_can_show_them(pairs, duration_ms, in_order):
    items = [Cue(start, start + length, f"cue {i}") for i, (start, length) in enumerate(pairs)]
    if in_order:
        items.sort(key=lambda cue: cue.start_ms)
    blocks = lay_out(items, duration_ms)
    assert all(block.start_ms < block.end_ms for block in blocks)
    assert all(first.end_ms <= second.start_ms for first, second in pairwise(blocks))
    assert all(block.end_ms <= duration_ms for block in blocks if duration_ms)
    assert sorted(cue.text for block in blocks for cue in block.cues) == sorted(cue.text for cue in items)
    if in_order and duration_ms is None:
        assert [cue for block in blocks for cue in block.cues] == items


def visible(text):
    return text.replace(WORD_JOINER, "").translate(str.maketrans("{}", "｛｝"))


def shown(event, fmt):
    """What a viewer reads: pysubs2 takes braces for codes in WebVTT, where they are none."""
    text = event.plaintext if fmt == "srt" else html.unescape(event.text.replace("\\N", "\n"))
    return visible(text)


def expected_text(block, fmt):
    prefix = {"srt": "[{}] ", "vtt": ""}[fmt]
    said = []
    for cue in block.cues:
        speaker = one_line(cue.speaker or "")
        said.append((prefix.format(speaker) if speaker else "") + "\n".join(lines(cue.text)))
    return visible("\n".join(said))


@pytest.mark.parametrize("fmt", ["srt", "vtt"])
@given(items=segments, duration=st.one_of(st.none(), st.floats(0, 30)))
@example(items=[segment(1.0, 1.0, "-->"), segment(0.001, 0.001, "-->")], duration=0.0025)
def test_reads_back_as_written(fmt, items, duration):
    result = envelope(*items, duration=duration)
    length_s = result.input.duration  # as it stands in the result, where times have whole milliseconds
    blocks = lay_out(cues(result), None if length_s is None else round(length_s * 1000))
    # pysubs2 reads two digits of hours in SubRip; longer files have their own test
    if fmt == "srt" and any(block.end_ms >= 360_000_000 for block in blocks):
        return
    written = render(result, fmt)
    assert "\n\n\n" not in written
    assert written.count("-->") == len(blocks)
    assert "\r" not in written
    read = pysubs2.SSAFile.from_string(written, fmt)
    assert [(event.start, event.end) for event in read] == [(block.start_ms, block.end_ms) for block in blocks]
    assert [shown(event, fmt) for event in read] == [expected_text(block, fmt) for block in blocks]


@given(segments)
def test_srt_is_one_block_per_cue_for_any_reader(items):
    written = render(envelope(*items, duration=None), "srt")
    blocks = written.split("\n\n")[:-1]
    for number, block in enumerate(blocks, 1):
        assert re.match(rf"{number}\n\d+:\d\d:\d\d,\d\d\d --> \d+:\d\d:\d\d,\d\d\d\n.", block), json.dumps(block)


def said(*timed, text=None, speaker=None):
    """A cue whose words have times."""
    words = tuple(Word(start=start, end=end, word=word) for start, end, word in timed)
    text = text or " ".join(word.word for word in words)
    return Segment(start=words[0].start, end=words[-1].end, text=text, words=words, speaker=speaker)


FOUR = ((1.0, 1.2, "a"), (1.2, 1.5, "<b>"), (1.5, 1.7, "an"), (1.7, 2.0, "end"))


def vtt_text(*items):
    return render(envelope(*items), "vtt").split("\n")[4]


def test_words_have_their_times_in_vtt_and_are_left_as_they_are_in_srt():
    timed = "a <00:00:01.200>&lt;b&gt; <00:00:01.500>an <00:00:01.700>end"
    assert vtt_text(said(*FOUR)) == timed
    assert vtt_text(said(*FOUR, speaker="S01")) == f"<v S01>{timed}</v>"
    assert render(envelope(said(*FOUR)), "srt").split("\n")[2] == f"a <{WORD_JOINER}b> an end"


def test_words_that_follow_without_spaces_have_their_times_too():
    chinese = said((0, 0.5, "今天"), (0.5, 1, "天气"), (1, 1.5, "很"), (1.5, 2, "好"), text="今天天气很好。")
    assert vtt_text(chinese) == "今天<00:00:00.500>天气<00:00:01.000>很<00:00:01.500>好。"


def test_a_word_time_that_is_not_later_than_the_last_is_left_out():
    words = said((0, 1, "a"), (0.9, 1, "b"), (0.9, 1, "c"), (0.5, 1, "d"), (0.95, 1, "e"), (0.97, 1.1, "f"))
    assert vtt_text(words) == "a <00:00:00.900>b c d <00:00:00.950>e <00:00:00.970>f"


def test_two_times_of_words_are_not_taken_for_those_of_a_cue():
    written = render(envelope(said(*FOUR[:3])), "vtt")
    assert written.split("\n")[4] == "a <00:00:01.200>&lt;b&gt; <00:00:01.500>an<00:00:01.501>"
    assert spans(written, "vtt") == [(1000, 1700)]
