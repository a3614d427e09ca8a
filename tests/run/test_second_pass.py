"""Summaries and questions over a whole recording, asked of what its parts gave."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from scripted import ended, job_of
from scripted_backend import Say, ScriptedBackend, cut

from moss_cli.errors import DeviceError
from moss_cli.run.second_pass import NOT_MERGED, Whole, needs_second_pass, second_pass
from moss_cli.span import Span
from moss_cli.tasks.ask import Answer, Ask
from moss_cli.tasks.music import DescribeMusic, Music
from moss_cli.tasks.reading.task import Part, Reading, Task
from moss_cli.tasks.reading.timed import Labelled
from moss_cli.tasks.scene import DescribeScene, Scene
from moss_cli.tasks.summarize import Chapter, Summarize, Summary

Parts = Sequence[Part[Any]]


def bring_together(task: Task[Any], parts: Parts, say: Say, most_prompt: int = 30_000) -> tuple[Whole, ScriptedBackend]:
    """What a second pass makes of parts, and the backend that was asked."""
    backend = ScriptedBackend(say, most_prompt=most_prompt)
    [whole] = ended(backend, second_pass(task, parts, task.merge(parts), job_of(task), backend.fits))
    assert isinstance(whole, Whole)
    return whole, backend


def part(i: int, result: Any, text: str | None, seconds: float = 60.0) -> Part[Any]:
    return Part(Span(seconds * i, seconds * (i + 1)), Reading(result, text or ""))


def summarized(n_parts: int, words: str = "Rain fell.") -> list[Part[Any]]:
    """Parts of a minute, each with a summary, a point and a chapter of its own."""
    found = []
    for i in range(n_parts):
        chapter = Chapter(start=60.0 * i, end=60.0 * i + 60, title=f"Part {i}", summary=None)
        summary = Summary(summary=f"{i}: {words}", key_points=(f"point {i}",), chapters=(chapter,))
        found.append(part(i, summary, summary.summary))
    return found


def scene_part(i: int, summary: str | None, label: str) -> Part[Any]:
    event = Labelled(start=60.0 * i, end=60.0 * i + 1, label=label)
    return part(i, Scene(setting="a street", summary=summary, events=(event,)), summary)


def test_one_summary_is_made_of_the_parts_and_their_chapters_stay() -> None:
    said = json.dumps({"summary": "It rained.", "key_points": ["rain"]})
    whole, backend = bring_together(Summarize("meeting"), summarized(3), lambda *_: said)
    result = whole.reading.result
    assert (result.summary, whole.reading.text, result.key_points) == ("It rained.", "It rained.", ("rain",))
    assert [chapter.title for chapter in result.chapters] == ["Part 0", "Part 1", "Part 2"]
    [request] = backend.asked
    assert "From 60 to 120 seconds: 1: Rain fell.\n- point 1" in request.prompt
    assert "Write the minutes of this meeting" in request.prompt
    assert request.clip is None
    assert whole.cost.generated > 0


def test_what_does_not_fit_in_one_question_is_asked_in_a_tree() -> None:
    def say(request: Any, n: int) -> str:
        return json.dumps({"summary": f"Call {n}.", "key_points": []})

    whole, backend = bring_together(Summarize(), summarized(9, "Rain fell all day. " * 3), say, most_prompt=500)
    prompts = [request.prompt for request in backend.asked]
    assert whole.reading.text == f"Call {len(prompts)}."
    assert len(prompts) > 3
    assert all(sum(f"seconds: {i}: Rain" in prompt for prompt in prompts) == 1 for i in range(8))
    assert "From 0 to 540 seconds" not in "".join(prompts)  # the last question is about parts of the whole
    assert "Call 1." in prompts[-1] or "Call 1." in prompts[-2]
    assert whole.cost.prompt == sum(len(prompt.split()) for prompt in prompts)


def test_three_hours_have_chapters_over_all_three_hours() -> None:
    task, found = Summarize("chapters"), []
    for i in range(18):
        span = Span(600.0 * i, 600.0 * (i + 1))
        halves = [
            {"start": 0, "end": 300, "title": f"Talk {i}", "summary": "Some talk. " * 40},
            {"start": 300, "end": 600, "title": f"Talk {i + 1}", "summary": None},  # goes on after the cut
        ]
        said = json.dumps({"summary": f"Part {i}: {'talk ' * 60}", "key_points": [f"point {i}"], "chapters": halves})
        found.append(Part(span, task.read([said], span)))

    def say(request: Any, n: int) -> str:
        return json.dumps({"summary": f"Call {n}.", "key_points": [f"point of call {n}"]})

    whole, backend = bring_together(task, found, say, most_prompt=1_500)
    chapters = whole.reading.result.chapters
    assert [chapter.title for chapter in chapters] == [f"Talk {i}" for i in range(19)]
    assert (chapters[0].start, chapters[-1].end) == (0.0, 10_800.0)
    assert all(first.end == second.start for first, second in pairwise(chapters))
    assert len(backend.asked) > 2
    assert whole.reading.text == f"Call {len(backend.asked)}."
    assert all(request.clip is None for request in backend.asked)


def test_a_question_is_asked_of_what_the_parts_answered() -> None:
    parts = [part(0, Answer(answer="Two dogs."), "Two dogs."), part(1, Answer(answer=None), "")]
    whole, backend = bring_together(Ask("How many dogs bark?"), parts, lambda *_: '{"answer": "Two in all."}')
    assert whole.reading.text == "Two in all."
    assert "From 0 to 60 seconds: Two dogs.\nFrom 60 to 120 seconds: nothing on this" in backend.asked[0].prompt


def test_a_long_scene_has_one_description_and_the_events_of_all_parts() -> None:
    parts = [scene_part(0, "rain on a road", "siren"), scene_part(1, None, "dog bark")]
    whole, backend = bring_together(DescribeScene(), parts, lambda *_: '{"summary": "A wet day."}')
    result = whole.reading.result
    assert (whole.reading.text, result.summary, result.setting) == ("A wet day.", "A wet day.", "a street")
    assert [event.label for event in result.events] == ["siren", "dog bark"]
    [request] = backend.asked
    assert "From 0 to 60 seconds: rain on a road. siren.\nFrom 60 to 120 seconds: dog bark\n" in request.prompt
    assert "Describe the whole recording" in request.prompt


def test_long_music_has_one_description_and_what_the_rules_say_of_tempo_and_key() -> None:
    found = [
        Music(style="waltz", tempo_bpm=90.0 + i, key="C major", summary=f"Part {i}.", instruments=(f"drum {i}",))
        for i in range(3)
    ]
    parts = [part(i, one, one.summary) for i, one in enumerate(found)]
    whole, backend = bring_together(DescribeMusic(), parts, lambda *_: '{"summary": "A long waltz."}')
    result = whole.reading.result
    assert (result.summary, result.tempo_bpm, result.key) == ("A long waltz.", 91.0, "C major")
    assert result.instruments == ("drum 0", "drum 1", "drum 2")
    assert "From 120 to 180 seconds: Part 2." in backend.asked[0].prompt


def test_an_empty_description_of_the_whole_leaves_what_the_parts_say() -> None:
    parts = [scene_part(0, "rain", "siren"), scene_part(1, "wind", "siren")]
    whole, _ = bring_together(DescribeScene(), parts, lambda *_: '{"summary": null}')
    assert whole.reading.text == "rain. wind."


@pytest.mark.parametrize(
    "said",
    ["No.", cut('{"summary": "It ra'), DeviceError("out of memory", code="out_of_memory"), RuntimeError("a bug")],
    ids=["not the form", "cut", "out of memory", "any exception"],
)
def test_whatever_goes_wrong_leaves_what_the_rules_give(said: Any) -> None:
    whole, _ = bring_together(Summarize(), summarized(2), lambda *_: said)
    assert whole.reading.text == "0: Rain fell. 1: Rain fell."
    assert whole.reading.notices == (NOT_MERGED,)
    assert whole.reading.complete


def test_nothing_is_asked_where_rules_are_enough() -> None:
    assert not needs_second_pass(Summarize(), summarized(1))
    assert needs_second_pass(Summarize(), summarized(2))
    silent = Part(Span(60.0, 120.0), Summarize().unspoken(Span(60.0, 120.0)), "no_speech")
    assert not needs_second_pass(Summarize(), [*summarized(1), silent])
    scene = DescribeScene()
    heard = [Part(Span(i, i + 1.0), scene.read(["", ""], Span(i, i + 1.0))) for i in range(2)]
    assert not needs_second_pass(scene, heard)


def test_the_second_pass_is_told_the_context_whose_length_counts() -> None:
    said, parts, task = json.dumps({"summary": "It rained."}), summarized(4), Summarize("meeting")
    over = task.over(parts)
    assert over is not None
    backend = ScriptedBackend(lambda *_: said, most_prompt=len(over.questions[0].prompt))  # all at once, but for it
    conversation = second_pass(task, parts, task.merge(parts), job_of(task, context="Miriam"), backend.fits)
    ended(backend, conversation)
    assert len(backend.asked) > 1
    assert all("Miriam" in request.prompt for request in backend.asked)
