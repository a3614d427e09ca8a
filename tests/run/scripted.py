"""An engine that says what a test wants, for the tests of what becomes of answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from moss_cli.audio.results import SAMPLE_RATE
from moss_cli.engine.engine import Engine
from moss_cli.engine.generate import Generation, OnToken, Request
from moss_cli.models.registry import resolve
from moss_cli.run.conversation import Answerer
from moss_cli.run.job import Job
from moss_cli.run.speech_pieces import Piece
from moss_cli.span import Span
from moss_cli.tasks.reading.task import Task


def clip(seconds: float, *, pause_at: float | None = None) -> Piece:
    samples = np.random.default_rng(0).uniform(-0.1, 0.1, round(seconds * SAMPLE_RATE)).astype(np.float32)
    if pause_at is not None:
        samples[round(pause_at * SAMPLE_RATE) : round((pause_at + 0.6) * SAMPLE_RATE)] = 0
    return Piece(samples, Span(0.0, seconds), input_id="x")


def answerer(
    monkeypatch: pytest.MonkeyPatch, engine: Engine, task: Task, answer: Callable[[Request, int], tuple[str, str]]
) -> tuple[Answerer, list[Request]]:
    """`answer` gives the text of an answer and how it ends, for a request and the number of its call."""
    seen: list[Request] = []

    def generate(self: Engine, requests: Sequence[Request], on_token: OnToken | None = None) -> list[Generation]:
        found = []
        for request in requests:
            seen.append(request)
            text, reason = answer(request, len(seen))
            ids = [*request.prefix, *self.tokenizer.encode(text)]
            if on_token is not None:
                for n in range(1, len(ids) + 1):
                    on_token(0, ids[:n], n)
            found.append(Generation(ids, reason, len(ids)))  # type: ignore[arg-type]
        return found

    monkeypatch.setattr(Engine, "generate", generate)
    return Answerer(engine, Job(task, resolve("tiny"))), seen
