"""Pieces that overlap as one line: whatever was said, wherever it is cut, no word is lost or doubled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moss_cli.span import Span
from moss_cli.tasks.reading.overlap import splice
from moss_cli.tasks.reading.task import Part, Reading
from moss_cli.tasks.reading.timed import Segment, Word
from moss_cli.tasks.transcribe import Transcribe


def line(start: float, end: float, text: str) -> Segment:
    return Segment(start=start, end=end, text=text)


def timed(start: float, text: str) -> Segment:
    """A word a second."""
    words = tuple(Word(start=start + i, end=start + i + 1, word=w) for i, w in enumerate(text.split()))
    return Segment(start=start, end=words[-1].end, text=text, words=words)


def texts(segments: Sequence[Segment]) -> list[str]:
    return [segment.text for segment in segments]


def times(segments: Sequence[Segment]) -> list[tuple[float, float]]:
    return [(segment.start, segment.end) for segment in segments]


def test_a_sentence_cut_by_both_pieces_is_whole_again() -> None:
    before = [line(0, 4, "good morning everyone"), line(5, 10, "the meeting starts on monday")]
    after = [line(7, 13, "starts on monday at nine"), line(14, 15, "thanks")]
    merged = splice(before, after, Span(7, 10))
    assert texts(merged) == ["good morning everyone", "the meeting starts on monday at nine", "thanks"]
    assert times(merged) == [(0, 4), (5, 13), (14, 15)]


def test_a_sentence_that_both_pieces_have_whole_is_there_once() -> None:
    before = [line(0, 4, "one two"), line(6, 9, "three four")]
    after = [line(6.1, 9.1, "three four"), line(10, 12, "five")]
    assert texts(splice(before, after, Span(5.5, 9.5))) == ["one two", "three four", "five"]


def test_ideographs_are_spliced_without_spaces() -> None:
    merged = splice([line(0, 10, "我们今天去公园")], [line(6, 15, "今天去公园散步吧")], Span(6, 10))
    assert texts(merged) == ["我们今天去公园散步吧"]


def test_pieces_with_nothing_in_common_keep_all_that_either_has_heard() -> None:
    merged = splice([line(0, 4, "one"), line(8, 10, "two")], [line(9, 10, "three"), line(10, 12, "four")], Span(8, 10))
    assert texts(merged) == ["one", "two", "three", "four"]
    assert times(merged) == [(0, 4), (8, 9.5), (9.5, 10), (10, 12)]


def test_a_word_that_both_have_at_other_times_joins_nothing() -> None:
    before = [line(0, 3, "we met at the office")]
    after = [line(2.5, 9, "grace wrote on monday that a blue ticket was at the station")]
    assert texts(splice(before, after, Span(2.5, 3.5))) == texts([*before, *after])


def test_a_single_word_at_the_cut_is_there_once_though_the_pieces_time_it_otherwise() -> None:
    before = [line(46, 52.3, "there are nineteen people near the hotel at hundred")]
    after = [line(50.9, 53.3, "hundred dollars and tuesday")]
    merged = splice(before, after, Span(50.3, 52.3))
    assert texts(merged) == ["there are nineteen people near the hotel at hundred dollars and tuesday"]


def test_words_that_a_piece_mishears_at_its_edge_are_taken_from_the_other() -> None:
    before = [line(0, 4, "good morning paula and good after")]
    after = [line(1, 5, "warning paula and good evening bob")]
    assert texts(splice(before, after, Span(1, 4))) == ["good morning paula and good evening bob"]


def test_half_a_sentence_at_the_edge_of_a_piece_is_left_out_where_the_other_has_it_whole() -> None:
    before = [line(111.17, 113.44, "good morning paula and good evening bob"), line(113.66, 114.43, "julia moved the")]
    after = [
        line(112.48, 113.67, "good be picture but not a black report"),
        line(113.67, 116.3, "julia moved this car"),
    ]
    shared = Span(112.48, 114.48)
    assert texts(splice(before, after, shared)) == ["good morning paula and good evening bob", "julia moved this car"]
    said = [one.model_copy(update={"speaker": "S01/2"}) for one in after]
    assert "be picture but not a black report" in " ".join(texts(splice(before, said, shared)))


def test_an_answer_that_goes_round_in_circles_at_the_cut_is_not_taken_over() -> None:
    before = [line(121.3, 122.5, "thanks museum laura laura laura laura")]
    after = [line(121.2, 124, "thanks museum laura what and one"), line(124.4, 125.7, "hello sarah")]
    assert texts(splice(before, after, Span(121, 122.5))) == ["thanks museum laura what and one", "hello sarah"]


def test_words_are_spliced_with_their_sentence() -> None:
    [one] = splice([timed(0, "a b c d")], [timed(2, "c d e f")], Span(2, 4))
    assert one.text == "a b c d e f"
    assert [(w.start, w.word) for w in one.words or ()] == [(i, w) for i, w in enumerate("abcdef")]


def test_of_words_said_again_and_again_each_is_there_once() -> None:
    [one] = splice([timed(0, "no no no no")], [timed(2, "no no no")], Span(2, 4))
    assert one.text == "no no no no no"


def test_times_do_not_run_backwards_where_pieces_time_their_sentences_otherwise() -> None:
    before, after = [timed(0, "a b"), timed(2, "c d")], [timed(3.5, "x y z")]
    merged = splice(before, after, Span(3, 4))
    assert [w.word for s in merged for w in s.words or ()] == list("abcdxyz")
    assert times(merged) == [(0, 2), (2, 3.75), (3.75, 6.5)]
    assert [(w.start, w.end) for w in merged[1].words or ()] == [(2, 3), (3, 3.75)]
    assert [(w.start, w.end) for w in merged[2].words or ()] == [(3.75, 4.5), (4.5, 5.5), (5.5, 6.5)]


# --- any words, any cut ---


@dataclass(frozen=True)
class Said:
    """Words in order; `ends_sentence` tells after which of them a sentence ends."""

    words: list[Word]
    ends_sentence: list[bool]

    @property
    def end_s(self) -> float:
        return self.words[-1].end

    def heard(self, start_s: float, end_s: float, *, with_words: bool) -> list[Segment]:
        """Sentences, or what is wholly inside the span of them."""
        sentences: list[list[Word]] = [[]]
        for word, ends in zip(self.words, self.ends_sentence, strict=True):
            if start_s <= word.start and word.end <= end_s:
                sentences[-1].append(word)
            if ends:
                sentences.append([])
        return [
            Segment(
                start=words[0].start,
                end=words[-1].end,
                text=" ".join(word.word for word in words),
                words=tuple(words) if with_words else None,
            )
            for words in sentences
            if words
        ]


@st.composite
def talks(draw: st.DrawFn, *, distinct: bool) -> Said:
    steps = draw(st.lists(st.tuples(st.integers(150, 600), st.integers(0, 400)), min_size=2, max_size=60))
    names = [f"w{i}" if distinct else draw(st.sampled_from(["no", "yes", "the"])) for i in range(len(steps))]
    words, at_ms = [], 0
    for name, (length_ms, gap_ms) in zip(names, steps, strict=True):
        words.append(Word(start=at_ms / 1000, end=(at_ms + length_ms) / 1000, word=name))
        at_ms += length_ms + gap_ms
    return Said(words, draw(st.lists(st.booleans(), min_size=len(words), max_size=len(words))))


def pieces(said: Said, longest_s: float, overlap_s: float, *, with_words: bool) -> list[Part]:
    """What a model that hears everything gives of pieces that overlap."""
    parts, start_s = [], 0.0
    while True:
        end_s = min(start_s + longest_s, said.end_s)
        segments = tuple(said.heard(start_s, end_s, with_words=with_words))
        result = Transcribe().read([""], Span(start_s, end_s)).result.model_copy(update={"segments": segments})
        parts.append(Part(Span(start_s, end_s), Reading(result, " ".join(texts(segments)))))
        if end_s == said.end_s:
            return parts
        start_s = end_s - overlap_s


def assert_whole(said: Said, merged: Reading) -> None:
    """Every word once, in order, in times that do not run backwards."""
    assert merged.text.split() == [word.word for word in said.words]
    segments = merged.result.segments
    for first, second in pairwise(segments):
        assert first.end <= second.start
    assert all(0 <= segment.start <= segment.end <= said.end_s for segment in segments)


@given(talks(distinct=False), st.floats(2, 12), st.floats(0.3, 0.5))
def test_words_with_times_merge_back_exactly_wherever_they_are_cut(said: Said, longest_s: float, share: float) -> None:
    merged = Transcribe("word").merge(pieces(said, longest_s, max(0.61, share * longest_s), with_words=True))
    assert_whole(said, merged)
    assert [word for segment in merged.result.segments for word in segment.words or ()] == said.words


@given(talks(distinct=True), st.floats(4, 12), st.floats(0.25, 0.5))
def test_sentences_without_words_times_merge_back_exactly_wherever_they_are_cut(
    said: Said, longest_s: float, share: float
) -> None:
    assert_whole(said, Transcribe().merge(pieces(said, longest_s, share * longest_s, with_words=False)))


@given(st.lists(st.sampled_from("abcdefgh"), min_size=4, max_size=40), st.integers(1, 39), st.integers(1, 8))
def test_distinct_words_are_neither_lost_nor_doubled(letters: list[str], cut: int, overlap: int) -> None:
    said = [f"{letter}{i}" for i, letter in enumerate(letters)]  # every word once
    cut = min(cut, len(said) - 1)
    begin = max(0, cut - overlap)
    before = [line(0, cut, " ".join(said[:cut]))]
    after = [line(begin, len(said), " ".join(said[begin:]))]
    assert " ".join(texts(splice(before, after, Span(begin, cut)))).split() == said


@pytest.mark.parametrize("empty_first", [True, False])
def test_a_piece_in_which_nothing_was_heard_drops_nothing(empty_first: bool) -> None:
    task = Transcribe()
    said, nothing = "[0.00]one[4.00][7.00]two[10.00]", ""
    answers = [nothing, said] if empty_first else [said, nothing]
    spans = [Span(0.0, 10.0), Span(6.0, 16.0)]
    parts = [Part(span, task.read([answer], span)) for span, answer in zip(spans, answers, strict=True)]
    assert task.merge(parts).text == "one two"


def test_a_stretch_passed_over_does_not_hide_that_the_pieces_around_it_overlap() -> None:
    task = Transcribe()
    spans = [Span(0.0, 20.0), Span(14.0, 16.5), Span(16.5, 34.0)]
    answers = ["[17.00]the meeting starts[19.50]", "", "[0.50]the meeting starts at nine[4.00]"]
    parts = [Part(span, task.read([answer], span)) for span, answer in zip(spans, answers, strict=True)]
    assert task.merge(parts).text == "the meeting starts at nine"


def test_times_stay_in_order_for_speakers_who_share_a_time() -> None:
    task = Transcribe(speakers=True)
    spans = [Span(0.0, 10.0), Span(10.0, 20.0)]
    answers = ["[2.00][S01]hi [S02]hello[4.00]", "[1.00][S01]bye[2.00]"]
    parts = [Part(span, task.read([answer], span)) for span, answer in zip(spans, answers, strict=True)]
    found = [(s.start, s.end, s.speaker, s.text) for s in task.merge(parts).result.segments]
    assert found == [(2, 4, "S01/1", "hi"), (2, 4, "S02/1", "hello"), (11, 12, "S01/2", "bye")]


@pytest.mark.parametrize(
    ("word", "gap", "n_said", "n_merged"), [("la", " ", 300, 540), ("哈", "", 500, 901), ("哈", "", 1_600, 2_881)]
)
def test_answers_that_go_round_in_circles_are_merged_without_trying_every_pair_of_pairs(
    word: str, gap: str, n_said: int, n_merged: int
) -> None:
    said = gap.join([word] * n_said)
    merged = splice([line(0, 60, said)], [line(54, 114, said)], Span(54, 60))
    assert texts(merged) == [gap.join([word] * n_merged)]
