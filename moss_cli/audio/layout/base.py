"""What the modules of this folder have in common: what they read from, and what they find."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

MAX_CHUNKS = 10_000  # of one file; a walk through more is a file made to waste time
_BLOCK_BYTES = 1 << 20


class Readable(Protocol):
    """Bytes that can be read anywhere: a file, or a part of one."""

    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int: ...
    def read_at(self, offset: int, n_bytes: int) -> bytes: ...


@dataclass(frozen=True)
class Edit:
    """From `media_s` of a track on, `length_s` of it are played at `at_s`."""

    at_s: float
    media_s: float
    length_s: float


@dataclass(frozen=True)
class FileLayout:
    """`cut`: the file has fewer bytes than its headers promise. `share`: which part of the promised audio is there.

    `whole_stream` is False for files that libsndfile reads only in part: a length that it would have to guess (it stops
    there), a missing end, a count that says too little, damage that ffmpeg gets over. `has_index` is False for MP4
    without moov, `fragmented` True for MP4 in fragments. `counted` is True for MP3 whose first frame says how many
    there are. `n_samples` is the length per channel as counted here, where the header's own is not to be relied on.
    `end` is where another file may follow. `patches`, (offset, bytes), put right what the header says too little of, or
    `header` stands in the place of its first `header_bytes`. `begins_s` is the time of its first sample, where ffmpeg
    does not say; `edits` what an MP4 plays, where ffmpeg would play something else.
    """

    cut: bool = False
    share: float | None = None
    whole_stream: bool = True
    has_index: bool = True
    fragmented: bool = False
    counted: bool = False
    n_samples: int | None = None
    end: int | None = None
    patches: tuple[tuple[int, bytes], ...] = ()
    header: bytes = b""
    header_bytes: int = 0
    begins_s: float | None = None
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True)
class Piece:
    """Bytes start..end of a file that one decoder reads, behind `prefix` (the headers that they need).

    `goes_on`: it continues the piece before it, with damage between them; `lost_s` is how much that has cost, or where
    that is None `begins_s` says at what time of the file it begins; where that is None too, the timestamps say.
    Otherwise it is a file of its own that was appended.
    """

    start: int
    end: int
    prefix: bytes = b""
    goes_on: bool = False
    lost_s: float | None = 0.0
    begins_s: float | None = None


def promise(file: Readable, start: int, size: int | None) -> FileLayout:
    """A run of `size` bytes of audio from `start`; None and beyond 2**62 are what writers to a pipe put there."""
    if size is None or size == 0 or size >= 1 << 62 or start + size <= file.size:
        return FileLayout()
    return FileLayout(cut=True, share=max(file.size - start, 0) / size)


def is_blank(file: Readable, start: int, end: int) -> bool:
    """Whether there is nothing but zeros, spaces and line ends from `start` to `end`."""
    while start < end:
        block = file.read_at(start, min(_BLOCK_BYTES, end - start))
        if not block:
            return True
        if block.strip(b"\0 \r\n"):
            return False
        start += len(block)
    return True


def found(file: Readable, pattern: bytes, start: int = 0) -> Iterator[int]:
    """Where `pattern` stands in a file, from `start` on."""
    while start < file.size:
        block = file.read_at(start, _BLOCK_BYTES + len(pattern) - 1)
        at = block.find(pattern)
        while at >= 0:
            yield start + at
            at = block.find(pattern, at + 1)
        start += _BLOCK_BYTES
