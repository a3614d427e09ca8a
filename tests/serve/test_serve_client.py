"""Our own client against our own server: the seven tasks give what they give locally."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from served import Served

from moss_cli.answers import Sampling, Turn
from moss_cli.models.registry import Resolved, resolve
from moss_cli.run.inputs import Input
from moss_cli.run.job import Job
from moss_cli.run.runner import Runner
from moss_cli.tasks.ask import Ask
from moss_cli.tasks.describe_speaker import DescribeSpeaker
from moss_cli.tasks.emotion import DescribeEmotion
from moss_cli.tasks.music import DescribeMusic
from moss_cli.tasks.reading.task import Task
from moss_cli.tasks.scene import DescribeScene
from moss_cli.tasks.summarize import Summarize
from moss_cli.tasks.transcribe import Transcribe

SAMPLES = Path(__file__).parents[2] / "samples"


def envelope(model: Resolved, task: Task[Any], name: str, **settings: Any) -> dict[str, Any]:
    """What a task makes of a sample, without what is of the model's place."""
    runner = Runner(Job(task, model, dtype="auto" if model.served else "fp32", **settings))
    [outcome] = runner.run([Input(SAMPLES / name)])
    told = outcome.envelope.model_dump_json().replace(model.entry.name, "tiny")  # in a warning
    return {key: value for key, value in json.loads(told).items() if key not in ("model", "usage")}


@pytest.mark.parametrize(
    ("task", "name"),
    [
        (Transcribe(), "meeting.wav"),
        (Transcribe("word"), "minutes.wav"),
        (Ask("What is said?"), "question.wav"),
        (Ask("And when?", turns=(Turn("What starts?", "the meeting"),)), "question.wav"),
        (Summarize(), "minutes.wav"),
        (DescribeScene(), "scene.wav"),
        (DescribeMusic(), "music.wav"),
        (DescribeEmotion(), "emotion.wav"),
        (DescribeSpeaker(), "voice.wav"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_an_envelope_is_the_local_one(tiny: Served, task: Task[Any], name: str) -> None:
    found = envelope(resolve(tiny.url), task, name)
    assert found["status"] == "ok" and found == envelope(resolve("tiny"), task, name)


def test_draws_are_the_local_ones(tiny: Served) -> None:
    settings = {"sampling": Sampling(1.0, 0.95, 20), "seed": 7}
    task = Transcribe("none")
    assert envelope(resolve(tiny.url), task, "meeting.wav", **settings) == envelope(
        resolve("tiny"), task, "meeting.wav", **settings
    )
