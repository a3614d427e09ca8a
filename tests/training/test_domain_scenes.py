"""Scenes: the labels are true of the sound, the answers are those of the command, nothing reserved is trained on."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from moss_cli.engine.engine import Engine, load_engine
from moss_cli.span import Span
from moss_cli.tasks.scene import DescribeScene
from moss_cli.tasks.scene import Scene as SceneResult
from training.domains import beds, sounds
from training.domains.scenes import (
    ATMOSPHERES,
    BEDS,
    EVENTS,
    GAP_S,
    PHRASES,
    SETTINGS,
    TENSE,
    Rendered,
    as_example,
    atmosphere,
    example,
    scene,
    summary,
)
from training.domains.scenes_bank import SceneBank, render_bank
from training.domains.sound_shapes import Recipe
from training.domains.sounds import active_rms, draw_parameters, levels, render_sound
from training.examples import Example, tenths
from training.measures.scenes import NOTHING, measure_scenes, n_matched


@pytest.fixture(scope="module")
def engine() -> Engine:
    folder = Path(__file__).parents[1] / "fixtures" / "reference" / "checkpoint"
    return load_engine(folder, device="cpu", dtype="fp32")


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    return [example(random.Random(f"scene/{i}"), Rendered(), reserved=i % 2 == 1) for i in range(10)]


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> SceneBank:
    folder = tmp_path_factory.mktemp("bank")
    render_bank(folder, 1, 2, 1)
    return SceneBank(folder)


@pytest.mark.parametrize("label", EVENTS)
def test_events_last_0_4_to_3_s_and_no_two_are_alike(label: str) -> None:
    one, other, reserved = (render_sound(random.Random(i), label, reserved=i == 2) for i in range(3))
    for sound in (one, other, reserved):
        assert 0.4 <= len(sound.samples) / 16_000 <= 3.0
        assert active_rms(sound.samples) == pytest.approx(1, abs=1e-3)
        level = levels(sound.samples)
        assert min(level[0], level[-1]) > level.max() / 110  # nothing but sound at either end
    assert one.samples.tobytes() != other.samples.tobytes()
    assert render_sound(random.Random(0), label, reserved=False).samples.tobytes() == one.samples.tobytes()


@pytest.mark.parametrize("recipe", [*sounds.KINDS.values(), *beds.KINDS.values()], ids=[*EVENTS, *BEDS])
def test_what_is_reserved_lies_within_what_is_trained_on_and_is_never_drawn(recipe: Recipe) -> None:
    name, (low, high) = recipe.reserved
    assert recipe.ranges[name][0] < low < high < recipe.ranges[name][1]
    rng = random.Random(1)
    trained = [draw_parameters(rng, recipe, reserved=False)[name] for _ in range(500)]
    kept = [draw_parameters(rng, recipe, reserved=True)[name] for _ in range(100)]
    assert not any(low < value < high for value in trained)
    assert min(trained) < low < high < max(trained)
    assert all(low <= value <= high for value in kept)


def dominant_hz(samples: np.ndarray) -> float:
    power = np.abs(np.fft.rfft(samples)) ** 2
    return float(np.argmax(power) * 16_000 / len(samples))


@pytest.mark.parametrize("label", ["doorbell", "alarm beeps", "phone ringing"])
def test_a_signal_has_the_pitch_that_it_was_drawn_with(label: str) -> None:
    sound = render_sound(random.Random(3), label, reserved=False)
    f0 = sound.parameters["f0_hz"]
    pitches = [f0, f0 * sound.parameters.get("ratio", 1), f0 * 1.26]
    assert min(abs(dominant_hz(sound.samples) / hz - 1) for hz in pitches) < 0.03


def test_knocks_are_quicker_than_steps() -> None:
    fastest_step = sounds.KINDS["footsteps"].ranges["rate_hz"][1]
    assert sounds.KINDS["knocking"].ranges["rate_hz"][0] > 1.5 * fastest_step


def above(samples: np.ndarray, hz: float) -> float:
    power = np.abs(np.fft.rfft(samples)) ** 2
    return float(power[int(hz * len(samples) / 16_000) :].sum() / power.sum())


def test_beds_differ_in_where_their_sound_lies() -> None:
    drawn = {name: beds.render_bed(random.Random(2), name, 80_000, reserved=False) for name in BEDS}
    assert all(np.sqrt((bed**2).mean()) == pytest.approx(1, abs=1e-3) for bed in drawn.values())
    assert above(drawn["rain"], 2000) > 0.7
    assert above(drawn["stream"], 2500) < 0.1 < above(drawn["stream"], 500)
    assert max(above(drawn[name], 2500) for name in ("wind", "traffic", "hum")) < 0.05


def test_labels_lie_where_the_events_sound() -> None:
    for i in range(12):
        clip = scene(random.Random(i), Rendered(), reserved=False, n_events=3, bed="quiet", overlapping=0)
        sounding = np.zeros(len(clip.samples), bool)
        for event in clip.events:
            start, end = round(event.start_s * 16_000), round(event.end_s * 16_000)
            sounding[start:end] = True
            inside = levels(clip.samples[start:end])
            assert inside[:2].max() > inside.max() / 150
        silence = levels(clip.samples[~sounding])
        assert silence.max() < levels(clip.samples[sounding]).max() / 50
        assert all(b.start_s - a.end_s >= GAP_S - 1e-3 for a, b in zip(clip.events, clip.events[1:], strict=False))


def test_events_are_12_db_above_their_bed_and_more() -> None:
    for i in range(10):
        clip = scene(random.Random(i), Rendered(), reserved=False, n_events=1, bed="rain")
        start, end = (round(t * 16_000) for t in (clip.events[0].start_s, clip.events[0].end_s))
        bed = np.concatenate([clip.samples[: max(0, start - 800)], clip.samples[end + 800 :]])
        ratio_db = 20 * np.log10(active_rms(clip.samples[start:end]) / np.sqrt((bed**2).mean()))
        assert 11 <= ratio_db <= 31


def test_overlapping_events_are_two_different_ones() -> None:
    n_pairs = 0
    for i in range(20):
        clip = scene(random.Random(i), Rendered(), reserved=False, n_events=2, bed="quiet", overlapping=1.0)
        first, second = clip.events
        if second.start_s < first.end_s:
            n_pairs += 1
            assert first.label != second.label
            assert second.start_s - first.start_s >= GAP_S - 0.05
    assert n_pairs >= 15


def test_wanted_events_come_in_the_order_that_was_asked_for() -> None:
    wanted = ["siren", "dog bark", "siren"]
    clip = scene(random.Random(1), Rendered(), reserved=False, n_events=0, labels=wanted, overlapping=0)
    assert [event.label for event in clip.events] == wanted
    short = scene(random.Random(1), Rendered(), reserved=False, n_events=0, labels=wanted, max_s=4.0, overlapping=0)
    kept = [event.label for event in short.events]
    assert kept in (wanted[:1], wanted[:2])
    assert short.duration_s <= 4.0


def test_the_same_seed_gives_the_same_bytes(examples: list[Example]) -> None:
    again = example(random.Random("scene/1"), Rendered(), reserved=True)
    assert again.samples.tobytes() == examples[1].samples.tobytes()
    assert (again.truth, again.asked, again.tracks) == (examples[1].truth, examples[1].asked, examples[1].tracks)


def test_clips_are_what_the_domain_says(examples: list[Example]) -> None:
    for clip in examples:
        assert clip.samples.dtype == np.float32
        assert 4.0 <= clip.duration_s <= 12.0
        assert np.abs(clip.samples).max() <= 0.9901
        result = clip.truth["result"]
        assert result["setting"] in SETTINGS
        assert result["atmosphere"] in ATMOSPHERES
        assert {e["label"] for e in result["events"]} <= set(EVENTS)
        assert {t.family for t in clip.tracks} <= clip.families == {"event", "bed"}
        timed = [(round(t.start_s, 3), round(t.end_s, 3), t.label) for t in clip.tracks if t.family == "event"]
        assert timed == [(e["start"], e["end"], f"event/{e['label']}") for e in result["events"]]
        bed = clip.truth["settings"]["bed"]
        assert (clip.tracks[-1].label, result["setting"]) == (f"bed/{bed}", beds.KINDS[bed].setting)


def test_answers_are_allowed_and_come_back_as_the_truth(engine: Engine, examples: list[Example]) -> None:
    task = DescribeScene()
    for clip in examples:
        for question, asked in zip(task.questions, clip.asked, strict=True):
            assert question.prompt == asked.prompt
            assert question.form is not None
            matcher = engine.grammars.matcher(question.form)
            assert matcher.consume_tokens(engine.tokenizer.encode(asked.answer))
            assert matcher.is_accepting()
        reading = task.read([asked.answer for asked in clip.asked], Span(0.0, clip.duration_s))
        assert isinstance(reading.result, SceneResult)
        assert reading.complete
        truth = clip.truth["result"]
        assert reading.result.model_dump(exclude={"events"}) == {k: v for k, v in truth.items() if k != "events"}
        said = [(e.start, e.end, e.label) for e in reading.result.events]
        last = int(clip.duration_s * 1000) / 1000
        assert said == [(tenths(e["start"]), min(tenths(e["end"]), last), e["label"]) for e in truth["events"]]


def test_atmosphere_follows_from_the_bed_and_the_events() -> None:
    assert atmosphere("quiet", ["knocking", "siren", "whistle"]) == "tense"
    assert atmosphere("rain", ["knocking", "whistle", "applause"]) == "busy"
    assert atmosphere("quiet", ["knocking"]) == "quiet"
    assert atmosphere("rain", ["knocking"]) == "calm"
    assert set(EVENTS) > TENSE


def test_a_summary_names_the_bed_and_the_events_in_order() -> None:
    assert summary("rain", []) == "rain and nothing else"
    assert summary("quiet", ["dog bark"]) == "a quiet room with a dog bark"
    assert summary("waves", ["siren", "knocking", "whistle"]) == "waves with a siren, knocking, then a whistle"
    assert set(PHRASES) <= set(EVENTS)


def test_a_scene_without_events_has_an_empty_list_and_a_bed() -> None:
    clip = as_example(scene(random.Random(1), Rendered(), reserved=False, n_events=0, bed="waves"))
    assert clip.asked[0].answer == ""
    assert clip.truth["result"]["events"] == []
    assert [track.label for track in clip.tracks] == ["bed/waves"]


def test_a_bank_gives_each_kind_from_what_is_trained_on(bank: SceneBank) -> None:
    rng = random.Random(1)
    for label in EVENTS:
        sound = bank.event(rng, label, reserved=False)
        name, (low, high) = sounds.KINDS[label].reserved
        assert not low < sound.parameters[name] < high
        assert active_rms(sound.samples) == pytest.approx(1, abs=1e-3)
    for bed in BEDS:
        samples = bank.bed(rng, bed, 16 * 16_000, reserved=False)  # longer than what lies in the bank
        assert len(samples) == 16 * 16_000
        assert np.sqrt((samples**2).mean()) == pytest.approx(1, abs=1e-3)
    assert 1 <= len(example(rng, bank, reserved=False).tracks) <= 5
    with pytest.raises(ValueError, match="kept for testing"):
        bank.event(rng, "siren", reserved=True)


def test_a_bank_is_never_made_from_a_seed_for_testing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="never trained on"):
        render_bank(tmp_path, 1_000_000, 1, 1)


def event(start: float, end: float, label: str) -> dict[str, object]:
    return {"start": start, "end": end, "label": label}


def test_events_are_matched_once_and_within_the_collar() -> None:
    truth = [event(1.0, 2.0, "siren"), event(1.4, 2.4, "siren")]
    assert n_matched(truth, [event(1.5, 2.5, "siren")]) == 1
    assert n_matched(truth, [event(1.7, 2.7, "siren"), event(1.2, 2.2, "siren")]) == 2
    assert n_matched(truth, [event(1.0, 2.91, "siren"), event(1.0, 2.0, "whistle")]) == 0


def test_figures_are_computed_over_all_clips() -> None:
    def row(name: str, *events: dict[str, object]) -> dict[str, object]:
        return {"file": name, "result": {"setting": "by the sea", "atmosphere": "calm", "events": list(events)}}

    labels = [
        row("a", event(0.0, 1.0, "siren"), event(2.0, 3.0, "thunder")),
        row("b", event(0.0, 1.0, "knocking")),
        row("c"),
        row("d", event(1.0, 2.0, "whistle")),
    ]
    said = row("a", event(0.4, 1.2, "siren"), event(2.0, 3.0, "applause"))
    wrong = {"result": {"setting": "by a stream", "atmosphere": "calm", "events": [event(5.0, 6.0, "siren")]}}
    figures = measure_scenes(labels, {"a": said, "b": wrong, "c": labels[2], "d": {"status": "error"}})
    assert figures["event_f1"] == pytest.approx(2 / 7)
    assert figures["event_precision"] == pytest.approx(1 / 3)
    assert figures["event_recall"] == pytest.approx(1 / 4)
    assert (figures["setting"], figures["atmosphere"]) == (0.5, 0.75)
    assert figures["confusion"] == {
        "siren": {"siren": 1},
        "thunder": {"applause": 1},
        "knocking": {NOTHING: 1},
        NOTHING: {"siren": 1},
        "whistle": {NOTHING: 1},
    }
