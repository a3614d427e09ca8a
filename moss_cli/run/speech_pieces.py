"""What of a recording is given to the model at once, and what is passed over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from moss_cli.audio.chunk import Chunk, chunks
from moss_cli.audio.results import SAMPLE_RATE, Samples
from moss_cli.audio.vad import has_speech, silent_stretches
from moss_cli.span import Span
from moss_cli.tasks.reading.task import Task

PassedOver = Literal["nothing", "pieces", "stretches"]

SHORTEST_HALVED_S = 4.0  # a shorter piece is not cut in two


@dataclass(frozen=True)
class Piece:
    """A stretch of a recording, [n] float32 at 16 kHz. `name` is its own in the file; draws depend on it and on
    `input_id`, which is the file's own."""

    samples: Samples
    span: Span
    name: str = "0"
    input_id: str = ""


def plan(chunked: Iterable[Chunk], input_id: str, passed_over: PassedOver) -> Iterator[Piece | Span]:
    """Pieces, and the spans in which nobody speaks and which are passed over."""
    for chunk in chunked:
        piece = Piece(chunk.samples, chunk.span, chunk.name, input_id)
        if passed_over == "stretches":
            yield from spoken(piece)
        elif passed_over == "pieces" and not has_speech(piece.samples):
            yield piece.span
        else:
            yield piece


def passed_over(task: Task) -> PassedOver:
    """What is not given to the model where nobody speaks. What a task says of a whole piece may rest on its pauses
    too; where half a piece gives half an answer, they can be left out."""
    if not task.needs_speech:
        return "nothing"
    return "stretches" if task.is_divisible else "pieces"


def spoken(piece: Piece) -> Iterator[Piece | Span]:
    """A piece without the stretches in which the probability of speech is low throughout, and these."""
    at, number = 0, 0
    for stretch in silent_stretches(piece.samples):
        first, last = round(stretch.start_s * SAMPLE_RATE), round(stretch.end_s * SAMPLE_RATE)
        if first > at:
            yield _part(piece, at, first, f"{piece.name}.{number}")
            number += 1
        yield _span(piece, first, last)
        at = last
    if at == 0:
        yield piece
    elif at < len(piece.samples):
        yield _part(piece, at, len(piece.samples), f"{piece.name}.{number}")


def halves(piece: Piece) -> list[Piece]:
    """A piece cut near its middle, in a pause if it has one; [] where it is too short for that."""
    duration_s = len(piece.samples) / SAMPLE_RATE
    if duration_s < SHORTEST_HALVED_S:
        return []
    cut = chunks(iter([piece.samples]), longest_s=duration_s * 0.6, offset_s=piece.span.start_s)
    return [replace(piece, samples=chunk.samples, span=chunk.span, name=f"{piece.name}/{chunk.name}") for chunk in cut]


def _part(piece: Piece, first: int, last: int, name: str) -> Piece:
    samples = np.ascontiguousarray(piece.samples[first:last])
    return replace(piece, samples=samples, span=_span(piece, first, last), name=name)


def _span(piece: Piece, first: int, last: int) -> Span:
    end_s = piece.span.end_s if last >= len(piece.samples) else piece.span.start_s + last / SAMPLE_RATE
    return Span(piece.span.start_s + first / SAMPLE_RATE, end_s)
