"""Questions: answers are true of the clip, come back through the command, are balanced, and leave out what is kept."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moss_cli.answers import Grammar
from moss_cli.engine.engine import Engine, load_engine
from moss_cli.engine.thinking import split_thinking
from moss_cli.span import Span
from moss_cli.tasks.ask import Answer, Ask
from moss_cli.tasks.question_time.find import find_time
from training.domains import questions_speech
from training.domains.questions import KINDS, STEPS, Rendered, asked, example, on_part
from training.domains.questions import _ask as ask_about
from training.domains.questions_asking import Found, alone_between, named
from training.domains.questions_clips import Clip, Item, Wish, count_bursts, draw_clip
from training.domains.questions_parts import Banked, Fits, Gender, gender_of
from training.domains.questions_wordings import WORDINGS, worded
from training.domains.sounds import Sound, render_sound
from training.examples import SAMPLE_RATE, Example, tenths
from training.measures.questions import NOTHING, is_right, measure_questions
from training.sentences import sentence
from training.voices import RESERVED_FLITE, RESERVED_VARIANTS, Spoken, Voice

renderers = pytest.mark.skipif(
    not (shutil.which("espeak-ng") and shutil.which("flite") and shutil.which("fluidsynth")),
    reason="needs espeak-ng, flite and fluidsynth",
)
NOISE = np.random.default_rng(1).standard_normal(20 * SAMPLE_RATE, np.float32)
CLOSED = [name for name, kind in KINDS.items() if kind.form in ("yes or no", "number", "person") and name != "n barks"]


class Tones:
    """Quick stand-ins: every sound is a tone, every bed is noise."""

    def __init__(self) -> None:
        self.sounds, self.notes = self, self

    def event(self, rng: random.Random, label: str, *, reserved: bool) -> Sound:
        return Sound(label, _tone(rng.uniform(0.4, 1.6), 0.7), {})

    def bed(self, rng: random.Random, name: str, n_samples: int, *, reserved: bool) -> np.ndarray:
        return NOISE[:n_samples].copy()

    def note(self, instrument: str, pitch: int, velocity: int) -> Any:
        class Note:
            samples = np.full(3_200, 1_000, "<i2")
            sounding_s = 0.2

        return Note()

    def speaker(self, rng: random.Random, gender: Gender, *, reserved: bool) -> Voice:
        return Voice("espeak", "en-us+f1" if gender == "female" else "en-us", 160, 50)

    def sentence(
        self, rng: random.Random, speaker: Voice, *, fits: Fits, longest_s: float, reserved: bool
    ) -> Spoken | None:
        texts = (sentence(rng, reserved=reserved) for _ in range(80))
        text = next((text for text in texts if fits(text) and len(text.split()) * 0.33 < longest_s), None)
        return Spoken(text, _tone(len(text.split()) * 0.33, 0.1), []) if text else None


def _tone(seconds: float, step: float) -> np.ndarray:
    return np.sin(np.arange(int(seconds * SAMPLE_RATE)) * step).astype(np.float32)


@pytest.fixture(scope="module")
def engine() -> Engine:
    folder = Path(__file__).parents[1] / "fixtures" / "reference" / "checkpoint"
    return load_engine(folder, device="cpu", dtype="fp32")


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    return [example(random.Random(f"ask/{i}"), Tones(), reserved=i % 2 == 1) for i in range(160)]


def command(one: Example) -> Ask:
    return Ask(one.truth["question"], tuple(one.truth["choices"] or ()))


def test_answers_come_back_through_the_command_as_the_truth(examples: list[Example]) -> None:
    n_heard_whole = 0
    for one in examples:
        task, result = command(one), one.truth["result"]
        if task.focus(one.duration_s, Span(0.0, one.duration_s)):
            assert one.asked == ()
            continue
        n_heard_whole += 1
        assert one.asked[0].prompt == task.questions[0].prompt
        read = task.read([split_thinking(one.asked[0].answer)[1]], Span(0.0, one.duration_s))
        assert read.complete
        assert isinstance(read.result, Answer)
        assert read.result.answer == result["answer"]
        for given, true in zip(read.result.evidence, result["evidence"], strict=True):
            assert (given.start, given.end) == (tenths(true["start"]), tenths(true["end"]))
            assert given.text == true["text"]
        Answer.model_validate(result)
    assert n_heard_whole > 120


def test_answers_keep_to_the_grammar_of_their_prompt(engine: Engine, examples: list[Example]) -> None:
    forms = {Ask(q).questions[0].form for q in ("a", "b")}
    assert len(forms) == 1
    for one in examples[:14]:
        for question in one.asked:
            is_choice = question.prompt.startswith("Choose")
            form = next(iter(forms)) if not is_choice else Grammar('start: "A" | "B" | "C" | "D"')
            matcher = engine.grammars.matcher(form)
            assert matcher.consume_tokens(engine.tokenizer.encode(split_thinking(question.answer)[1]))
            assert matcher.is_accepting()


def test_thoughts_list_what_is_heard_and_close_before_the_answer(examples: list[Example]) -> None:
    n_thoughts = {True: 0, False: 0}
    for one in examples:
        two_step = one.truth["settings"]["two_step"]
        thought, rest = split_thinking(one.asked[0].answer) if one.asked else (None, "")
        assert (thought is not None) == (one.truth["think"] is not False and bool(one.asked))
        if thought and one.truth["choices"]:
            *_, offered, right = thought.splitlines()
            assert right.removeprefix("answer: ") == f"{one.truth['result']['answer']} {rest}"
            assert right.removeprefix("answer: ") in offered
        n_thoughts[two_step] += thought is not None
        for evidence in one.truth["result"]["evidence"] if thought else ():
            assert f"{tenths(evidence['start']):.1f}-{tenths(evidence['end']):.1f}" in str(thought).splitlines()[1]
            assert rest
    assert n_thoughts[True] > 15
    assert n_thoughts[False] > 2


def test_only_questions_on_times_are_understood_as_such() -> None:
    rng = random.Random(5)
    for name, kind in KINDS.items():
        for i in range(6):
            clip = draw_clip(rng, Tones(), kind.wish(rng), reserved=False)
            asking = ask_about(rng, clip, name, reserved=i % 2 == 0) if clip else None
            if not (clip and asking):
                continue
            time, slots = find_time(asking.question, clip.duration_s), asking.found.slots
            if "t" in slots:
                assert time and time.start_s == time.end_s == slots["t"]
            elif "b" in slots:
                assert time and (time.start_s, time.end_s) == (slots["a"], slots["b"])
            else:
                assert time is None, asking.question


@pytest.mark.parametrize("name", CLOSED)
def test_no_answer_is_right_by_being_frequent(name: str) -> None:
    rng, kind, found = random.Random(f"balance/{name}"), KINDS[name], Counter[str]()
    while found.total() < 120:
        clip = draw_clip(rng, Tones(), kind.wish(rng), reserved=False)
        answer = kind.find(rng, clip) if clip else None
        if answer:
            found[answer.answer] += 1
    assert len(found) >= 2
    assert max(found.values()) <= 0.68 * 120  # 60 %, and what chance may add to it


CLIP = Clip(
    np.zeros(13 * SAMPLE_RATE, np.float32),
    (
        Item(0.5, 2.1, "david painted the red door", "male"),
        Item(2.9, 3.4, "doorbell"),
        Item(4.2, 6.2, "laura is near the station on monday", "female"),
        Item(6.9, 7.6, "siren"),
        Item(8.3, 9.1, "cat meow"),
        Item(10.1, 12.0, "it was warm until may", "male"),
    ),
    "rain",
)


def answers(name: str) -> set[tuple[str, ...]]:
    """Everything that can be asked of CLIP in that kind: the slots' values, then the answer."""
    found = (KINDS[name].find(random.Random(i), CLIP) for i in range(60))
    return {(*map(str, one.slots.values()), one.answer) for one in found if one}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("said first", {("david painted the red door",)}),
        ("said last", {("it was warm until may",)}),
        ("n sentences", {("3",)}),
        ("n speakers", {("2",)}),
        ("n sounds", {("3",)}),
        ("first gender", {("man",)}),
        ("is rain", {("yes",)}),
        ("is music", {("no",)}),
        ("is speech", {("yes",)}),
        ("background", {("rain",)}),
        ("duration", {("13 seconds",)}),
        ("sound first", {("doorbell",)}),
        ("sound last", {("cat meow",)}),
        ("adjective", {("door", "red")}),
        ("named", {("day", "monday"), ("month", "may"), ("place", "station")}),
        ("pause", set()),
        ("sound start", {("doorbell", "2.9 seconds"), ("siren", "6.9 seconds"), ("cat meow", "8.3 seconds")}),
        ("sound after sentence", {("first", "doorbell"), ("second", "siren")}),
        ("sound before sentence", {("second", "doorbell"), ("third", "cat meow")}),
        ("said after sound", {("doorbell", CLIP.items[2].text), ("cat meow", "it was warm until may")}),
        ("said before sound", {("doorbell", "david painted the red door"), ("siren", CLIP.items[2].text)}),
        ("who after sound", {("doorbell", "laura")}),
        ("voice after sound", {("doorbell", "woman"), ("cat meow", "man")}),
        ("sound before voice", {("woman", "doorbell")}),
        ("sound between sentences", {("first", "second", "doorbell")}),
        ("n sounds after sentence", {("first", "3"), ("second", "2"), ("third", "0")}),
        ("n sentences before sound", {("doorbell", "1"), ("siren", "2"), ("cat meow", "2")}),
        (
            "is before",
            {
                ("doorbell", "siren", "yes"), ("doorbell", "cat meow", "yes"), ("siren", "cat meow", "yes"),
                ("siren", "doorbell", "no"), ("cat meow", "doorbell", "no"), ("cat meow", "siren", "no"),
            },
        ),
    ],
)  # fmt: skip
def test_what_is_answered_of_a_known_clip(name: str, expected: set[tuple[str, ...]]) -> None:
    assert answers(name) == expected


def test_times_that_are_asked_about_lie_inside_of_one_item() -> None:
    assert {(t, answer[:5]) for t, answer in answers("said at")} == {
        ("1", "david"), ("5", "laura"), ("11", "it wa"),
    }  # fmt: skip
    assert {t for t, answer in answers("heard at") if answer == "siren"} == set()  # 7 is too near to its beginning
    for a, b, answer in answers("said between"):
        inside = [item for item in CLIP.sentences if item.start_s >= int(a) and item.end_s <= int(b)]
        assert [item.text for item in inside] == [answer]
    assert alone_between(random.Random(1), CLIP.items[:1], 2.0) is None


def test_pauses_are_only_asked_for_between_neighbouring_sentences() -> None:
    items = (Item(0.52, 1.5, "a b c", "male"), Item(2.71, 3.5, "d e f", "male"))
    found = questions_speech.pause(random.Random(1), Clip(CLIP.samples, items, "quiet"))
    assert found == Found(
        "1.2 seconds",
        {"nth": "first", "next": "second"},
        steps="first speech 0.5-1.5, second speech 2.7-3.5\n2.7 - 1.5 = 1.2",
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the red door is heavy", []),
        ("the door is heavy", [("door", "heavy")]),
        ("no the door is not red", []),
        ("david sold a small camera on monday", [("camera", "small")]),
        ("cold old camera please", []),
        ("the door is red and green", []),
    ],
)
def test_what_a_sentence_describes(text: str, expected: list[tuple[str, str]]) -> None:
    assert questions_speech.described(text) == expected


def test_a_question_on_a_part_is_trained_on_that_part() -> None:
    rng, n_parts = random.Random(9), 0
    for _ in range(60):
        asking = ask_about(rng, CLIP, rng.choice(("said between", "sound between")), reserved=False)
        focus = asking.task.focus(CLIP.duration_s, Span(0.0, CLIP.duration_s)) if asking else None
        if not (asking and focus):
            continue
        n_parts += 1
        one = on_part(rng, CLIP, asking)
        assert one.duration_s == pytest.approx(focus.end_s - focus.start_s)
        assert all(0 <= track.start_s <= track.end_s <= one.duration_s + 1e-6 for track in one.tracks)
        ordinary, inside = one.asked
        assert ordinary.prompt == command(one).questions[0].prompt
        assert inside.prompt == focus.task.questions[0].prompt
        assert "You hear the part" in inside.prompt
        thought = split_thinking(inside.answer)[0]
        if thought:  # what is found stands in the list of what is heard
            _, heard, found, *_ = thought.splitlines()
            assert f"{found.removeprefix('found: ')} " in heard
        if not asking.choices:
            read = focus.task.read([split_thinking(inside.answer)[1]], Span(focus.start_s, focus.end_s)).result
            assert isinstance(read, Answer)
            assert [(e.start, e.text) for e in read.evidence] == [
                (pytest.approx(item.start_s, abs=0.051), item.text) for item in asking.found.items
            ]
    assert n_parts > 10
    cut = CLIP.part(4.0, 9.0)
    assert cut.duration_s == 5.0
    assert [(item.text, tenths(item.start_s)) for item in cut.sounds] == [("siren", 2.9), ("cat meow", 4.3)]


def test_items_are_heard_when_the_labels_say() -> None:
    rng = random.Random(8)
    for _ in range(12):
        clip = draw_clip(rng, Tones(), Wish("ses", bed="quiet"), reserved=False)
        assert clip
        for before, after in zip(clip.items, clip.items[1:], strict=False):
            gap = clip.samples[round(before.end_s * SAMPLE_RATE) + 80 : round(after.start_s * SAMPLE_RATE) - 80]
            inside = clip.samples[round(after.start_s * SAMPLE_RATE) : round(after.end_s * SAMPLE_RATE)]
            assert np.std(inside) > 10 * np.std(gap)
            assert after.start_s - before.end_s >= 0.39
        assert np.abs(clip.samples).max() <= 0.99
        assert clip.samples.dtype == np.float32
        assert 3 <= clip.duration_s <= 14


def test_barks_are_counted_one_by_one() -> None:
    silent, bark = np.zeros(3_200, np.float32), _tone(0.18, 0.3)
    for n in (1, 2, 3, 4):
        assert count_bursts(np.concatenate([bark, silent] * n)) == n
    assert {count_bursts(render_sound(random.Random(i), "dog bark", reserved=False).samples) for i in range(12)} == {
        2,
        3,
        4,
    }


def test_choices_are_different_and_the_letter_names_the_right_one(examples: list[Example]) -> None:
    offered = [one for one in examples if one.truth["choices"]]
    assert len(offered) > 15
    for one in offered:
        options = one.truth["choices"]
        assert 2 <= len(options) == len(set(options)) <= 4
        if one.asked:
            letter = split_thinking(one.asked[0].answer)[1]
            assert options["ABCD".index(letter)] == one.truth["result"]["answer"]


def test_wordings_kept_for_testing_are_never_trained_on() -> None:
    rng = random.Random(2)
    slots = {"nth": "first", "next": "second", "a": 1, "b": 4, "t": 3, "sound": "siren", "other": "doorbell"}
    slots |= {"kind": "day", "object": "door", "a_sound": "a siren", "who": "man"}
    for name, (trained, kept) in WORDINGS.items():
        assert kept and not set(trained) & set(kept)
        drawn = {worded(rng, name, slots, reserved=False) for _ in range(40)}
        assert not any(is_kept for _, is_kept in drawn)
        texts = {text.lower().rstrip("?") for text, _ in drawn}
        spelt = {"does": "does", "is_": "is", **slots}
        assert texts <= {wording.format(**spelt) for wording in trained}
        assert any(is_kept for _, is_kept in (worded(rng, name, slots, reserved=True) for _ in range(40)))


def test_voices_kept_for_testing_are_never_trained_on() -> None:
    rng, rendered = random.Random(3), Rendered()
    for gender in ("male", "female"):
        trained = {rendered.speaker(rng, gender, reserved=False) for _ in range(300)}
        kept = {rendered.speaker(rng, gender, reserved=True) for _ in range(100)}
        assert {gender_of(voice) for voice in trained | kept} == {gender}
        assert not {v for v in trained if v.name in RESERVED_FLITE or v.name.endswith(tuple(RESERVED_VARIANTS))}
        assert all(v.name in RESERVED_FLITE or v.name.endswith(tuple(RESERVED_VARIANTS)) for v in kept)


def test_voices_between_a_mans_and_a_womans_are_nobodys() -> None:
    assert gender_of(Voice("espeak", "en-us+f2", 160, 30)) is None
    assert gender_of(Voice("espeak", "en-us+m2", 160, 70)) is None
    assert gender_of(Voice("flite", "slt")) == "female"


@renderers
def test_the_same_seed_renders_the_same_bytes_and_a_bank_gives_examples(tmp_path: Path) -> None:
    from training.bank import render_bank
    from training.domains import notes, scenes_bank

    one, other = (
        draw_clip(random.Random(7), Rendered(), Wish("sees", speakers=("male", "female")), reserved=True)
        for _ in range(2)
    )
    assert one and other
    assert one.samples.tobytes() == other.samples.tobytes()
    assert one.items == other.items
    render_bank(tmp_path / "speech", seed=9, count=40)
    scenes_bank.render_bank(tmp_path / "sounds", 1, 1, 1)
    notes.write_bank(tmp_path / "notes", notes.INSTRUMENTS[-1:])
    banked = Banked([tmp_path / "speech"], tmp_path / "sounds", tmp_path / "notes")
    assert banked.said == {}  # so few are no speaker
    with pytest.raises(ValueError, match="kept for testing"):
        banked.speaker(random.Random(1), "male", reserved=True)


def row(file: str, answer: str, form: str = "sound", **more: Any) -> dict[str, Any]:
    settings = {"kind": form, "form": form, "two_step": False, "reserved_wording": False, **more}
    return {"file": file, "choices": None, "settings": settings, "result": {"answer": answer, "evidence": []}}


@pytest.mark.parametrize(
    ("form", "true", "given", "right"),
    [
        ("sound", "siren", " Siren. ", True),
        ("sound", "siren", "sirens", False),
        ("sentence", "a b c d e", "a b c d x", True),
        ("sentence", "a b c d e", "a b c x y", False),
        ("seconds", "7 seconds", "7", True),
        ("seconds", "7 seconds", "8 seconds", False),
        ("seconds", "1.2 seconds", "1.4 seconds", True),
        ("seconds", "1.2 seconds", "1.5 seconds", False),
        ("seconds", "1.2 seconds", "soon", False),
        ("number", "2", "", False),
    ],
)
def test_when_an_answer_is_right(form: str, true: str, given: str, right: bool) -> None:
    assert is_right(row("a", true, form), given) is right


def test_figures_of_questions_are_exact() -> None:
    labels = [
        row("a", "siren"),
        row("b", "yes", "yes or no", two_step=True),
        row("c", "2", "number", two_step=True),
        row("d", "doorbell", two_step=True, reserved_wording=True),
    ]
    labels[0]["result"]["evidence"] = [{"start": 1.0, "end": 2.0, "text": "siren"}]
    near = [{"start": 1.4, "end": 1.6, "text": "siren"}]
    envelopes = {
        "a": {"result": {"answer": "Siren", "evidence": near}, "thinking": None},
        "b": {"result": {"answer": "yes"}, "thinking": "hm"},
        "c": {"result": {"answer": "3"}, "thinking": None},
    }
    figures = measure_questions(labels, envelopes)
    assert figures["accuracy"] == 0.5
    assert figures["two_step"] == pytest.approx(1 / 3)
    assert (figures["two_step_thought"], figures["two_step_plain"]) == (1.0, 0.0)
    assert figures["two_step_unanswered"] == pytest.approx(1 / 3)
    assert figures["by_wording"] == {"reserved": 0.0, "trained": pytest.approx(2 / 3)}
    assert figures["evidence"] == 1.0
    assert figures["with_choices"] is None
    assert figures["confusion"] == {"siren": {"siren": 1}, "yes": {"yes": 1}, "doorbell": {NOTHING: 1}}


def test_a_known_answer_is_written_with_its_thought() -> None:
    rng = random.Random(4)
    asking = None
    while asking is None or not asking.think or asking.choices or asking.found.answer != "siren":
        asking = ask_about(rng, CLIP, "sound after sentence", reserved=False)
    assert asked(CLIP, asking).answer == (
        "<think>\nasked: sound after sentence second\n"
        "heard: first speech 0.5-2.1, doorbell 2.9-3.4, second speech 4.2-6.2, siren 6.9-7.6, "
        "cat meow 8.3-9.1, third speech 10.1-12.0\n"
        "found: second speech, siren\n</think>"
        '{"answer": "siren", "evidence": [{"start": 6.9, "end": 7.6, "text": "siren"}]}'
    )
    assert asked(CLIP, asking).think is True


def test_all_kinds_have_wordings_and_steps_are_kinds() -> None:
    assert set(KINDS) | {"who", "colour"} == set(WORDINGS)
    assert set(STEPS) < set(KINDS)
    assert named("from monday to friday", "day") == ["monday", "friday"]
