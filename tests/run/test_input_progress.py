"""What is known of one input: what an earlier run has kept of it, and when it is done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moss_cli.answers import Cost
from moss_cli.audio.chunk import Chunk
from moss_cli.errors import MossError
from moss_cli.models.registry import resolve
from moss_cli.run.input_progress import InputProgress
from moss_cli.run.inputs import Input
from moss_cli.run.job import Job
from moss_cli.run.journal import Opened
from moss_cli.run.kept_parts import from_json, to_json
from moss_cli.run.speech_pieces import skipped
from moss_cli.schema import Notice
from moss_cli.span import Span
from moss_cli.tasks.ask import Ask
from moss_cli.tasks.describe_speaker import DescribeSpeaker
from moss_cli.tasks.emotion import DescribeEmotion
from moss_cli.tasks.music import DescribeMusic
from moss_cli.tasks.reading.task import Part, Reading
from moss_cli.tasks.reading.timed import Segment
from moss_cli.tasks.scene import DescribeScene
from moss_cli.tasks.summarize import Summarize
from moss_cli.tasks.transcribe import Transcribe, Transcription

TASK = Transcribe()
CHUNK = Chunk(np.zeros(16_000, np.float32), Span(0.0, 1.0), "0")


class KeptJournal:
    """A journal that holds what a test has put into it."""

    def __init__(self, kept: dict[str, list[dict[str, Any]]]) -> None:
        self.kept = kept

    def begin(self, opened: Opened) -> None:
        pass

    def get(self, piece: str) -> list[dict[str, Any]] | None:
        return self.kept.get(piece)

    def put(self, piece: str, found: list[dict[str, Any]]) -> None:
        self.kept[piece] = found


def part(text: str, start_s: float = 0.0) -> Part[Transcription]:
    segment = Segment(start=start_s, end=start_s + 1, text=text)
    notice = Notice(code="x", message="y", start=start_s)
    reading = Reading(Transcription(segments=(segment,)), text, (notice,), complete=False, cut=("segments",))
    return Part(Span(start_s, start_s + 1), reading, "length", 2, "so what", Cost(3, 4))


def progress(kept: dict[str, list[dict[str, Any]]]) -> InputProgress:
    return InputProgress(Input(Path("a.wav")), Job(TASK, resolve("tiny")), KeptJournal(kept))


def test_a_part_is_kept_whole() -> None:
    assert from_json(TASK, to_json(part("hello"))) == part("hello")


@pytest.mark.parametrize(
    "change",
    [
        {"span": [2, 1]},
        {"attempts": 0},
        {"finish_reason": "odd"},
        {"tokens": [-1, 0]},
        {"thought": 5},
        {"result": {"a": 1}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_part_that_somebody_has_changed_is_none(change: dict[str, Any]) -> None:
    assert from_json(TASK, to_json(part("hello")) | change) is None
    missing = to_json(part("hello"))
    del missing[next(iter(change))]
    assert from_json(TASK, missing) is None


def test_what_an_earlier_run_found_is_not_asked_for_again() -> None:
    file = progress({"0": [to_json(part("hello")), to_json(part("there", 1.0))]})
    assert file.expect(CHUNK) is None
    assert [one.reading.text for one in file.parts] == ["hello", "there"]


def test_a_chunk_of_which_anything_is_damaged_is_asked_for_again() -> None:
    file = progress({"0": [to_json(part("hello")), to_json(part("there", 1.0)) | {"attempts": 0}]})
    assert file.expect(CHUNK) == 0
    assert file.parts == []


def test_the_first_reason_of_a_failure_stands() -> None:
    file = progress({})
    file.fail(MossError("first"))
    file.fail(MossError("second"))
    assert file.done
    assert file.error is not None
    assert file.error.message == "first"


def test_only_a_transcript_is_of_audio_without_its_pauses() -> None:
    assert skipped(Transcribe(), vad=True) == "stretches"
    assert {skipped(task, vad=True) for task in (DescribeEmotion(), DescribeSpeaker(), Summarize())} == {"chunks"}
    assert {skipped(task, vad=True) for task in (DescribeScene(), DescribeMusic(), Ask("What?"))} == {"nothing"}
    assert skipped(Transcribe(), vad=False) == "nothing"
