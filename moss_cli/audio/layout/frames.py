"""Raw AAC (ADTS), AC-3 and AMR: frames with a header each. Sources: ISO/IEC 13818-7, ATSC A/52, RFC 4867."""

from __future__ import annotations

import re

from moss_cli.audio.layout.base import Piece, Readable
from moss_cli.audio.layout.mpeg import after_id3
from moss_cli.audio.layout.runs import Frame, FrameFormat, pieces

_ADTS_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_AC3_RATES = (48000, 44100, 32000)
_AC3_KBIT_PER_S = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_AC3_VERSION, _EAC3_VERSION = 10, 16
_AMR_BYTES = {False: (13, 14, 16, 18, 20, 21, 27, 32, 6), True: (18, 24, 33, 37, 41, 47, 51, 59, 61, 6)}  # narrow, wide
_AMR_EMPTY = (14, 15)  # speech lost, nothing sent
_AMR_NARROW, _AMR_WIDE = b"#!AMR\n", b"#!AMR-WB\n"


def adts_pieces(file: Readable) -> tuple[list[Piece], int]:
    return pieces(file, ADTS, start=after_id3(file, 0))


def ac3_pieces(file: Readable) -> tuple[list[Piece], int]:
    return pieces(file, AC3, start=0)


def amr_pieces(file: Readable) -> tuple[list[Piece], int]:
    magic = next((one for one in (_AMR_WIDE, _AMR_NARROW) if file.read_at(0, 9).startswith(one)), None)
    if magic is None:
        return [], 0
    return pieces(file, _amr(magic), start=len(magic), prefix=magic)


def is_adts(head: bytes) -> bool:
    return len(head) >= 7 and _adts_frame(head, 0) is not None


def _adts_frame(data: bytes, at: int) -> Frame | None:
    if data[at] != 0xFF or data[at + 1] & 0xF6 != 0xF0:
        return None
    rate_code = data[at + 2] >> 2 & 15
    n_bytes = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
    if rate_code >= len(_ADTS_RATES) or n_bytes < 7:
        return None
    channels = (data[at + 2] & 1) << 2 | data[at + 3] >> 6
    rate = _ADTS_RATES[rate_code]
    return Frame(rate << 3 | channels, rate, 1024 * ((data[at + 6] & 3) + 1), n_bytes)


ADTS = FrameFormat(_adts_frame, re.compile(rb"\xff(?=[\xf0\xf1\xf8\xf9])"), header_bytes=7)


def is_ac3(head: bytes) -> bool:
    return len(head) >= 6 and _ac3_frame(head, 0) is not None


def _ac3_frame(data: bytes, at: int) -> Frame | None:
    """A frame of AC-3 or, by its version, of E-AC-3."""
    if data[at : at + 2] != b"\x0b\x77" or data[at + 5] >> 3 > _EAC3_VERSION:
        return None
    rate_code, size_code = data[at + 4] >> 6, data[at + 4] & 63
    if data[at + 5] >> 3 > _AC3_VERSION:
        rate = (
            _AC3_RATES[rate_code]
            if rate_code < 3
            else _AC3_RATES[(data[at + 4] >> 4) & 3 if size_code < 48 else 0] // 2
        )
        n_blocks = 6 if rate_code == 3 else (1, 2, 3, 6)[(data[at + 4] >> 4) & 3]
        n_bytes = 2 * (((data[at + 2] & 7) << 8 | data[at + 3]) + 1)
        return Frame(rate, rate, 256 * n_blocks, n_bytes)
    if rate_code == 3 or size_code >= 2 * len(_AC3_KBIT_PER_S):
        return None
    rate, kbit_per_s = _AC3_RATES[rate_code], _AC3_KBIT_PER_S[size_code // 2]
    n_words = kbit_per_s * 1000 * 1536 // rate // 16 + (size_code & 1 if rate == 44100 else 0)
    return Frame(rate, rate, 1536, 2 * n_words)


AC3 = FrameFormat(_ac3_frame, re.compile(rb"\x0b\x77"), header_bytes=6, ends_whole=True)


def _amr(magic: bytes) -> FrameFormat:
    """Frames of 20 ms. One that is marked as damaged is no frame here, nor is the start of another file."""
    wide = magic == _AMR_WIDE
    sizes, rate = _AMR_BYTES[wide], 16000 if wide else 8000

    def frame(data: bytes, at: int) -> Frame | None:
        kind = data[at] >> 3 & 15
        if data[at] & 0x83 or (not data[at] & 4 and kind < len(sizes)):  # padding bits, and the quality bit
            return None
        if kind < len(sizes):
            return Frame(0, rate, rate // 50, sizes[kind])
        return Frame(0, rate, rate // 50, 1) if kind in _AMR_EMPTY else None

    return FrameFormat(frame, re.compile(rb"[\x04-\x7c]"), header_bytes=1, magic=magic)
