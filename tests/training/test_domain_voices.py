"""Voices: what is said of a speaker is true of the sound, and nothing reserved is trained on."""

from __future__ import annotations

import json
import random
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from moss_cli.engine.engine import Engine, load_engine
from moss_cli.span import Span
from moss_cli.tasks.describe_speaker import FIELDS, DescribeSpeaker
from training.domains import speech_effects as effects
from training.domains.speech_parts import (
    Said,
    active_rms,
    in_new_process,
    pitch_hz,
)
from training.domains.voices import (
    ESPEAK_PITCH,
    PITCH_HZ,
    SPEED_WPM,
    TELLING,
    VOLUME_DB,
    Rendered,
    Voiced,
    draw_text,
    example,
    pitch_class,
    summary,
)
from training.domains.voices_bank import VoicesBank, render_bank
from training.examples import Example, Track
from training.measures.voices import NOTHING, measure_voices
from training.voices import RESERVED_VARIANTS

pytestmark = pytest.mark.skipif(
    not (shutil.which("espeak-ng") and shutil.which("flite")), reason="needs espeak-ng and flite"
)
COUNT = 12


@pytest.fixture(scope="module")
def engine() -> Engine:
    folder = Path(__file__).parents[1] / "fixtures" / "reference" / "checkpoint"
    return load_engine(folder, device="cpu", dtype="fp32")


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    return [example(random.Random(f"voice/{i}"), Rendered(), reserved=i % 2 == 1) for i in range(COUNT)]


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> VoicesBank:
    folder = tmp_path_factory.mktemp("bank")
    in_new_process(render_bank, folder, 1, 4)
    return VoicesBank(folder)


def between(low: float, high: float) -> tuple[float, float]:
    third = (high - low) / 3
    return low + third, high - third


def test_speeds_have_gaps_between_them() -> None:
    ranges = sorted((band.low, band.high) for band in SPEED_WPM.values())
    assert all(later[0] >= 1.25 * earlier[1] for earlier, later in pairwise(ranges))


def test_pitches_have_gaps_between_them_whoever_speaks() -> None:
    by_class: dict[str, list[float]] = {"low": [], "medium": [], "high": []}
    for (_, name), ends in PITCH_HZ.items():
        by_class[name] += ends
    assert min(by_class["medium"]) >= 1.15 * max(by_class["low"])
    assert min(by_class["high"]) >= 1.15 * max(by_class["medium"])


def test_volumes_have_gaps_of_4_db() -> None:
    ranges = sorted((band.low, band.high) for band in VOLUME_DB.values())
    assert all(later[0] - earlier[1] >= 4 for earlier, later in pairwise(ranges))


def test_pitches_between_two_classes_are_in_none() -> None:
    assert [pitch_class("male", hz) for hz in (90, 112, 130, 160)] == ["low", None, "medium", None]
    assert [pitch_class("female", hz) for hz in (130, 160, 190, 240)] == [None, "medium", None, "high"]


def test_every_text_tells_the_accent() -> None:
    rng = random.Random(2)
    texts = [draw_text(rng, wpm, reserved=wpm > 200) for wpm in (100, 160, 270) for _ in range(50)]
    assert all(TELLING.search(text) for text in texts)
    assert TELLING.search("nobody heard it")
    for silent in ("maria wrote to me", "a red tree", "sorry"):
        assert not TELLING.search(silent)


def test_the_same_seed_gives_the_same_bytes(examples: list[Example]) -> None:
    again = example(random.Random("voice/1"), Rendered(), reserved=True)
    assert again.samples.tobytes() == examples[1].samples.tobytes()
    assert again.truth == examples[1].truth and again.tracks == examples[1].tracks


def test_clips_are_float32_of_3_to_13_s(examples: list[Example]) -> None:
    for one in examples:
        assert one.samples.dtype == np.float32 and one.samples.ndim == 1
        assert 3 <= one.duration_s <= 13
        assert np.abs(one.samples).max() <= 0.99


def test_pitch_is_that_of_the_sound(examples: list[Example]) -> None:
    for one in examples:
        low, high = PITCH_HZ[one.truth["result"]["gender"], one.truth["result"]["pitch"]]
        assert low <= one.truth["settings"]["pitch_hz"] <= high
    undisturbed = {"texture": "smooth", "clarity": "clear"}
    plain = [e for e in examples if undisturbed.items() <= e.truth["result"].items()]
    assert plain
    for one in plain:
        assert np.median(pitch_hz(one.samples)) == pytest.approx(one.truth["settings"]["pitch_hz"], rel=0.12)


def test_volume_is_that_of_the_sound(examples: list[Example]) -> None:
    for one in examples:
        band = VOLUME_DB[one.truth["result"]["volume"]]
        parts = [one.samples[round(t.start_s * 16_000) : round(t.end_s * 16_000)] for t in heard(one)]
        assert band.low - 2 <= effects.level_db(np.concatenate(parts)) <= band.high + 2


def heard(one: Example) -> list[Track]:
    return [track for track in one.tracks if track.label == "speech/on"]


def test_halting_voices_pause_and_fluent_ones_do_not(examples: list[Example]) -> None:
    assert {e.truth["result"]["fluency"] for e in examples} == {"fluent", "halting"}
    for one in examples:
        sentences = [t for t in one.tracks if t.family == "fluency"]
        halting = one.truth["result"]["fluency"] == "halting"
        for sentence in sentences:
            within = [t for t in heard(one) if sentence.start_s <= t.start_s and t.end_s <= sentence.end_s + 1e-6]
            assert len(within) >= 3 if halting else len(within) == 1
            for earlier, later in pairwise(within):
                assert later.start_s - earlier.end_s >= 0.3
                if one.truth["settings"]["noise"] == "none":
                    a, b = round((earlier.end_s + 0.03) * 16_000), round((later.start_s - 0.03) * 16_000)
                    assert np.abs(one.samples[a:b]).max() < 0.02 * np.abs(one.samples).max()


def test_speed_is_that_of_the_words(examples: list[Example]) -> None:
    said: dict[str, list[float]] = {name: [] for name in SPEED_WPM}
    for one in examples:
        assert one.truth["settings"]["delivery"]["wpm"] in SPEED_WPM[one.truth["result"]["speed"]]
        said[one.truth["result"]["speed"]].append(one.truth["settings"]["words_per_minute"])
    assert np.mean(said["slow"]) * 1.3 < np.mean(said["medium"]) < np.mean(said["fast"]) / 1.2


def test_tests_have_the_middle_of_every_range_and_training_has_not(examples: list[Example]) -> None:
    for i, one in enumerate(examples):
        gender = one.truth["result"]["gender"]
        bands = [b for (g, _), b in ESPEAK_PITCH.items() if g == gender]
        wpm, pitch = one.truth["settings"]["delivery"]["wpm"], one.truth["settings"]["delivery"]["pitch"]
        for value, choices in ((wpm, list(SPEED_WPM.values())), (pitch, bands)):
            inside = any(between(b.low, b.high)[0] - 0.06 <= value <= between(b.low, b.high)[1] + 0.06 for b in choices)
            assert inside or i % 2 == 0
        if i % 2 == 0:
            low, high = between(SPEED_WPM["slow"].low, SPEED_WPM["slow"].high)
            assert not low + 0.06 < wpm < high - 0.06


def test_answers_keep_to_the_grammar_and_come_back_as_the_truth(engine: Engine, examples: list[Example]) -> None:
    question = DescribeSpeaker().questions[0]
    for one in examples[:6]:
        assert [asked.prompt for asked in one.asked] == [question.prompt]
        matcher = engine.grammars.matcher(question.form)
        assert matcher.consume_tokens(engine.tokenizer.encode(one.asked[0].answer))
        assert matcher.is_accepting()
        read = DescribeSpeaker().read([one.asked[0].answer], Span(0.0, one.duration_s))
        assert read.complete and read.result.model_dump() == one.truth["result"]
        assert list(one.truth["result"]) == [field.name for field in FIELDS]


def test_what_nobody_can_hear_is_null(examples: list[Example]) -> None:
    for one in examples:
        assert [one.truth["result"][name] for name in ("age", "emotion", "tone", "personality")] == [None] * 4


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (("female", "Scottish", "high", "fast", "loud"), "a Scottish woman with a high voice speaks loudly and fast"),
        (("male", "American", "low", "medium", "medium"), "an American man with a low voice speaks at a medium pace"),
        (
            ("male", "British", "low", "medium", "quiet"),
            "a British man with a low voice speaks quietly at a medium pace",
        ),
        (("male", "British", "medium", "slow", "medium"), "a British man with a medium voice speaks slowly"),
    ],
)
def test_the_summary_is_made_of_the_fields(fields: tuple[str, str, str, str, str], sentence: str) -> None:
    assert summary(*fields) == sentence


def test_tracks_say_of_every_sentence_what_the_answer_says(examples: list[Example]) -> None:
    for one in examples:
        known = {name: value for name, value in one.truth["result"].items() if value and name != "summary"}
        assert one.families == {*known, "speech"}
        assert {t.label for t in one.tracks} == {"speech/on", *(f"{name}/{value}" for name, value in known.items())}
        assert all(0 <= t.start_s < t.end_s <= one.duration_s for t in one.tracks)


def test_a_bank_has_what_it_was_given_and_nothing_reserved(bank: VoicesBank) -> None:
    rng = random.Random(4)
    for _ in range(8):
        one = bank.voiced(rng, reserved=False)
        assert isinstance(one, Voiced) and (one.speaker.gender, one.pitch) in PITCH_HZ
        assert not one.speaker.name.endswith(tuple(RESERVED_VARIANTS))
        for said in one.sentences:
            assert isinstance(said, Said)
            assert active_rms(said.samples) == pytest.approx(1, abs=0.01)
            hz = float(np.median(pitch_hz(said.samples)))
            assert pitch_class(one.speaker.gender, hz) == one.pitch
        assert example(rng, bank, reserved=False).truth["result"]["gender"] in ("male", "female")
    with pytest.raises(ValueError, match="kept for testing"):
        bank.voiced(rng, reserved=True)
    with pytest.raises(ValueError, match="never trained on"):
        render_bank(Path("unused"), 1_000_000, 1)


def test_the_measure_counts_what_is_right() -> None:
    true = {"gender": "male", "accent": "British", "pitch": "low", "speed": "fast", "volume": "loud"}
    true |= {"texture": "smooth", "clarity": "clear", "fluency": "fluent", "summary": "a"}
    unknown = dict.fromkeys(("age", "emotion", "tone", "personality"))
    rows = [{"file": name, "duration": 4.0, "result": {**true, **unknown}} for name in ("a.wav", "b.wav", "c.wav")]
    said = {
        "a.wav": {"status": "ok", "result": {**true, **unknown}},
        "b.wav": {"status": "ok", "result": {**true, **unknown, "accent": "Scottish", "age": "old", "pitch": None}},
    }
    figures = measure_voices(rows, json.loads(json.dumps(said)))
    assert figures["n_clips"] == 3
    assert figures["gender"] == pytest.approx(2 / 3)
    assert figures["accent"] == figures["pitch"] == pytest.approx(1 / 3)
    assert figures["left_null"] == pytest.approx(7 / 12)
    assert figures["confusion"]["accent"] == {"British": {"British": 1, "Scottish": 1, NOTHING: 1}}
    assert figures["confusion"]["pitch"] == {"low": {"low": 1, NOTHING: 2}}
    assert measure_voices([], {})["gender"] == 0.0
