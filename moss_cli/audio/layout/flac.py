"""Native FLAC: the count in its header against the number in its last frame (RFC 9639)."""

from __future__ import annotations

import re

from moss_cli.audio.layout.base import FileLayout, Readable, found

_TAIL_BYTES = 1 << 20  # in which the last frame is looked for: the longest has 65535 samples of 8 channels
_STREAMINFO = b"fLaC\0\0\0\x22"
_MARKS = re.compile(rb"\xff[\xf8\xf9]")
_SIZES = {1: 192, **{k: 144 << k for k in range(2, 6)}, **{k: 1 << k for k in range(8, 16)}}  # by the code in a frame


def flac(file: Readable, start: int) -> FileLayout:
    """The layout of a stream that begins at `start`, behind tags or junk."""
    info = file.read_at(start, 42)
    end = next(found(file, _STREAMINFO, start + 4), None)
    if info[:4] != b"fLaC" or len(info) < 42:
        return FileLayout(end=end)
    stated = int.from_bytes(info[21:26], "big") & ((1 << 36) - 1)
    if end is not None or not stated:
        return FileLayout(end=end)
    held = _samples_held(file, info)
    if held is None or held <= stated:
        return FileLayout()
    return FileLayout(whole_stream=False, n_samples=held)


def flac_start(file: Readable) -> int | None:
    """Where FLAC begins in a file that begins with something else."""
    at = file.read_at(0, 1 << 20).find(_STREAMINFO)
    return at if at > 0 else None


def _samples_held(file: Readable, info: bytes) -> int | None:
    """The number of the sample behind the last frame, by that frame's own header; None where there is none."""
    tail = file.read_at(max(file.size - _TAIL_BYTES, 0), _TAIL_BYTES)
    common = int.from_bytes(info[10:12], "big")
    for mark in reversed([match.start() for match in _MARKS.finditer(tail)]):
        span = frame_span(tail[mark : mark + 16], common)
        if span is not None:
            return span[1]
    return None


def frame_span(header: bytes, common_size: int) -> tuple[int, int] | None:
    """The numbers of the first sample of the frame with this header, and of the one behind it; None: it is not one."""
    if len(header) < 16:
        return None
    code = header[2] >> 4
    width = 1 if header[4] < 0x80 else 8 - (header[4] ^ 0xFF).bit_length()
    if not code or width == 8 or header[3] & 1 or (header[4] >= 0x80 and width < 2):
        return None
    number = header[4] & (0x7F if width == 1 else (1 << (7 - width)) - 1)
    for byte in header[5 : 4 + width]:
        number = number << 6 | (byte & 0x3F)
    at = 4 + width
    if code in (6, 7):
        n_samples = int.from_bytes(header[at : at + code - 5], "big") + 1
        at += code - 5
    else:
        n_samples = _SIZES[code]
    at += {12: 1, 13: 2, 14: 2}.get(header[2] & 15, 0)
    if at > 15 or _crc8(header[:at]) != header[at]:
        return None
    first = number if header[1] & 1 else number * common_size
    return first, first + n_samples


def _crc8(data: bytes) -> int:
    """CRC of polynomial x^8 + x^2 + x + 1."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ 0x07 if value & 0x80 else value << 1) & 0xFF
    return value
