"""How long an MP3 without a count of its frames is: by walking from frame to frame, header by header.

What ffmpeg and libsndfile say of such a file they guess from its size and its first frame's bit rate, which is wrong
where the rate varies. Source: ISO/IEC 11172-3 and 13818-3, layer III.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from moss_cli.audio.source import OpenedFile

_KBIT_PER_S = {
    3: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # MPEG 1
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    0: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG 2.5
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_COUNTS = re.compile(rb"Xing|Info|VBRI")  # in the first frame, which then is no audio
_TAGS = (b"TAG", b"ID3", b"APETAGEX", b"LYRICSBEGIN")
_BLOCK_BYTES = 1 << 20
_SEARCHED_BYTES = 1 << 13  # a recording of a broadcast begins within a frame, and no frame is a quarter as long
_FRAMES_IN_A_ROW = 3  # by which a first one is told from bytes that look like it


def count_samples(file: OpenedFile) -> int | None:
    """Samples of the frames between the tags of an MP3. A last one that is cut counts: decoders make a whole one of it.

    None where something else lies between them, the sample rate changes, or a count that stands in the first frame is
    not to be relied on. AudioError where the file cannot be read.
    """
    start = after_id3(file, 0)
    head = file.read_at(start, _SEARCHED_BYTES)
    places = (match.start() for match in re.finditer(rb"\xff(?=[\xe0-\xff])", head))
    first = next((at for at in places if _begins(head, at)), None)
    if first is None or _COUNTS.search(head, first, first + 256):
        return None
    rate, frame_samples, _ = _FRAMES[_key(head, first)]
    n_frames = 0
    for position, found in _walk(file, start + first):
        if found is None or found[0] != rate:
            return n_frames * frame_samples if file.read_at(position, 11).startswith(_TAGS) else None
        n_frames += 1
    return n_frames * frame_samples


def is_unbroken(file: OpenedFile, start: int, end: int) -> bool:
    """Whether frame follows frame from the first, at `start`, to `end`. AudioError where the file cannot be read."""
    reached = start
    for position, found in _walk(file, start):
        if position >= end or found is None:
            break
        reached = position + found[2]
    return reached == end


def _walk(file: OpenedFile, position: int) -> Iterator[tuple[int, tuple[int, int, int] | None]]:
    """The places of frames that follow one another, each with what `_frame` says; the last is where there is none."""
    block, block_at = b"", position
    while position + 4 <= file.size:
        if position + 4 > block_at + len(block):
            block, block_at = file.read_at(position, _BLOCK_BYTES), position
        found = _frame(block, position - block_at)
        yield position, found
        if found is None:
            return
        position += found[2]


def after_id3(file: OpenedFile, start: int) -> int:
    """Where what follows the ID3 tags at `start` begins."""
    while (tag := file.read_at(start, 10))[:3] == b"ID3" and len(tag) == 10:
        start += 10 + sum((byte & 127) << shift for byte, shift in zip(tag[6:], (21, 14, 7, 0), strict=True))
    return start


def _begins(data: bytes, at: int) -> bool:
    """Whether several frames follow one another from `at`, as far as the data goes."""
    for n in range(_FRAMES_IN_A_ROW):
        if at + 4 > len(data):
            return n > 0
        found = _frame(data, at)
        if found is None:
            return False
        at += found[2]
    return True


def _key(data: bytes, at: int) -> int:
    """What of a header says how long its frame is: without protection, private bit, channels and the like."""
    return (data[at + 1] & 0x1E) << 8 | (data[at + 2] & 0xFE)


def _frame(data: bytes, at: int) -> tuple[int, int, int] | None:
    """Sample rate, samples and bytes of the frame at `at`; None where there is none."""
    if data[at] != 0xFF or data[at + 1] & 0xE0 != 0xE0:
        return None
    return _FRAMES.get(_key(data, at))


def _frames() -> dict[int, tuple[int, int, int]]:
    found = {}
    for version, rates in _RATES.items():
        n_samples = 1152 if version == 3 else 576
        for rate_code, rate in enumerate(rates):
            for bit_code, kbit_per_s in enumerate(_KBIT_PER_S[version], start=1):
                for padding in (0, 1):
                    key = (version << 3 | 0b01 << 1) << 8 | bit_code << 4 | rate_code << 2 | padding << 1
                    found[key] = (rate, n_samples, n_samples // 8 * 1000 * kbit_per_s // rate + padding)
    return found


_FRAMES = _frames()  # by `_key`
