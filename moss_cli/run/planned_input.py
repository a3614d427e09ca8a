"""One input as a run goes through it: cut into chunks at pauses, and those without speech left out."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from moss_cli.audio.chunk import Chunk, chunks
from moss_cli.audio.results import Samples
from moss_cli.run.channels import by_channel
from moss_cli.run.job import Job
from moss_cli.run.open_input import Facts, OpenInput
from moss_cli.run.speech_pieces import SearchedChunk, plan, skipped
from moss_cli.span import Span
from moss_cli.tasks.reading.task import Task


@dataclass(frozen=True)
class PlannedInput:
    """An open input, whose `pieces` are to be iterated once: chunks to be asked about and, as bare spans, what is
    skipped, in the order of their times. All else is that of `OpenInput`."""

    task: Task[Any]
    pieces: Iterator[Chunk | Span]
    offset_s: float
    total_s: float | None
    sha256: Callable[[], str]
    facts: Callable[[], Facts]
    close: Callable[[], None]
    n_channels: int = 1  # that are heard each by itself
    source: Hashable = None


def planned(opened: OpenInput, job: Job, chunked: Iterator[SearchedChunk] | None = None) -> PlannedInput:
    """What of an input is given to the model. It is found while it is iterated. `chunked`: its chunks, where they are
    not the job's alone."""

    def pieces_of(chunked: Iterable[SearchedChunk]) -> Iterator[Chunk | Span]:
        return plan(chunked, skipped(opened.task, vad=job.vad), finds_speech=opened.task.needs_speech)

    def cut(blocks: Iterable[Samples]) -> Iterator[Chunk | Span]:
        return pieces_of(searched(blocks, opened, job))

    if opened.speakers:
        pieces = by_channel(opened.blocks, opened.speakers, cut)
    else:
        pieces = cut(opened.blocks) if chunked is None else pieces_of(chunked)
    return PlannedInput(
        opened.task,
        pieces,
        opened.offset_s,
        opened.total_s,
        opened.sha256,
        opened.facts,
        opened.close,
        max(len(opened.speakers), 1),
        opened.source,
    )


def searched(blocks: Iterable[Samples], opened: OpenInput, job: Job) -> Iterator[SearchedChunk]:
    """The chunks of an input's samples, [n] each."""
    return map(SearchedChunk, chunks(iter(blocks), longest_s=job.longest_s, offset_s=opened.offset_s))
