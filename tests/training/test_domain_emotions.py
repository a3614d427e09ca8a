"""Emotions: prosodies that differ in the sound, labels that say when, and nothing reserved in training."""

from __future__ import annotations

import json
import random
import shutil
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import pytest

from moss_cli.engine.engine import Engine, load_engine
from moss_cli.engine.thinking import split_thinking
from moss_cli.span import Span
from moss_cli.tasks.emotion import DescribeEmotion
from training.domains.emotions import (
    EMOTIONS,
    LONGEST_S,
    MOST_OF_ONE,
    Rendered,
    Uttered,
    draw_emotions,
    example,
    prevailing,
)
from training.domains.emotions_bank import EmotionsBank, render_bank
from training.domains.speech_effects import level_db
from training.domains.speech_parts import RESERVED_FLITE, in_new_process, pitch_hz
from training.examples import Example, tenths
from training.measures.emotions import NOTHING, changes, measure_emotions, n_matched
from training.voices import RESERVED_VARIANTS

pytestmark = pytest.mark.skipif(
    not (shutil.which("espeak-ng") and shutil.which("flite")), reason="needs espeak-ng and flite"
)


@pytest.fixture(scope="module")
def engine() -> Engine:
    folder = Path(__file__).parents[1] / "fixtures" / "reference" / "checkpoint"
    return load_engine(folder, device="cpu", dtype="fp32")


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    return [example(random.Random(f"emotion/{i}"), Rendered(), reserved=i % 2 == 1) for i in range(10)]


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> EmotionsBank:
    folder = tmp_path_factory.mktemp("bank")
    in_new_process(render_bank, folder, 1, 2)
    return EmotionsBank(folder)


@pytest.fixture(scope="module")
def spoken() -> dict[str, list[Uttered]]:
    """Three sentences in every emotion, in one woman's voice."""
    for seed in range(20):
        names = [name for name in EMOTIONS for _ in range(3)]
        speaker, uttered = Rendered().uttered(random.Random(seed), names, reserved=False)
        if speaker.gender == "female" and speaker.engine == "espeak":
            return {name: [one for one in uttered if one.emotion == name] for name in EMOTIONS}
    raise AssertionError("no such voice in 20")


def figure(spoken: dict[str, list[Uttered]], of: object) -> dict[str, float]:
    return {name: float(np.mean([of(one) for one in many])) for name, many in spoken.items()}  # type: ignore[operator]


def test_emotions_differ_in_pitch(spoken: dict[str, list[Uttered]]) -> None:
    pitch = figure(spoken, lambda one: np.median(pitch_hz(one.samples)))
    assert pitch["sad"] < pitch["neutral"] * 0.85
    assert pitch["happy"] > pitch["neutral"] * 1.2
    assert pitch["fearful"] > pitch["neutral"] * 1.4


def test_a_happy_voice_swings_more_and_a_sad_one_less(spoken: dict[str, list[Uttered]]) -> None:
    def swing(one: Uttered) -> float:
        low, high = np.percentile(pitch_hz(one.samples), [10, 90])
        return float(high / low)

    swings = figure(spoken, swing)
    assert swings["happy"] > swings["neutral"] * 1.1
    assert swings["sad"] < swings["neutral"]


def test_emotions_differ_in_pace(spoken: dict[str, list[Uttered]]) -> None:
    pace = figure(spoken, lambda one: len(one.text.split()) / one.duration_s)
    assert pace["sad"] < 0.8 * pace["neutral"]
    assert pace["happy"] > 1.15 * pace["neutral"]
    assert pace["fearful"] > 1.2 * pace["neutral"]


def test_an_angry_voice_is_bright_and_a_sad_one_dull(spoken: dict[str, list[Uttered]]) -> None:
    def bright(one: Uttered) -> float:
        power = np.abs(np.fft.rfft(one.samples)) ** 2
        hz = np.fft.rfftfreq(len(one.samples), 1 / 16_000)
        return float(power[hz > 1500].sum() / power.sum())

    share = figure(spoken, bright)
    assert share["angry"] > 1.4 * share["neutral"]
    assert share["sad"] < 0.7 * share["neutral"]


def test_a_fearful_voice_trembles(spoken: dict[str, list[Uttered]]) -> None:
    def tremor(one: Uttered) -> float:
        """How much of the changes of the level come 10 to 13 times a second."""
        level = np.sqrt((one.samples[: len(one.samples) // 160 * 160].reshape(-1, 160) ** 2).mean(1))
        level = np.log(np.maximum(level, 0.1))
        power = np.abs(np.fft.rfft((level - level.mean()) * np.hanning(len(level)))) ** 2
        hz = np.fft.rfftfreq(len(level), 0.01)
        return float(power[(hz > 9.5) & (hz < 13.5)].sum() / power[hz > 0.5].sum())

    share = figure(spoken, tremor)
    assert share["fearful"] > 2 * max(value for name, value in share.items() if name != "fearful")


def test_in_half_of_the_clips_the_emotion_changes_once_or_twice() -> None:
    rng, counts = random.Random(3), [0, 0, 0]
    for _ in range(4000):
        drawn = draw_emotions(rng)
        n_changes = sum(a != b for a, b in pairwise(drawn))
        counts[n_changes] += 1
        assert 1 <= len(drawn) <= 4 and max(map(drawn.count, drawn)) <= MOST_OF_ONE
    assert [n / 4000 for n in counts] == pytest.approx([0.5, 0.25, 0.25], abs=0.03)


@pytest.mark.parametrize(
    ("segments", "overall"),
    [
        ([(0, 2, "sad")], "sad"),
        ([(0, 2, "sad"), (2, 5, "happy")], "happy"),
        ([(0, 2, "sad"), (2, 4.5, "happy")], None),
        ([(0, 2, "sad"), (2, 5, "happy"), (5, 7.5, "sad")], "sad"),
        ([(0, 6, "sad"), (6, 11, "angry")], None),
    ],
)
def test_overall_is_what_clearly_lasts_longest(segments: list[tuple[float, float, str]], overall: str | None) -> None:
    assert prevailing(segments) == overall


def test_the_same_seed_gives_the_same_bytes(examples: list[Example]) -> None:
    again = example(random.Random("emotion/1"), Rendered(), reserved=True)
    assert again.samples.tobytes() == examples[1].samples.tobytes()
    assert again.truth == examples[1].truth and again.tracks == examples[1].tracks


def test_segments_cover_the_sound_and_change_in_silence(examples: list[Example]) -> None:
    for one in examples:
        assert one.samples.dtype == np.float32 and np.abs(one.samples).max() <= 0.99
        assert one.duration_s <= LONGEST_S
        segments = one.truth["result"]["segments"]
        sounding = [t for t in one.tracks if t.label == "speech/on"]
        assert segments[0]["start"] == pytest.approx(sounding[0].start_s, abs=1e-3)
        assert segments[-1]["end"] == pytest.approx(sounding[-1].end_s, abs=1e-3)
        for a, b in pairwise(segments):
            assert a["emotion"] != b["emotion"]
            assert 0.29 <= b["start"] - a["end"] <= 0.81
            if one.truth["settings"]["noise"] == "none":
                between = one.samples[round((a["end"] + 0.05) * 16_000) : round((b["start"] - 0.05) * 16_000)]
                assert np.abs(between).max() < 0.02 * np.abs(one.samples).max()
        assert one.truth["result"]["overall"] == prevailing([(s["start"], s["end"], s["emotion"]) for s in segments])


def test_a_voice_sounds_in_every_segment(examples: list[Example]) -> None:
    for one in examples:
        for segment in one.truth["result"]["segments"]:
            part = one.samples[round(segment["start"] * 16_000) : round(segment["end"] * 16_000)]
            assert -38 <= level_db(part) <= -13


def test_answers_keep_to_the_grammar_and_come_back_as_the_truth(engine: Engine, examples: list[Example]) -> None:
    question = DescribeEmotion().questions[0]
    for one in examples[:5]:
        assert [asked.prompt for asked in one.asked] == [question.prompt]
        matcher = engine.grammars.matcher(question.form)
        answer = split_thinking(one.asked[0].answer)[1]
        assert matcher.consume_tokens(engine.tokenizer.encode(answer))
        assert matcher.is_accepting()
        read = DescribeEmotion().read([answer], Span(0.0, one.duration_s))
        truth = one.truth["result"]
        rounded = [{**s, "start": tenths(s["start"]), "end": tenths(s["end"])} for s in truth["segments"]]
        assert read.complete
        assert read.result.model_dump(mode="json") == {**truth, "segments": rounded}


def test_a_thought_has_every_sentence_and_so_has_the_answer(examples: list[Example]) -> None:
    thoughts = [(one, split_thinking(one.asked[0].answer)[0]) for one in examples]
    assert {one.asked[0].think for one, thought in thoughts if thought is None} == {False}
    kept = [(one, thought.splitlines()) for one, thought in thoughts if thought is not None]
    assert kept
    for one, (heard,) in kept:
        said = json.loads(split_thinking(one.asked[0].answer)[1])["segments"]
        assert len(said) == len(one.truth["settings"]["text"])
        assert heard.removeprefix("heard: ").split(", ") == [f"{s['emotion']} {s['start']}-{s['end']}" for s in said]
        assert [name for name, _ in groupby(s["emotion"] for s in said)] == [
            s["emotion"] for s in one.truth["result"]["segments"]
        ]


def test_tracks_say_what_the_segments_say(examples: list[Example]) -> None:
    for one in examples:
        assert one.families == {"emotion", "gender", "accent", "speech", "sentences", "runs"}
        assert one.families == {t.family for t in one.tracks}
        runs = [(round(t.start_s, 3), t.label) for t in one.tracks if t.family == "runs"]
        starts = [segment["start"] for segment in one.truth["result"]["segments"]]
        assert runs == [(start_s, f"runs/{i}") for i, start_s in enumerate(starts, start=1)]
        for track in (t for t in one.tracks if t.family == "emotion"):
            around = [
                s["emotion"]
                for s in one.truth["result"]["segments"]
                if s["start"] - 1e-3 <= track.start_s and track.end_s <= s["end"] + 1e-3
            ]
            assert around == [track.label.split("/")[1]]


def test_voices_kept_for_testing_are_used_there_alone(examples: list[Example]) -> None:
    for i, one in enumerate(examples):
        name = one.truth["settings"]["speaker"]
        assert (name.endswith(tuple(RESERVED_VARIANTS)) or name in RESERVED_FLITE) == (i % 2 == 1)


def test_a_bank_gives_one_voice_and_the_emotions_asked_for(bank: EmotionsBank) -> None:
    rng = random.Random(2)
    asked = ["sad", "sad", "happy", "sad"]
    _, uttered = bank.uttered(rng, asked, reserved=False)
    assert [one.emotion for one in uttered] == asked
    assert len({one.text for one in uttered}) == 4
    for _ in range(5):
        assert example(rng, bank, reserved=False).truth["result"]["overall"] in EMOTIONS
    with pytest.raises(ValueError, match="kept for testing"):
        bank.uttered(rng, asked, reserved=True)
    with pytest.raises(ValueError, match="never trained on"):
        render_bank(Path("unused"), 1_000_000, 1)


def segment(start: float, end: float, emotion: str) -> dict[str, object]:
    return {"start": start, "end": end, "emotion": emotion, "cue": "x"}


def test_the_measure_counts_labels_and_changes() -> None:
    truth = {"overall": "sad", "evidence": "x", "segments": [segment(0, 4, "sad"), segment(4.4, 6, "happy")]}
    rows = [{"file": name, "duration": 7.0, "result": truth} for name in ("a.wav", "b.wav", "c.wav")]
    late = [segment(0, 5, "sad"), segment(5.2, 6, "angry")]
    envelopes = {
        "a.wav": {"status": "ok", "result": truth},
        "b.wav": {"status": "ok", "result": {**truth, "segments": late}},
        "c.wav": {"status": "error", "error": {}},
    }
    figures = measure_emotions(rows, envelopes)
    assert (figures["n_clips"], figures["n_segments"], figures["n_changes"]) == (3, 6, 3)
    assert figures["overall"] == pytest.approx(2 / 3)
    assert figures["labels"] == pytest.approx(3 / 6)
    assert figures["sequence"] == pytest.approx(1 / 3)
    assert figures["change_recall"] == pytest.approx(1 / 3)
    assert figures["change_precision"] == pytest.approx(1 / 2)
    assert figures["confusion"] == {"sad": {"sad": 2, NOTHING: 1}, "happy": {"happy": 1, "angry": 1, NOTHING: 1}}


def test_changes_are_matched_once_each_within_the_collar() -> None:
    assert changes([segment(0, 1, "a"), segment(2, 3, "b"), segment(3, 4, "b")]) == [1.5]
    assert n_matched([1.0, 5.0], [1.5, 4.4]) == 1
    assert n_matched([1.0], [0.8, 1.2]) == 1
    assert n_matched([], [1.0]) == 0
