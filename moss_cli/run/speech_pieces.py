"""What of a recording is given to the model, and the spans without speech that are skipped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from moss_cli.audio.chunk import Chunk, chunks
from moss_cli.audio.results import SAMPLE_RATE
from moss_cli.audio.spoken import spoken_stretches
from moss_cli.audio.vad import Probability, has_speech, silent_stretches, speech_probability
from moss_cli.span import Span
from moss_cli.tasks.reading.task import Task

Skipped = Literal["nothing", "chunks", "stretches"]

SHORTEST_HALVED_S = 4.0  # a shorter chunk is not cut in two
HALF_SHARE = 0.6  # of a chunk: the longest that a half of it may be, so that there is a pause to choose


def skipped(task: Task[Any], *, vad: bool) -> Skipped:
    """What is not given to the model where nobody speaks.

    What a task says of a chunk may rest on its pauses too; such a chunk is given whole, unless nobody speaks in it.
    """
    if not (vad and task.needs_speech):
        return "nothing"
    return "stretches" if task.ignores_pauses else "chunks"


class SearchedChunk:
    """A chunk, and the probability of speech in it, which is computed when it is first wanted."""

    def __init__(self, chunk: Chunk) -> None:
        self.chunk = chunk

    @cached_property
    def probability(self) -> Probability:
        return speech_probability(self.chunk.samples)


def plan(chunked: Iterable[SearchedChunk], what: Skipped, *, finds_speech: bool = True) -> Iterator[Chunk | Span]:
    """The chunks to be analysed and, as bare spans, what is skipped, in the order of their times.

    A chunk is told where somebody surely speaks in it, with `finds_speech` also where nothing is skipped.
    """
    for one in chunked:
        chunk = one.chunk
        if what == "nothing" and not finds_speech:
            yield chunk
            continue
        probability = one.probability
        heard = replace(chunk, speech=_later(spoken_stretches(probability), chunk.span))
        if what == "stretches":
            yield from spoken(heard, silent_stretches(chunk.samples, probability))
        elif what == "chunks" and not has_speech(chunk.samples, probability):
            yield chunk.span
        else:
            yield heard


def spoken(chunk: Chunk, silent: Iterable[Span]) -> Iterator[Chunk | Span]:
    """A chunk without the stretches in which the probability of speech is low throughout, and these. `silent` has their
    times from its start."""
    at, number = 0, 0
    for stretch in silent:
        first, last = round(stretch.start_s * SAMPLE_RATE), round(stretch.end_s * SAMPLE_RATE)
        if first > at:
            yield _part(chunk, at, first, f"{chunk.name}.{number}")
            number += 1
        yield _span(chunk, first, last)
        at = last
    if at == 0:
        yield chunk
    elif at < len(chunk.samples):
        yield _part(chunk, at, len(chunk.samples), f"{chunk.name}.{number}")


def halves(chunk: Chunk) -> list[Chunk]:
    """A chunk cut near its middle, in a pause if it has one; [] where it is too short for that."""
    duration_s = len(chunk.samples) / SAMPLE_RATE
    if duration_s < SHORTEST_HALVED_S:
        return []
    cut = chunks(iter([chunk.samples]), longest_s=duration_s * HALF_SHARE, offset_s=chunk.span.start_s)
    return [replace(one, name=f"{chunk.name}/{one.name}", speech=inside(chunk.speech, one.span)) for one in cut]


def excerpt(chunk: Chunk, span: Span, name: str) -> Chunk:
    """What of a chunk lies in a span of the file."""
    first, last = (round((t - chunk.span.start_s) * SAMPLE_RATE) for t in (span.start_s, span.end_s))
    return _part(chunk, max(first, 0), min(last, len(chunk.samples)), name)


def inside(spans: Iterable[Span], outer: Span) -> tuple[Span, ...]:
    """What of spans lies in another."""
    return tuple(one for one in (span.inside(outer) for span in spans) if one.duration_s > 0)


def _later(spans: Sequence[Span], chunk: Span) -> tuple[Span, ...]:
    """Spans that count from a chunk's start as those of the file; the last frame is longer than its samples."""
    return inside((Span(chunk.start_s + one.start_s, chunk.start_s + one.end_s) for one in spans), chunk)


def _part(chunk: Chunk, first: int, last: int, name: str) -> Chunk:
    span = _span(chunk, first, last)
    next_s = min(span.end_s, chunk.next_s) if last < len(chunk.samples) else chunk.next_s
    return Chunk(np.ascontiguousarray(chunk.samples[first:last]), span, name, inside(chunk.speech, span), next_s)


def _span(chunk: Chunk, first: int, last: int) -> Span:
    end_s = chunk.span.end_s if last >= len(chunk.samples) else chunk.span.start_s + last / SAMPLE_RATE
    return Span(chunk.span.start_s + first / SAMPLE_RATE, end_s)
