"""What a type checker makes of a program that uses `Moss`: nothing here runs, `make lint` checks it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, assert_type

from moss_cli import Moss, TaskResult
from moss_cli.tasks.ask import Answer
from moss_cli.tasks.emotion import EmotionSegment
from moss_cli.tasks.music import Music
from moss_cli.tasks.reading.timed import Segment
from moss_cli.tasks.transcribe import Transcription


def use(moss: Moss, paths: list[Path]) -> None:
    assert_type(moss.transcribe("a.wav"), TaskResult[Transcription])
    assert_type(moss.transcribe("a.wav", timestamps="word", start="1:30").segments, tuple[Segment, ...])
    assert_type(moss.transcribe(paths), Iterator[TaskResult[Transcription]])
    assert_type(moss.emotion(paths[0]).segments, tuple[EmotionSegment, ...])
    assert_type(moss.music(b"").result, Music)
    assert_type(moss.ask("What?"), TaskResult[Answer])
    assert_type(moss.ask("What?", paths, choices=["yes", "no"]), Iterator[TaskResult[Answer]])
    assert_type(moss.analyze("a.wav", ["transcribe"], question="Who?"), dict[str, TaskResult[Any]])
    assert_type(moss.analyze(paths), Iterator[dict[str, TaskResult[Any]]])
    moss.transcribe("a.wav", timestamps="words")  # type: ignore[call-overload]
    moss.ask("What?", prompt="none")  # type: ignore[call-overload]
    moss.music("a.wav").segments  # type: ignore[misc]  # noqa: B018
