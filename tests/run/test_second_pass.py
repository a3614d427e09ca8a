"""Summaries and questions over a whole recording, asked of what its pieces gave."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from scripted import answerer

from moss_cli.engine.engine import Engine
from moss_cli.engine.generate import Request
from moss_cli.run.conversation import Answered
from moss_cli.run.second_pass import overall
from moss_cli.schema import Answer, Chapter, Labelled, Music, Scene, Summary
from moss_cli.span import Span
from moss_cli.tasks.ask import Ask
from moss_cli.tasks.music import DescribeMusic
from moss_cli.tasks.reading.task import Reading, Task
from moss_cli.tasks.scene import DescribeScene
from moss_cli.tasks.summarize import Summarize


def summarized(n_pieces: int, words: str = "Rain fell.") -> list[Answered]:
    """Pieces of a minute, each with a summary, a point and a chapter of its own."""
    found = []
    for i in range(n_pieces):
        chapter = Chapter(start=60.0 * i, end=60.0 * i + 60, title=f"Part {i}", summary=None)
        summary = Summary(summary=f"{i}: {words}", key_points=(f"point {i}",), chapters=(chapter,))
        found.append(Answered(Span(60.0 * i, 60.0 * i + 60), Reading(summary, summary.summary or ""), "stop"))
    return found


def merged(task: Task, answered: list[Answered]) -> Reading:
    return task.merge([one.part for one in answered])


def test_one_summary_is_made_of_the_pieces_and_their_chapters_stay(
    monkeypatch: pytest.MonkeyPatch, engine: Engine
) -> None:
    task, pieces = Summarize("meeting"), summarized(3)
    said = json.dumps({"summary": "It rained.", "key_points": ["rain"]})
    one, seen = answerer(monkeypatch, engine, task, lambda request, call: (said, "stop"))
    reading, spent = overall(one, task, pieces, merged(task, pieces))
    assert isinstance(reading.result, Summary)
    assert (reading.result.summary, reading.text, reading.result.key_points) == ("It rained.", "It rained.", ("rain",))
    assert [chapter.title for chapter in reading.result.chapters] == ["Part 0", "Part 1", "Part 2"]
    [request] = seen
    prompt = engine.text(request.prompt.ids)
    assert "From 60 to 120 seconds: 1: Rain fell.\n- point 1" in prompt
    assert "Write the minutes of this meeting" in prompt
    assert request.prompt.audio is None
    assert spent is not None
    assert spent.n_generated > 0


def test_what_does_not_fit_in_one_question_is_asked_in_a_tree(monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    monkeypatch.setattr("moss_cli.run.second_pass.MOST_PART_TOKENS", 250)
    task, pieces = Summarize(), summarized(9, "Rain fell on the roof of the house all day long. " * 3)

    def answer(request: Request, call: int) -> tuple[str, str]:
        return json.dumps({"summary": f"Call {call}.", "key_points": []}), "stop"

    one, seen = answerer(monkeypatch, engine, task, answer)
    reading, spent = overall(one, task, pieces, merged(task, pieces))
    prompts = [engine.text(request.prompt.ids) for request in seen]
    assert reading.text == f"Call {len(seen)}."
    assert len(seen) > 3
    assert all(sum(f"seconds: {i}: Rain" in prompt for prompt in prompts) == 1 for i in range(8))
    assert "From 0 to 540 seconds" not in "".join(prompts)  # the last question is about parts of the whole
    assert "Call 1." in prompts[-1] or "Call 1." in prompts[-2]
    assert spent is not None
    assert spent.n_prompt == sum(len(request.prompt.ids) for request in seen)


def test_three_hours_have_chapters_over_all_three_hours(monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    monkeypatch.setattr("moss_cli.run.second_pass.MOST_PART_TOKENS", 1500)
    task, ten_minutes, found = Summarize("chapters"), 600.0, []
    for i in range(18):
        span = Span(ten_minutes * i, ten_minutes * (i + 1))
        halves = [
            {"start": 0, "end": 300, "title": f"Talk {i}", "summary": "Some talk. " * 40},
            {"start": 300, "end": 600, "title": f"Talk {i + 1}", "summary": None},  # goes on after the cut
        ]
        said = json.dumps({"summary": f"Part {i}: {'talk ' * 60}", "key_points": [f"point {i}"], "chapters": halves})
        found.append(Answered(span, task.read([said], span), "stop"))

    def answer(request: Request, call: int) -> tuple[str, str]:
        return json.dumps({"summary": f"Call {call}.", "key_points": [f"point of call {call}"]}), "stop"

    one, seen = answerer(monkeypatch, engine, task, answer)
    reading, _ = overall(one, task, found, merged(task, found))
    assert isinstance(reading.result, Summary)
    chapters = reading.result.chapters
    assert [chapter.title for chapter in chapters] == [f"Talk {i}" for i in range(19)]
    assert (chapters[0].start, chapters[-1].end) == (0.0, 10_800.0)
    assert all(first.end == second.start for first, second in pairwise(chapters))
    assert len(seen) > 2
    assert reading.text == f"Call {len(seen)}."
    assert all(request.prompt.audio is None for request in seen)


def test_a_question_is_asked_of_what_the_pieces_answered(monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    task = Ask("How many dogs bark?")
    pieces = [
        Answered(Span(0.0, 60.0), Reading(Answer(answer="Two dogs."), "Two dogs."), "stop"),
        Answered(Span(60.0, 90.0), Reading(Answer(answer=None), ""), "stop"),
    ]
    one, seen = answerer(monkeypatch, engine, task, lambda request, call: ('{"answer": "Two in all."}', "stop"))
    reading, _ = overall(one, task, pieces, merged(task, pieces))
    assert reading.text == "Two in all."
    prompt = engine.text(seen[0].prompt.ids)
    assert "From 0 to 60 seconds: Two dogs.\nFrom 60 to 90 seconds: nothing on this" in prompt


def scene_part(i: int, summary: str | None, label: str) -> Answered:
    event = Labelled(start=60.0 * i, end=60.0 * i + 1, label=label)
    scene = Scene(setting="a street", summary=summary, events=(event,))
    return Answered(Span(60.0 * i, 60.0 * i + 60), Reading(scene, summary or ""), "stop")


def test_a_long_scene_has_one_description_and_the_events_of_all_pieces(
    monkeypatch: pytest.MonkeyPatch, engine: Engine
) -> None:
    task = DescribeScene()
    pieces = [scene_part(0, "rain on a road", "siren"), scene_part(1, None, "dog bark")]
    one, seen = answerer(monkeypatch, engine, task, lambda request, call: ('{"summary": "A wet day."}', "stop"))
    reading, _ = overall(one, task, pieces, merged(task, pieces))
    assert isinstance(reading.result, Scene)
    assert (reading.text, reading.result.summary, reading.result.setting) == ("A wet day.", "A wet day.", "a street")
    assert [event.label for event in reading.result.events] == ["siren", "dog bark"]
    prompt = engine.text(seen[0].prompt.ids)
    assert "From 0 to 60 seconds: rain on a road. siren.\nFrom 60 to 120 seconds: dog bark\n" in prompt
    assert "Describe the whole recording" in prompt
    assert seen[0].prompt.audio is None


def test_long_music_has_one_description_and_what_the_rules_say_of_tempo_and_key(
    monkeypatch: pytest.MonkeyPatch, engine: Engine
) -> None:
    task = DescribeMusic()
    found = [
        Music(style="waltz", tempo_bpm=90.0 + i, key="C major", summary=f"Part {i}.", instruments=(f"drum {i}",))
        for i in range(3)
    ]
    pieces = [
        Answered(Span(60.0 * i, 60.0 * i + 60), Reading(one, one.summary or ""), "stop") for i, one in enumerate(found)
    ]
    one, seen = answerer(monkeypatch, engine, task, lambda request, call: ('{"summary": "A long waltz."}', "stop"))
    reading, _ = overall(one, task, pieces, merged(task, pieces))
    assert isinstance(reading.result, Music)
    assert (reading.result.summary, reading.result.tempo_bpm, reading.result.key) == ("A long waltz.", 91.0, "C major")
    assert reading.result.instruments == ("drum 0", "drum 1", "drum 2")
    assert "From 120 to 180 seconds: Part 2." in engine.text(seen[0].prompt.ids)


def test_an_empty_description_of_the_whole_leaves_what_the_pieces_say(
    monkeypatch: pytest.MonkeyPatch, engine: Engine
) -> None:
    task, pieces = DescribeScene(), [scene_part(0, "rain", "siren"), scene_part(1, "wind", "siren")]
    one, _ = answerer(monkeypatch, engine, task, lambda request, call: ('{"summary": null}', "stop"))
    assert overall(one, task, pieces, merged(task, pieces))[0].text == "rain. wind."


@pytest.mark.parametrize("answer", [("No.", "stop"), ('{"summary": "It ra', "length")])
def test_an_answer_that_goes_wrong_leaves_what_the_rules_give(
    monkeypatch: pytest.MonkeyPatch, engine: Engine, answer: tuple[str, str]
) -> None:
    task, pieces = Summarize(), summarized(2)
    one, _ = answerer(monkeypatch, engine, task, lambda request, call: answer)
    reading, _ = overall(one, task, pieces, merged(task, pieces))
    assert reading.text == "0: Rain fell. 1: Rain fell."
    assert [notice.code for notice in reading.notices] == ["merged_by_rule"]
    assert reading.complete


def test_nothing_is_asked_where_rules_are_enough(monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    one, seen = answerer(monkeypatch, engine, Summarize(), lambda request, call: ("", "stop"))
    pieces = summarized(1)
    assert overall(one, Summarize(), pieces, pieces[0].reading) == (pieces[0].reading, None)
    scene = DescribeScene()
    heard = [Answered(Span(i, i + 1.0), scene.read([""], Span(i, i + 1.0)), "stop") for i in range(2)]
    assert overall(one, scene, heard, merged(scene, heard))[1] is None
    assert seen == []
