"""What a file's own headers say about its length, read without decoding.

libsndfile and ffmpeg silently read a file that was cut short as a shorter one. The containers say better: each promises
a number of bytes, and a file that has fewer was cut. Sources: the RIFF/RF64 (EBU Tech 3306), AIFF, CAF, W64, AU,
ISO BMFF, Matroska (RFC 9559), ASF and Ogg (RFC 3533) specifications, and the Xing/Info tag as LAME writes it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from moss_cli.audio.mpeg import after_id3, is_unbroken
from moss_cli.audio.source import OpenedFile

_MAX_CHUNKS = 10_000  # of one file; a walk through more is a file made to waste time
_MAX_ELEMENTS = 100_000  # between two packets of audio: minutes of video


@dataclass(frozen=True)
class HeaderInfo:
    """`cut`: the file has fewer bytes than its headers promise. `share`: which part of the promised audio is there.

    `whole_stream` is False for MP3 and Ogg that libsndfile reads only in part: a length that it would have to guess
    (it stops there), a second file appended to the first, a missing end, damage that ffmpeg gets over. `has_index` is
    False for MP4 without moov. `counted` is True for MP3 whose first frame says how many there are.
    """

    cut: bool = False
    share: float | None = None
    whole_stream: bool = True
    has_index: bool = True
    counted: bool = False


def read_headers(file: OpenedFile) -> HeaderInfo:
    """The layout of a file, by its content. AudioError where the file cannot be read."""
    head = file.read_at(0, 64)
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64"):
        return _riff(file, "big" if head[:4] == b"RIFX" else "little")
    if head[:4] == b"FORM" and head[8:11] == b"AIF":
        return _iff(file)
    if head[:4] == b"caff":
        return _caf(file)
    if head[:4] in (b".snd", b"dns."):
        start, size = struct.unpack(">II" if head[:1] == b"." else "<II", head[4:12].ljust(8, b"\0"))
        return _promise(file, start, None if size == 0xFFFFFFFF else size)
    if head[:4] == b"riff":
        return _wave64(file)
    if head[:3] == b"FLV":
        return _flv(file)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return _mp4(file)
    if head[:4] == b"\x1aE\xdf\xa3":
        return _matroska(head, file)
    if head[:4] == b"0&\xb2u":
        return _asf(file)
    if head[:4] == b"OggS":
        return _ogg(head, file)
    return _mp3(file)


def _promise(file: OpenedFile, start: int, size: int | None) -> HeaderInfo:
    """A run of `size` bytes of audio from `start`; None and beyond 2**62 are what writers to a pipe put there."""
    if size is None or size == 0 or size >= 1 << 62 or start + size <= file.size:
        return HeaderInfo()
    return HeaderInfo(cut=True, share=max(file.size - start, 0) / size)


def _riff(file: OpenedFile, order: Literal["little", "big"]) -> HeaderInfo:
    wide_size = None  # RF64 has the true size in ds64
    head = file.read_at(0, 12)
    if head[8:12] == b"AVI ":
        return HeaderInfo(cut=_promise(file, 8, _unless_endless(int.from_bytes(head[4:8], order))).cut)
    for name, start, size in _chunks(file, 12, order):
        if name == b"ds64":
            wide_size = int.from_bytes(file.read_at(start + 8, 8), "little")
        if name == b"data":
            if size == 0xFFFFFFFF and wide_size is not None:
                return _promise(file, start, wide_size)
            return _promise(file, start, _unless_endless(size))
    return HeaderInfo()


def _unless_endless(size: int) -> int | None:
    """None for the sizes that ffmpeg (0xFFFFFFFF), sox (0x7FFFF000) and arecord (0x80000000) write to a pipe."""
    return None if size >= 0xFFFFF000 or 0x7FFFF000 <= size <= 0x80000100 else size


def _iff(file: OpenedFile) -> HeaderInfo:
    for name, start, size in _chunks(file, 12, "big"):
        if name == b"SSND":
            return _promise(file, start, _unless_endless(size))
    return HeaderInfo()


def _chunks(file: OpenedFile, offset: int, order: Literal["little", "big"]) -> Iterator[tuple[bytes, int, int]]:
    """The chunks of a RIFF or IFF file: name, where the content starts, its size."""
    for _ in range(_MAX_CHUNKS):
        header = file.read_at(offset, 8)
        if len(header) < 8:
            return
        size = int.from_bytes(header[4:], order)
        yield header[:4], offset + 8, size
        offset += 8 + size + (size & 1)


def _caf(file: OpenedFile) -> HeaderInfo:
    offset = 8
    for _ in range(_MAX_CHUNKS):
        header = file.read_at(offset, 12)
        if len(header) < 12:
            break
        size = int.from_bytes(header[4:], "big", signed=True)
        if header[:4] == b"data":
            return _promise(file, offset + 12, None if size < 0 else size)
        if size < 0:
            break
        offset += 12 + size
    return HeaderInfo()


def _wave64(file: OpenedFile) -> HeaderInfo:
    offset = 40
    for _ in range(_MAX_CHUNKS):
        header = file.read_at(offset, 24)  # a GUID, and a size that counts this header
        size = int.from_bytes(header[16:], "little")
        if len(header) < 24 or size < 24:
            break
        if header[:4] == b"data":
            return _promise(file, offset + 24, size - 24)
        offset += -(-size // 8) * 8
    return HeaderInfo()


def _flv(file: OpenedFile) -> HeaderInfo:
    """Every tag is followed by its own length: at the end of a whole file, that leads back to a tag of this length."""
    length = int.from_bytes(file.read_at(file.size - 4, 4), "big")
    tag = file.read_at(max(file.size - 4 - length, 0), 11)
    return HeaderInfo(cut=length != 11 + int.from_bytes(tag[1:4], "big"))


def _mp4(file: OpenedFile) -> HeaderInfo:
    offset, has_index, cut = 0, False, False
    for _ in range(_MAX_CHUNKS):
        header = file.read_at(offset, 16)
        if len(header) < 8:
            cut = cut or len(header) > 0
            break
        size, name = int.from_bytes(header[:4], "big"), header[4:8]
        if size == 1:
            size = int.from_bytes(header[8:16], "big")
        has_index = has_index or name == b"moov"
        if size < 8:  # 0: to the end of the file; else not a box
            break
        offset += size
        cut = offset > file.size
    return HeaderInfo(cut=cut, has_index=has_index)


def _matroska(head: bytes, file: OpenedFile) -> HeaderInfo:
    size, width = _vint(head[4:12])
    start = 4 + width + (size or 0)  # past the EBML header, to the segment
    segment = file.read_at(start, 12)
    if segment[:4] != b"\x18\x53\x80\x67":
        return HeaderInfo()
    size, width = _vint(segment[4:12])
    return HeaderInfo(cut=_promise(file, start + 4 + width, size).cut)


def blocks_join(file: OpenedFile, one: int, other: int) -> bool:
    """Whether a Matroska file leads from the block with its content at `one` to that with its content at `other`.

    Where it does not, what lies between them is damaged.
    """
    before = file.read_at(max(one - 9, 0), min(one, 9))
    ends = []
    for width in range(1, len(before)):  # what stands before the content: the ID of a block, and the content's size
        size, found = _vint(before[-width:])
        if before[-width - 1] in (0xA1, 0xA3) and found == width and size is not None:
            ends.append(one + size)
    return any(_elements_lead(file, end, other) for end in ends)


def _elements_lead(file: OpenedFile, start: int, end: int) -> bool:
    """Whether the elements of a Matroska file from `start`, the end of one, lead to one with its content at `end`."""
    for _ in range(_MAX_ELEMENTS):
        header = file.read_at(start, 12)
        if not header or header[0] < 0x10:  # an ID has four bytes at most
            return False
        id_width = 9 - header[0].bit_length()
        size, width = _vint(header[id_width:])
        content = start + id_width + width
        if content >= end:
            return content == end
        if header[:id_width] in (b"\x1f\x43\xb6\x75", b"\xa0"):  # a cluster, a group of blocks: what is in it follows
            start = content
        elif size is None:
            return False
        else:
            start = content + size
    return True  # too much else lies between to say


def _vint(data: bytes) -> tuple[int | None, int]:
    """A variable-length integer of EBML and its width in bytes; None is the reserved "unknown"."""
    if not data or data[0] == 0:
        return None, 1
    width = 9 - data[0].bit_length()
    value = int.from_bytes(data[:width], "big") & ((1 << 7 * width) - 1)
    return (None if value == (1 << 7 * width) - 1 else value), width


def _asf(file: OpenedFile) -> HeaderInfo:
    header = file.read_at(0, 1 << 16)
    at = header.find(bytes.fromhex("A1DCAB8C47A9CF118EE400C00C205365"))  # the File Properties object
    if at < 0 or len(header) < at + 92 or header[at + 88] & 1:  # bit 0: a broadcast, whose size is not known
        return HeaderInfo()
    return HeaderInfo(cut=_promise(file, 0, int.from_bytes(header[at + 40 : at + 48], "little")).cut)


def _ogg(head: bytes, file: OpenedFile) -> HeaderInfo:
    """The last page of a whole stream says so; where it is of another stream, several were joined."""
    tail_at = max(file.size - (1 << 17), 0)  # a page has less than 64 KiB
    tail = file.read_at(tail_at, 1 << 17)
    at = tail.rfind(b"OggS")
    page = tail[at : at + 27]
    if at < 0 or len(page) < 27:
        return HeaderInfo(cut=True, whole_stream=False)
    segments = tail[at + 27 : at + 27 + page[26]]
    ends = at + 27 + page[26] + sum(segments) <= len(tail) and len(segments) == page[26]
    cut = not (ends and page[5] & 4)
    return HeaderInfo(cut=cut, whole_stream=not cut and page[14:18] == head[14:18])


def _mp3(file: OpenedFile) -> HeaderInfo:
    """Whole only with a Xing/Info tag that counts frames and bytes, and nothing but tags behind those bytes."""
    start = after_id3(file, 0)
    frame = file.read_at(start, 256)
    if not _is_mpeg_frame(frame):
        return HeaderInfo(whole_stream=start == 0)
    found = re.search(rb"Xing|Info", frame)
    fields = frame[found.end() :] if found else b""
    if len(fields) < 12 or fields[3] & 3 != 3:
        return HeaderInfo(whole_stream=False)
    end = start + int.from_bytes(fields[8:12], "big")
    follows = file.read_at(end, 4)
    appended = follows[:3] == b"ID3" or _is_mpeg_frame(follows)
    whole = end <= file.size and not appended and is_unbroken(file, start, end)
    return HeaderInfo(cut=end > file.size, whole_stream=whole, counted=not appended)


def _is_mpeg_frame(data: bytes) -> bool:
    return len(data) >= 4 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0 and data[1] & 6 != 0
