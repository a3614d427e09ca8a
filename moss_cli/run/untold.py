"""What of a chunk is asked for again because its answer says nothing of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from moss_cli.audio.chunk import Chunk
from moss_cli.audio.results import SAMPLE_RATE
from moss_cli.run.speech_pieces import excerpt
from moss_cli.span import Span
from moss_cli.tasks.reading.task import Task

# Heard on either side of what is asked for again, so that no word is cut; what is heard twice is spliced.
MARGIN_S = 0.5
MOST_SHARE = 0.8  # of a chunk: about more of it the model would say the same again

_LEVEL_SAMPLES = SAMPLE_RATE  # 1 s, for which a level is measured
_LOUD_SHARE = 95  # percentile of the level that is called loud
_AUDIBLE_SHARE = 0.1  # of what is loud, 20 dB below it: as quiet as a pause is (`audio.pauses`)
_LEAST_LEVEL = 1e-3  # -60 dBFS


def heard_in(chunk: Chunk, task: Task[Any]) -> Sequence[Span]:
    """Where in the file a chunk has what a task is about: speech, or else anything that is loud beside the rest."""
    return chunk.speech if task.needs_speech else _audible(chunk)


def _audible(chunk: Chunk) -> Sequence[Span]:
    starts = range(0, len(chunk.samples), _LEVEL_SAMPLES)
    levels = np.array([np.sqrt(np.mean(np.square(chunk.samples[at : at + _LEVEL_SAMPLES]))) for at in starts])
    if not len(levels):
        return ()
    least = max(float(np.percentile(levels, _LOUD_SHARE)) * _AUDIBLE_SHARE, _LEAST_LEVEL)
    first_s = chunk.span.start_s
    seconds = (Span(first_s + i, first_s + i + 1).inside(chunk.span) for i in range(len(levels)))
    return [one for one, level in zip(seconds, levels, strict=True) if level >= least]


def is_most(untold: Sequence[Span], chunk: Chunk) -> bool:
    """Whether what an answer leaves untold is as good as all of its chunk."""
    return duration_s(untold) > MOST_SHARE * chunk.span.duration_s


def asked_again(chunk: Chunk, untold: Sequence[Span]) -> list[Chunk]:
    """What is untold as chunks of its own."""
    wide = (Span(one.start_s - MARGIN_S, one.end_s + MARGIN_S).inside(chunk.span) for one in untold)
    return [excerpt(chunk, one, f"{chunk.name}~{number}") for number, one in enumerate(wide)]


def longest(untold: Sequence[Span], n_most: int) -> list[Span]:
    """The longest of them, in their order."""
    chosen = sorted(untold, key=lambda one: one.duration_s, reverse=True)[:n_most]
    return [one for one in untold if one in chosen]


def duration_s(spans: Iterable[Span]) -> float:
    """That of all of them."""
    return sum(one.duration_s for one in spans)
