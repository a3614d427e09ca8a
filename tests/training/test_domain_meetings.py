"""Meetings: minutes are true of what was said, come back through the command, and leave out what is kept."""

from __future__ import annotations

import json
import random
import shutil
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moss_cli.engine.engine import Engine, load_engine
from moss_cli.engine.thinking import split_thinking
from moss_cli.span import Span
from moss_cli.tasks.summarize import Summarize, Summary
from training.domains.meetings import LONGEST_S, SHORTEST_S, STYLES, Placed, Rendered, example, minutes, plan
from training.domains.meetings_bank import MeetingBank, render_bank
from training.domains.meetings_facts import FACTS, OPENERS, TOPICS, Line, draw_fact, draw_filler, draw_opener, is_kept
from training.domains.meetings_parts import Cast, Said, Wanted, draw_clear_voice, draw_line
from training.examples import SAMPLE_RATE, Example, tenths
from training.measures.meetings import NOTHING, measure_meetings
from training.sentences import vocabulary
from training.voices import RESERVED_FLITE, RESERVED_VARIANTS, Voice

renderers = pytest.mark.skipif(
    not (shutil.which("espeak-ng") and shutil.which("flite")), reason="needs espeak-ng and flite"
)


class Tones:
    """Quick stand-ins: every line is a tone, a third of a second a word."""

    def __init__(self, *, reserved: bool) -> None:
        self.reserved = reserved

    def cast(self, rng: random.Random, *, reserved: bool) -> Cast:
        return Tones(reserved=reserved)

    def say(self, rng: random.Random, wanted: Wanted) -> Said:
        line = draw_line(rng, wanted, reserved=self.reserved)
        samples = np.sin(np.arange(len(line.text.split()) * SAMPLE_RATE // 3) * 0.1).astype(np.float32)
        return Said(line, samples, Voice("espeak", "en-us", 160, 50))


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    return [example(random.Random(f"meeting/{i}"), Tones(reserved=False), reserved=i % 2 == 1) for i in range(40)]


@pytest.fixture(scope="module")
def engine() -> Engine:
    folder = Path(__file__).parents[1] / "fixtures" / "reference" / "checkpoint"
    return load_engine(folder, device="cpu", dtype="fp32")


def test_answers_come_back_through_the_command_as_the_truth(examples: list[Example]) -> None:
    assert {one.truth["style"] for one in examples} == set(STYLES)
    for one in examples:
        task, result = Summarize(one.truth["style"]), one.truth["result"]
        assert [asked.prompt for asked in one.asked] == [question.prompt for question in task.questions]
        read = task.read([split_thinking(asked.answer)[1] for asked in one.asked], Span(0.0, one.duration_s))
        assert read.complete
        assert isinstance(read.result, Summary)
        assert read.result.summary == result["summary"]
        assert list(read.result.key_points) == result["key_points"]
        for given, true in zip(read.result.chapters, result["chapters"], strict=True):
            assert (given.start, given.end) == (tenths(true["start"]), tenths(true["end"]))
            assert (given.title, given.summary) == (true["title"], true["summary"])
        Summary.model_validate(result)


def test_answers_keep_to_the_grammar_of_their_prompt(engine: Engine, examples: list[Example]) -> None:
    for one in examples[:2]:
        (question,) = Summarize(one.truth["style"]).questions
        matcher = engine.grammars.matcher(question.form)
        assert matcher.consume_tokens(engine.tokenizer.encode(split_thinking(one.asked[0].answer)[1]))
        assert matcher.is_accepting()


def test_a_thought_has_every_sentence_and_how_long_its_topic_lasts(examples: list[Example]) -> None:
    kept = [one for one in examples if one.asked[0].think is not False]
    assert kept
    for one in kept:
        lines = str(split_thinking(one.asked[0].answer)[0]).splitlines()
        assert [line.partition(": ")[0] for line in lines] == [
            f"{tenths(s.start)} {s.text} {tenths(s.end)}" for s in one.spoken or ()
        ]
        chapters = one.truth["result"]["chapters"]
        told = [line.partition(": ")[2] for line in lines if ": " in line]
        assert [topic for topic in told if "-" in topic] == [
            f"{c['title']} {tenths(c['start'])}-{tenths(c['end'])}" for c in chapters
        ]
        since = [topic.partition("-")[0] for topic in told]
        assert [topic for topic, _ in groupby(since)] == [f"{c['title']} {tenths(c['start'])}" for c in chapters]


def placed(*lines: tuple[float, float, str, str, str]) -> list[Placed]:
    voice, silence = Voice("espeak", "en-us"), np.zeros(1, np.float32)
    return [
        Placed(start, end, Said(Line("text", "fact" if point else "reply", topic, point), silence, voice), topic)
        for start, end, topic, point, _ in lines
    ]


def test_minutes_of_a_known_meeting() -> None:
    lines = placed(
        (0.3, 1.2, "", "", "good morning everyone"),
        (1.9, 3.0, "budget", "", "we start with the budget"),
        (3.4, 5.0, "budget", "the budget is old", "yes the budget is old"),
        (5.4, 7.5, "budget", "the budget needs ten dollars", "we need ten dollars for the budget"),
        (7.9, 8.6, "budget", "", "thanks alice"),
        (10.5, 12.4, "server", "david will fix the server on monday", "i need david to fix the server on monday"),
    )
    assert minutes(lines) == {
        "summary": "the meeting is about the budget and the server",
        "key_points": ["the budget is old", "the budget needs ten dollars", "david will fix the server on monday"],
        "chapters": [
            {"start": 1.9, "end": 8.6, "title": "budget", "summary": "the budget is old"},
            {"start": 10.5, "end": 12.4, "title": "server", "summary": "david will fix the server on monday"},
        ],
    }


def test_chapters_begin_and_end_where_something_is_heard(examples: list[Example]) -> None:
    for one in examples:
        assert SHORTEST_S <= one.duration_s <= LONGEST_S + 0.001
        assert one.samples.dtype == np.float32
        assert np.abs(one.samples).max() <= 0.991
        said = [track for track in one.tracks if track.label == "speech/on"]
        starts, ends = {track.start_s for track in said}, {track.end_s for track in said}
        chapters = one.truth["result"]["chapters"]
        topics = [(t.start_s, t.end_s, t.label) for t in one.tracks if t.family == "topic"]
        assert topics == [(c["start"], c["end"], f"topic/{c['title']}") for c in chapters]
        counted = [(t.start_s, t.label) for t in one.tracks if t.family == "topics"]
        assert counted == [(c["start"], f"topics/{i}") for i, c in enumerate(chapters, start=1)]
        for chapter in chapters:
            assert min(abs(chapter["start"] - t) for t in starts) < 0.001
            assert min(abs(chapter["end"] - t) for t in ends) < 0.001
            at = round(chapter["start"] * SAMPLE_RATE)
            inside, before = one.samples[at + 80 : at + 1_600], one.samples[max(0, at - 1_600) : at - 80]
            assert np.std(inside) > 3 * np.std(before)
        for chapter, later in pairwise(chapters):
            assert later["start"] - chapter["end"] >= 0.39


def test_every_fact_is_on_the_topic_of_its_chapter(examples: list[Example]) -> None:
    for one in examples:
        result = one.truth["result"]
        titles = [chapter["title"] for chapter in result["chapters"]]
        assert 2 <= len(titles) == len(set(titles)) <= 3
        about = [[title for title in titles if title in point.split()] for point in result["key_points"]]
        assert all(len(found) == 1 for found in about)
        assert [found[0] for found in about] == sorted((found[0] for found in about), key=titles.index)
        assert len(set(result["key_points"])) == len(result["key_points"])


def test_topics_are_opened_by_a_sentence_or_a_long_pause() -> None:
    for seed in range(60):
        planned = plan(random.Random(seed))
        firsts = {}
        for line in planned:
            if line.topic:
                firsts.setdefault(line.topic, line)
        later = list(firsts.values())[1:]
        assert all(line.wanted.role == "opener" or line.pause_s >= 1.5 for line in later)
        within = [line for line in planned if line.topic and line is not firsts[line.topic]]
        assert all(line.pause_s <= 0.7 for line in within)


@pytest.mark.parametrize("reserved", [False, True])
def test_all_that_is_said_are_at_most_ten_words_of_the_lexicon(reserved: bool) -> None:
    rng, words = random.Random(4), set(vocabulary())
    lines = [draw_fact(rng, rng.choice(TOPICS), kind, reserved=reserved) for kind in FACTS for _ in range(200)]
    lines += [draw_opener(rng, topic, is_first=first, reserved=reserved) for topic in TOPICS for first in (True, False)]
    lines += [draw_filler(rng, role) for role in ("reply", "greeting", "closing") for _ in range(40)]
    for line in lines:
        assert set(line.text.split()) | set(line.point.split()) <= words
        assert len(line.text.split()) <= 10
        assert bool(line.point) == (line.role == "fact")
        assert set(line.point.split()) - set(line.text.split()) <= {"the", "is", "will", "needs", "meeting"}


def test_wordings_and_combinations_kept_for_testing_are_never_trained_on() -> None:
    rng = random.Random(6)
    for kind, (_, trained, kept) in FACTS.items():
        assert kept and not set(trained) & set(kept)
        points = [{draw_fact(rng, topic, kind, reserved=kind_kept).point for topic in TOPICS for _ in range(60)}
                  for kind_kept in (False, True)]  # fmt: skip
        assert not points[0] & points[1]
    assert not (set(OPENERS[0]) | set(OPENERS[1])) & (set(OPENERS[2]) | set(OPENERS[3]))
    assert is_kept({"TOPIC": "budget", "STATE": "small"})
    assert not is_kept({"TOPIC": "server", "STATE": "small"})


@renderers
def test_a_bank_gives_meetings_and_the_same_seed_the_same_bytes(tmp_path: Path) -> None:
    one, other = (example(random.Random(11), Rendered(), reserved=True) for _ in range(2))
    assert one.samples.tobytes() == other.samples.tobytes()
    assert json.dumps(one.truth) == json.dumps(other.truth)
    render_bank(tmp_path, seed=3, count=150)
    bank = MeetingBank(tmp_path)
    rows = [row for rows in bank.rows.values() for row in rows]
    assert not [row for row in rows if row["voice"]["name"] in RESERVED_FLITE]
    assert not [row for row in rows if row["voice"]["name"].endswith(tuple(RESERVED_VARIANTS))]
    wanted = next(wanted for wanted in bank.rows if wanted.role == "fact")
    said = bank.say(random.Random(1), wanted)
    assert (said.line.topic, said.line.kind) == (wanted.topic, wanted.kind)
    assert 0.5 < len(said.samples) / SAMPLE_RATE < 6
    with pytest.raises(ValueError, match="kept for testing"):
        bank.cast(random.Random(1), reserved=True)
    with pytest.raises(ValueError, match="never trained on"):
        render_bank(tmp_path, seed=1_000_000, count=1)


def test_voices_are_clearly_a_mans_or_a_womans_and_kept_ones_stay_apart() -> None:
    rng = random.Random(2)
    trained = {draw_clear_voice(rng, reserved=False).name for _ in range(400)}
    kept = {draw_clear_voice(rng, reserved=True).name for _ in range(100)}
    assert not trained & kept
    assert all(name in RESERVED_FLITE or name.endswith(tuple(RESERVED_VARIANTS)) for name in kept)


def row(file: str, points: list[str], *chapters: tuple[float, float, str]) -> dict[str, Any]:
    listed = [{"start": s, "end": e, "title": t, "summary": points[0]} for s, e, t in chapters]
    return {"file": file, "result": {"summary": "x", "key_points": points, "chapters": listed}}


def test_figures_of_meetings_are_exact() -> None:
    labels = [
        row("a", ["p one", "p two"], (0.0, 5.0, "budget"), (6.0, 9.0, "server")),
        row("b", ["p three"], (1.0, 5.0, "garden"), (6.0, 9.0, "bridge")),
        row("c", ["p four"], (1.0, 5.0, "garden"), (6.0, 9.0, "bridge")),
    ]
    found = {
        "a": row("a", ["P one.", "p two", "p six"], (0.9, 5.0, "budget"), (6.0, 8.0, "server")),
        "b": row("b", ["p three"], (1.0, 3.9, "garden"), (6.0, 9.0, "market")),
    }
    figures = measure_meetings(labels, found)
    assert figures["n"] == 3
    assert figures["boundaries"] == pytest.approx(1 / 3)
    assert figures["facts_present"] == 0.75
    assert figures["facts_invented"] == 0.25
    assert figures["clips_without_invented"] == 0.5
    assert figures["titles"] == pytest.approx(1 / 3)
    assert figures["summaries"] == pytest.approx(2 / 3)
    assert figures["confusion"]["bridge"] == {"market": 1, NOTHING: 1}


def test_without_results_everything_is_wrong() -> None:
    figures = measure_meetings([row("a", ["p"], (0.0, 1.0, "budget"))], {"a": {"result": None}})
    assert (figures["boundaries"], figures["facts_present"], figures["facts_invented"]) == (0.0, 0.0, None)
