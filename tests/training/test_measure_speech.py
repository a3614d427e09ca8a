"""The figures of `transcribe` on made-up answers."""

from __future__ import annotations

from typing import Any

import pytest

from training.measures.speech import match, measure_silence, measure_speech, measure_words

Row = dict[str, Any]


def row(name: str, *segments: tuple[float, float, str], rate: int = 16_000, noise: str = "none") -> Row:
    parts = [{"start": s, "end": e, "text": t, "word_starts": []} for s, e, t in segments]
    settings = {"sample_rate": rate, "noise": noise}
    return {"file": name, "text": " ".join(t for _, _, t in segments), "segments": parts, "settings": settings}


def envelope(*segments: tuple[float, float, str]) -> Row:
    answer = row("", *segments)
    return {"status": "ok", "text": answer["text"], "result": {"segments": answer["segments"]}}


def timed(text: str, *starts: float) -> Row:
    words = [{"start": s, "end": s + 0.1, "word": w} for s, w in zip(starts, text.split(), strict=True)]
    return {"start": starts[0], "end": starts[-1] + 0.1, "text": text, "words": words}


def test_figures_are_computed_over_all_words_and_found_sentences() -> None:
    labels = [
        row("a", (0.0, 1.0, "one two"), (2.0, 3.0, "three four"), rate=8_000),
        row("b", (0.0, 1.0, "five"), noise="hum"),
    ]
    found = {"a": envelope((0.1, 1.0, "one two"), (2.0, 3.3, "three six")), "b": envelope()}
    assert measure_speech(labels, found) == {
        "n_clips": 2,
        "word_error_rate": pytest.approx(2 / 5),
        "boundary_error_s": pytest.approx(0.1),
        "sentences_found": pytest.approx(2 / 3),
        "by_rate": {"8000": pytest.approx(1 / 4), "16000": 1.0},
        "by_noise": {"none": pytest.approx(1 / 4), "hum": 1.0},
        "confusion": {"four": {"six": 1}},
    }


def test_a_clip_without_a_result_counts_as_an_empty_answer() -> None:
    figures = measure_speech([row("a", (0.0, 1.0, "one"))], {})
    assert (figures["word_error_rate"], figures["boundary_error_s"], figures["sentences_found"]) == (1.0, None, 0.0)


def test_each_segment_is_matched_once() -> None:
    one = {"start": 0.0, "end": 3.0}
    pairs = match([{"start": 0.0, "end": 1.0}, {"start": 1.5, "end": 3.0}], [one])
    assert pairs == [({"start": 0.0, "end": 1.0}, one)]


def test_word_times_are_those_of_words_that_were_heard_and_whose_start_is_known() -> None:
    known = {"start": 0.0, "end": 1.0, "text": "one two three", "word_starts": [0.0, 0.3, 0.6]}
    unknown = {"start": 2.0, "end": 3.0, "text": "four five", "word_starts": []}
    labels = [{"file": "a", "segments": [known, unknown]}]
    said = [timed("one too three", 0.1, 0.3, 0.9), timed("four five", 2.0, 2.5)]
    figures = measure_words(labels, {"a": {"result": {"segments": said}}})
    assert figures == {"n_clips": 1, "word_time_error_s": pytest.approx(0.2), "words_timed": pytest.approx(2 / 3)}


def test_an_answer_without_word_times_has_no_error_and_no_words() -> None:
    labels = [{"file": "a", "segments": [{"start": 0.0, "end": 1.0, "text": "one", "word_starts": [0.0]}]}]
    assert measure_words(labels, {"a": envelope((0.0, 1.0, "one"))}) == {
        "n_clips": 1,
        "word_time_error_s": None,
        "words_timed": 0.0,
    }


def test_transcripts_of_silence_are_counted_and_so_are_failures() -> None:
    labels = [row("a"), row("b"), row("c")]
    found = {"a": envelope((0.0, 1.0, "x")), "b": envelope()}
    assert measure_silence(labels, found) == {"n_clips": 3, "n_not_empty": 2}
