"""Streams of frames without a container: which stretches of a file are frames that follow one another.

What lies between two such stretches is tags, and then the second is a file of its own that was appended, or damage, and
then the second goes on after as much time as these bytes would have held.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from moss_cli.audio.layout.base import Piece, Readable, is_blank

_BLOCK_BYTES = 1 << 20
_FRAMES_IN_A_ROW = 3  # by which a first one is told from bytes that look like it
_MOST_TRIES = 200_000  # of places that look like a frame and are none; a file with more is made to waste time
_TAGS = re.compile(rb"TAG|ID3|APETAGEX|LYRICSBEGIN|LYRICS200|LYRICSEND")
_MISSING_S = 0.5  # by which what is left of a file may be more than a padding
_TAG_BYTES = 1 << 16  # of what lies between two runs, in which a tag is looked for


@dataclass(frozen=True)
class Frame:
    """`kind` is what may not change within a run: the sample rate and the like."""

    kind: int
    sample_rate: int
    n_samples: int
    n_bytes: int


@dataclass(frozen=True)
class Run:
    """Frames of one kind, one after the other. `ends_inside`: the file ends within the last of them."""

    start: int
    end: int
    n_frames: int
    n_samples: int
    sample_rate: int
    ends_inside: bool = False


@dataclass(frozen=True)
class FrameFormat:
    """`at` reads the frame at a place of a block, which may be cut off there; `mark` matches what may begin one.

    `begins`: whether the frame at a place begins a file, as those do that count the frames behind them. `magic` is what
    stands before the first frame of a file. `ends_whole`: a decoder says nothing of a last frame that is cut.
    """

    at: Callable[[bytes, int], Frame | None]
    mark: re.Pattern[bytes]
    header_bytes: int
    begins: Callable[[bytes, int], bool] = lambda block, at: False
    magic: bytes | None = None
    ends_whole: bool = False


def walk(file: Readable, position: int, form: FrameFormat) -> Iterator[tuple[int, Frame | None, bool]]:
    """The places of frames that follow one another: place, frame, whether it begins a file. The last has no frame."""
    block, block_at = b"", position
    while position + form.header_bytes <= file.size:
        if position + form.header_bytes > block_at + len(block):
            block, block_at = file.read_at(position, _BLOCK_BYTES), position
        found = form.at(block, position - block_at)
        yield position, found, form.begins(block, position - block_at)
        if found is None:
            return
        position += found.n_bytes


def find_runs(file: Readable, position: int, form: FrameFormat) -> Iterator[Run]:
    """The runs from `position` on."""
    n_tries = _MOST_TRIES
    while position < file.size:
        first, n_tries = _next(file, position, form, n_tries)
        if first is None:
            return
        run = _run(file, first, form)
        if run.n_frames >= _FRAMES_IN_A_ROW or run.end >= file.size or first == position:
            yield run
        position = run.end


def _run(file: Readable, start: int, form: FrameFormat) -> Run:
    kind, n_frames, n_samples, rate, end = -1, 0, 0, 1, start
    for position, frame, begins in walk(file, start, form):
        if frame is None or (n_frames and (frame.kind != kind or begins)):
            break
        kind, rate = frame.kind, frame.sample_rate
        n_frames += 1
        n_samples += frame.n_samples
        end = position + frame.n_bytes
    return Run(start, min(end, file.size), n_frames, n_samples, rate, end > file.size)


def _next(file: Readable, start: int, form: FrameFormat, n_tries: int) -> tuple[int | None, int]:
    """Where, from `start` on, several frames follow one another, and how many tries are left."""
    while start + form.header_bytes <= file.size:
        block = file.read_at(start, _BLOCK_BYTES)
        for match in form.mark.finditer(block):
            at = match.start()
            if len(block) - at < _BLOCK_BYTES // 4 and at and start + len(block) < file.size:
                start += at  # too near to the end of the block to see what follows
                break
            if begins_run(block, at, form):
                return start + at, n_tries
            n_tries -= 1
            if not n_tries:
                return None, 0
        else:
            start += len(block)
    return None, n_tries


def begins_run(data: bytes, at: int, form: FrameFormat) -> bool:
    """Whether several frames follow one another from `at`, as far as the data goes."""
    for n in range(_FRAMES_IN_A_ROW):
        if at + form.header_bytes > len(data):
            return n > 0
        found = form.at(data, at)
        if found is None:
            return False
        at += found.n_bytes
    return True


def pieces(file: Readable, form: FrameFormat, *, start: int, prefix: bytes = b"") -> tuple[list[Piece], int]:
    """The runs of a file from `start` on as pieces, and how many bytes of missing sound, not tags, follow the last.

    The first piece begins with the file. `prefix` is what the others need before them.
    """
    found: list[Piece] = []
    before: Run | None = None
    for run in find_runs(file, start, form):
        if before is None:
            found.append(Piece(0, run.end))
        else:
            lost_s = 0.0 if run.start == before.end else _lost_s(file, before, run, form)
            found.append(Piece(run.start, run.end, prefix, goes_on=lost_s > 0, lost_s=lost_s))
        before = run
    if before is None:
        return [], 0
    if before.ends_inside and form.ends_whole:
        return found, 1
    rest = file.size - before.end
    is_tag = _TAGS.search(file.read_at(before.end, _TAG_BYTES)) is not None
    return found, 0 if is_tag or rest * _seconds_per_byte(before) < _MISSING_S else rest


def _lost_s(file: Readable, before: Run, run: Run, form: FrameFormat) -> float:
    """How long what lay between two runs was: not at all where it is tags, or empty before the start of a file."""
    between = file.read_at(before.end, min(run.start - before.end, _TAG_BYTES))
    head = file.read_at(run.start, 256)
    if (
        between == form.magic
        or _TAGS.search(between)
        or (form.begins(head, 0) and is_blank(file, before.end, run.start))
    ):
        return 0.0
    return (run.start - before.end) * _seconds_per_byte(before)


def _seconds_per_byte(run: Run) -> float:
    return run.n_samples / run.sample_rate / (run.end - run.start)
