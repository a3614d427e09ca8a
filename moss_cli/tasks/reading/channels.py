"""Transcripts of channels as one: each channel is a speaker."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from moss_cli.tasks.reading.task import Part
from moss_cli.tasks.reading.timed import Segment


def by_speaker(parts: Sequence[Part[Any]]) -> dict[str, list[Part[Any]]]:
    """The parts of each channel, in the order in which the channels come; none where channels were mixed."""
    found: dict[str, list[Part[Any]]] = {}
    for part in parts:
        if part.channel is not None:
            found.setdefault(part.channel, []).append(part)
    return found


def together(segments: Iterable[tuple[str, Iterable[Segment]]]) -> tuple[Segment, ...]:
    """The segments of each speaker, labelled, in the order of their times."""
    labelled = [one.model_copy(update={"speaker": speaker}) for speaker, own in segments for one in own]
    return tuple(sorted(labelled, key=lambda one: (one.start, one.end)))
