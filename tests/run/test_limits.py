"""An answer that ends at a limit is never whole: it is asked for again in smaller chunks, or is partial."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from scripted import asked, clip
from scripted_backend import HeardClip, Said, ScriptedBackend, cut, noise, opening

from moss_cli.audio.results import SAMPLE_RATE
from moss_cli.backends.protocol import Reply, Request
from moss_cli.models.registry import resolve
from moss_cli.run.inputs import Input
from moss_cli.run.job import Job
from moss_cli.run.runner import Runner
from moss_cli.schema import Envelope
from moss_cli.tasks.ask import Ask
from moss_cli.tasks.catalogue import CATALOGUE
from moss_cli.tasks.describe_speaker import DescribeSpeaker
from moss_cli.tasks.emotion import DescribeEmotion
from moss_cli.tasks.music import DescribeMusic
from moss_cli.tasks.reading.json_answers import LONGEST_TEXT, MOST_ITEMS
from moss_cli.tasks.reading.task import Task
from moss_cli.tasks.scene import PROMPT_EVENTS, DescribeScene
from moss_cli.tasks.summarize import Summarize
from moss_cli.tasks.transcribe import Transcribe

WHOLE = '{"setting": null, "atmosphere": null, "summary": "A day."}'  # of a scene
TASKS: tuple[Task[Any], ...] = (
    Transcribe(),
    Transcribe("none"),
    DescribeSpeaker(),
    DescribeEmotion(),
    DescribeScene(),
    DescribeScene(custom_prompt="What sounds?"),
    DescribeMusic(),
    Ask("What?"),
    Ask("Which?", choices=("rain", "hail")),
    Summarize(),
)


@pytest.fixture
def analysed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Envelope[Any]]:
    """Runs a task over a recording of 270 s with a model that says what a test wants."""
    monkeypatch.setattr("moss_cli.run.speech_pieces.has_speech", lambda *_: True)
    monkeypatch.setattr("moss_cli.run.speech_pieces.silent_stretches", lambda *_: [])
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(270.0, pause_at=135.0), SAMPLE_RATE)
    model = resolve("tiny")
    model = replace(model, entry=replace(model.entry, tasks=(), piece_seconds={}, max_seconds=600.0))

    def run(task: Task[Any], say: Callable[[Request, int], Said]) -> Envelope[Any]:
        [outcome] = Runner(Job(task, model), open_backend=opening(ScriptedBackend(say))).run([Input(path)])
        return outcome.envelope

    return run


def test_ninety_events_are_all_there(analysed: Callable[..., Envelope[Any]]) -> None:
    events = "\n".join(f"{3 * i}.0 - {3 * i + 2}.0: event {i}" for i in range(90))

    def say(request: Request, n: int) -> Said:
        return events if request.prompt == PROMPT_EVENTS else WHOLE

    envelope = analysed(DescribeScene(), say)
    assert envelope.status == "ok"
    assert [event.label for event in envelope.result.events] == [f"event {i}" for i in range(90)]
    assert envelope.result.events[-1].start == 267.0


def test_ninety_emotions_and_two_hundred_words_of_evidence_are_all_there(
    analysed: Callable[..., Envelope[Any]],
) -> None:
    evidence = " ".join(f"word{i}" for i in range(200))
    segments = [
        {"start": 3 * i, "end": 3 * i + 3, "emotion": ("happy", "sad")[i % 2], "cue": f"cue {i}"} for i in range(90)
    ]
    said = json.dumps({"overall": "happy", "evidence": evidence, "segments": segments})
    envelope = analysed(DescribeEmotion(), lambda *_: said)
    assert envelope.status == "ok"
    assert envelope.result.evidence == evidence
    assert [segment.cue for segment in envelope.result.segments] == [f"cue {i}" for i in range(90)]


def test_a_summary_of_four_thousand_characters_is_all_there(analysed: Callable[..., Envelope[Any]]) -> None:
    summary = ("It rained all day. " * 211)[:4000].strip()
    said = json.dumps({"summary": summary, "key_points": [], "chapters": []})
    envelope = analysed(Summarize(), lambda *_: said)
    assert (envelope.status, envelope.result.summary, envelope.text) == ("ok", summary, summary)


def test_a_text_at_the_limit_is_partial_and_the_warning_names_it(analysed: Callable[..., Envelope[Any]]) -> None:
    said = json.dumps({"summary": "x" * LONGEST_TEXT, "key_points": [], "chapters": []})
    envelope = analysed(Summarize(), lambda *_: said)
    assert envelope.status == "partial"
    assert [chunk.finish_reason for chunk in envelope.chunks] == ["length"]
    [warning] = envelope.warnings
    assert warning.code == "cut"
    assert warning.message == "the answer reached its maximum length in summary; the rest is missing"


def test_too_many_items_are_asked_for_again_in_smaller_chunks(analysed: Callable[..., Envelope[Any]]) -> None:
    def say(request: Request, n: int) -> Said:
        assert isinstance(request.clip, HeardClip)
        duration_s = request.clip.duration_s
        n_events = MOST_ITEMS if duration_s > 200 else 20
        events = [
            {"start": i * duration_s / n_events, "end": (i + 1) * duration_s / n_events, "label": f"e{n}.{i}"}
            for i in range(n_events)
        ]
        return json.dumps({"setting": None, "atmosphere": None, "summary": "A day.", "events": events})

    envelope = analysed(DescribeScene(custom_prompt="What sounds?"), say)
    assert envelope.status == "ok"
    assert len(envelope.chunks) == 2
    assert {chunk.attempts for chunk in envelope.chunks} == {2}
    assert len(envelope.result.events) == 40


def test_events_that_are_cut_however_short_the_chunk_are_named(analysed: Callable[..., Envelope[Any]]) -> None:
    def say(request: Request, n: int) -> Said:
        if request.prompt == PROMPT_EVENTS:
            return cut("0.0 - 1.0: rain")
        return WHOLE

    envelope = analysed(DescribeScene(), say)
    assert envelope.status == "partial"
    assert {warning.code for warning in envelope.warnings} >= {"cut"}
    assert all("in events" in warning.message for warning in envelope.warnings if warning.code == "cut")


@given(task=st.sampled_from(TASKS), where=st.integers(0, 200), data=st.data())
def test_whatever_limit_an_answer_ends_at_it_is_never_whole(task: Task[Any], where: int, data: st.DataObject) -> None:
    """Cut by the backend's length anywhere in any of its answers."""
    place = data.draw(st.integers(0, len(task.questions) - 1))

    def say(request: Request, n: int) -> Said:
        whole = answer_to(request, task)
        is_cut = request.prompt == task.questions[place].prompt
        return Reply(whole[:where], "length") if is_cut else whole

    [parts], _ = asked(task, say, clip(3.0))
    if isinstance(parts, list):
        assert not all(part.complete for part in parts)
        assert {part.finish_reason for part in parts} == {"length"}


def answer_to(request: Request, task: Task[Any]) -> str:
    """A whole answer in the form that is asked for."""
    if isinstance(task, Transcribe):
        return "[0.00]hello there[1.00][1.00]and so on[2.00]"
    if request.prompt == PROMPT_EVENTS:
        return "0.0 - 1.0: rain\n1.0 - 2.0: hail"
    if isinstance(task, Ask) and task.choices:
        return "A"
    timeline = next(entry.timeline for entry in CATALOGUE if entry.name == task.name)
    values: dict[str, Any] = dict.fromkeys(task.result_type.model_fields)
    values |= {"summary": "so it goes", "key_points": ["a"], "instruments": ["b"]}
    values = {key: value for key, value in values.items() if key in task.result_type.model_fields}
    if timeline is not None:
        values[timeline.field] = [{"start": 0, "end": 1, "label": "x", "text": "x", "title": "x", "emotion": "x"}]
    return json.dumps(values)
