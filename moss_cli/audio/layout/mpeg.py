"""MP3: how long it is, whether its count of frames is right, and whether several were joined.

What ffmpeg and libsndfile say of a file without a count they guess from its size and its first frame's bit rate, which
is wrong where the rate varies. Sources: ISO/IEC 11172-3 and 13818-3, layer III; the Xing/Info tag as LAME writes it,
and the VBRI tag of Fraunhofer's encoder.
"""

from __future__ import annotations

import re
from functools import cache

from moss_cli.audio.layout.base import FileLayout, Piece, Readable
from moss_cli.audio.layout.runs import Frame, FrameFormat, begins_run, pieces, walk

_KBIT_PER_S = {
    3: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # MPEG 1
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    0: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG 2.5
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_COUNTS = re.compile(rb"Xing|Info|VBRI")  # in the first frame, which then is no audio
_COUNT_AT = 40  # where the tag stands at the latest
_TAGS = (b"TAG", b"ID3", b"APETAGEX", b"LYRICSBEGIN")
_SEARCHED_BYTES = 1 << 13  # a recording of a broadcast begins within a frame, and no frame is a quarter as long
_TAG_ROOM = 1 << 16  # bytes of tags behind the last frame
_MISCOUNTED = 0.01  # of the frames: writers differ in whether they count the one with the count


def mp3(file: Readable) -> FileLayout:
    """Whole only with a Xing/Info tag that counts frames and bytes rightly, and nothing but tags behind those bytes."""
    start = after_id3(file, 0)
    head = file.read_at(start, 256)
    frame = _frame(head, 0) if len(head) >= 4 else None
    if frame is None:
        return FileLayout(whole_stream=start == 0, n_samples=count_samples(file))
    tag = _COUNTS.search(head, 0, _COUNT_AT)
    fields = head[tag.end() :] if tag else b""
    if tag and tag[0] == b"VBRI" and len(fields) >= 14:
        return _checked(file, start, frame, int.from_bytes(fields[10:14], "big"), int.from_bytes(fields[6:10], "big"))
    if len(fields) < 12 or fields[3] & 3 != 3:
        return FileLayout(whole_stream=False, n_samples=count_samples(file))
    return _checked(file, start, frame, int.from_bytes(fields[4:8], "big"), int.from_bytes(fields[8:12], "big"))


def _checked(file: Readable, start: int, frame: Frame, stated: int, n_bytes: int) -> FileLayout:
    """What a count of `stated` frames in `n_bytes`, in the first frame, is worth."""
    end, n_frames, reached = start + n_bytes, -1, start
    for position, found, _ in walk(file, start, MP3):
        if found is None or found.sample_rate != frame.sample_rate:
            break
        n_frames += 1
        reached = position + found.n_bytes
    follows = file.read_at(end, 4)
    appended = reached > end or follows[:3] == b"ID3"
    few = _MISCOUNTED * n_frames + 1
    if stated < n_frames - few:
        return FileLayout(cut=end > file.size, whole_stream=False, n_samples=n_frames * frame.n_samples)
    if stated > n_frames + few and end <= file.size <= reached + _TAG_ROOM:
        return FileLayout(cut=True, share=n_frames / stated, whole_stream=False, counted=True)
    return FileLayout(cut=end > file.size, whole_stream=reached == end and not appended, counted=not appended)


def mp3_pieces(file: Readable) -> tuple[list[Piece], int]:
    """The MP3s that a file was joined from, and what goes on after damage; and the bytes of damage behind them."""
    return pieces(file, MP3, start=after_id3(file, 0))


def count_samples(file: Readable) -> int | None:
    """Samples of the frames between the tags of an MP3. A last one that is cut counts: decoders make a whole one of it.

    None where something else lies between them, the sample rate changes, or a count that stands in the first frame is
    not to be relied on. AudioError where the file cannot be read.
    """
    start = after_id3(file, 0)
    head = file.read_at(start, _SEARCHED_BYTES)
    places = (match.start() for match in MP3.mark.finditer(head))
    first = next((at for at in places if begins_run(head, at, MP3)), None)
    if first is None or _COUNTS.search(head, first, first + 256):
        return None
    n_samples, rate = 0, _frame(head, first).sample_rate  # type: ignore[union-attr]
    for position, found, _ in walk(file, start + first, MP3):
        if found is None or found.sample_rate != rate:
            return n_samples if file.read_at(position, 11).startswith(_TAGS) else None
        n_samples += found.n_samples
    return n_samples


def after_id3(file: Readable, start: int) -> int:
    """Where what follows the ID3 tags at `start` begins."""
    while (tag := file.read_at(start, 10))[:3] == b"ID3" and len(tag) == 10:
        start += 10 + sum((byte & 127) << shift for byte, shift in zip(tag[6:], (21, 14, 7, 0), strict=True))
    return start


def _key(data: bytes, at: int) -> int:
    """What of a header says how long its frame is: without protection, private bit, channels and the like."""
    return (data[at + 1] & 0x1E) << 8 | (data[at + 2] & 0xFE)


def _frame(data: bytes, at: int) -> Frame | None:
    """The frame at `at`; None where there is none."""
    if data[at] != 0xFF or data[at + 1] & 0xE0 != 0xE0:
        return None
    return _frames().get(_key(data, at))


def _counts(data: bytes, at: int) -> bool:
    """Whether the frame at `at` is the first of a file, with a count."""
    return _COUNTS.search(data, at + 4, at + _COUNT_AT) is not None


@cache
def _frames() -> dict[int, Frame]:
    """By `_key`."""
    found = {}
    for version, rates in _RATES.items():
        n_samples = 1152 if version == 3 else 576
        for rate_code, rate in enumerate(rates):
            for bit_code, kbit_per_s in enumerate(_KBIT_PER_S[version], start=1):
                for padding in (0, 1):
                    key = (version << 3 | 0b01 << 1) << 8 | bit_code << 4 | rate_code << 2 | padding << 1
                    n_bytes = n_samples // 8 * 1000 * kbit_per_s // rate + padding
                    found[key] = Frame(rate, rate, n_samples, n_bytes)
    return found


MP3 = FrameFormat(_frame, re.compile(rb"\xff(?=[\xe0-\xff])"), header_bytes=4, begins=_counts)
