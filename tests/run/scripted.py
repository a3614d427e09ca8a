"""Conversations with a scripted backend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from scripted_backend import Say, ScriptedBackend, noise

from moss_cli.audio.chunk import Chunk
from moss_cli.errors import MossError
from moss_cli.models.registry import resolve
from moss_cli.run.conversation import Asking, Conversation
from moss_cli.run.in_flight import InFlight
from moss_cli.run.job import Job
from moss_cli.span import Span
from moss_cli.tasks.reading.task import Part, Task


def clip(seconds: float, *, pause_at: float | None = None) -> Chunk:
    return Chunk(noise(seconds, pause_at=pause_at), Span(0.0, seconds))


def job_of(task: Task[Any], **options: Any) -> Job:
    return replace(Job(task, resolve("tiny")), **options)


def ended(
    backend: ScriptedBackend, *conversations: Conversation[Any], on_text: Callable[[str], None] | None = None
) -> list[Any]:
    """What each conversation came to, all in flight together; the MossError of one that failed."""
    flight, found = InFlight(backend, lambda owner, n: None), dict[int, Any]()
    for i, one in enumerate(conversations):
        flight.begin(i, one, lambda end, i=i: found.__setitem__(i, end), on_seconds=lambda s: None, on_text=on_text)
    while len(flight):
        flight.step()
    return [found[i] for i in range(len(conversations))]


def asked(
    task: Task[Any], say: Say, *clips: Chunk, on_text: Callable[[str], None] | None = None, **options: Any
) -> tuple[list[list[Part[Any]] | MossError], ScriptedBackend]:
    """What comes of clips, and the backend that was asked."""
    backend = ScriptedBackend(say)
    asking = Asking(task, job_of(task, **options), "x", tells=on_text is not None)
    return ended(backend, *(asking.about(one) for one in clips), on_text=on_text), backend
