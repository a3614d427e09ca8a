"""One input as it is read: its samples block by block, and what can be said of it afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

from moss_cli.audio.decode import load, stream
from moss_cli.audio.results import Audio, AudioInfo, Samples
from moss_cli.audio.stream import AudioStream
from moss_cli.errors import UsageError
from moss_cli.run.inputs import STDIN, Input
from moss_cli.run.job import Job
from moss_cli.schema import Notice
from moss_cli.span import Span
from moss_cli.tasks.reading.task import Focus, Task


@dataclass(frozen=True)
class Facts:
    """What is known of an input once its last block is read."""

    info: AudioInfo
    warnings: tuple[Notice, ...]
    complete: bool


@dataclass(frozen=True)
class OpenInput:
    """An open input. `task` is the job's, as it is asked about this input.

    `blocks`: samples [n] float32 at 16 kHz, to be iterated once, or [n, k] where each of k `speakers` has a channel;
    the first lies at `offset_s` in the file, and they last `total_s`, where the header says. `sha256` can be called
    before that, `facts` after it; both raise AudioError for a file that has changed meanwhile. `source` stands for the
    samples: what has the same one has the same samples at the same time.
    """

    task: Task[Any]
    blocks: Iterator[Samples]
    offset_s: float
    total_s: float | None
    sha256: Callable[[], str]
    facts: Callable[[], Facts]
    close: Callable[[], None]
    speakers: tuple[str, ...] = ()
    source: Hashable = field(default_factory=object)


def open_input(input: Input, job: Job, audio: Audio | None = None) -> OpenInput:
    """Open an input, or the part of it that the job or its question is about. `audio`: all of it, where that was loaded
    already.

    Raises AudioError where it cannot be read, UsageError for a range or a time outside it.
    """
    if audio is not None:
        return _loaded(audio, job)
    start_s, end_s, task = job.start_s, job.end_s, job.task
    if task.may_name_a_time:
        duration_s = _known_duration(input, job)
        if duration_s is None:
            # A pipe can be read only once, and some files say their length only at their end.
            return _loaded(loaded(input, job), job)
        focus = _focus(job, duration_s)
        if focus is not None:
            start_s, end_s, task = focus.start_s, focus.end_s, focus.task
    opened = stream(
        input.path,
        start_s=start_s,
        end_s=end_s,
        max_duration_s=job.max_duration_s,
        channel=job.channel,
        track=job.track,
    )
    return _streamed(task, opened, end_s)


def loaded(input: Input, job: Job) -> Audio:
    """All of an input that can be read only once, as a job hears it. Raises AudioError."""
    assert job.channel != "each"  # only of a question, which hears one
    return load(input.path, max_duration_s=job.max_duration_s, channel=job.channel, track=job.track)


def is_file(input: Input) -> bool:
    """Whether an input can be read more than once."""
    return input.path != STDIN and os.path.isfile(input.path)  # noqa: PTH113 - Path.is_file raises for some names


def _known_duration(input: Input, job: Job) -> float | None:
    """How long a file says that it lasts, in seconds; None where it does not, or is no file."""
    if not is_file(input):
        return None
    with stream(input.path, track=job.track) as header:
        return header.duration_s


def _focus(job: Job, duration_s: float) -> Focus | None:
    """What of the chosen part the question is about; None where it is all of it."""
    chosen = Span(job.start_s or 0.0, duration_s if job.end_s is None else min(job.end_s, duration_s))
    return job.task.focus(duration_s, chosen) if chosen.duration_s > 0 else None


def _streamed(task: Task[Any], audio: AudioStream, end_s: float | None) -> OpenInput:
    length_s = audio.duration_s if end_s is None else min(end_s, audio.duration_s or end_s)
    return OpenInput(
        task,
        iter(audio),
        audio.offset_s,
        None if length_s is None else max(0.0, length_s - audio.offset_s),
        audio.sha256,
        lambda: Facts(audio.info(), audio.warnings, audio.complete),
        audio.close,
        audio.speakers,
    )


def _loaded(audio: Audio, job: Job) -> OpenInput:
    task, duration_s = job.task, audio.info.duration_s
    start_s, end_s = job.start_s or 0.0, duration_s if job.end_s is None else job.end_s
    if start_s >= duration_s:
        raise UsageError(
            f"the range starts at {start_s:g} s, but the recording is only {duration_s:g} s long", code="range"
        )
    focus = _focus(job, duration_s)
    if focus is not None:
        task, start_s, end_s = focus.task, focus.start_s, focus.end_s
    audio = audio.part(start_s, end_s)
    return OpenInput(
        task,
        iter([audio.samples]),
        audio.offset_s,
        audio.duration_s,
        lambda: audio.info.sha256,
        lambda: Facts(audio.info, audio.warnings, audio.complete),
        lambda: None,
    )
