"""Containers of plain samples: how many bytes of audio they promise, and how many there are.

Sources: the RIFF/RF64 (EBU Tech 3306), AIFF, 8SVX, CAF, W64, AU, NIST SPHERE, AVR, VOC and MAT-file formats.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Literal

from moss_cli.audio.layout.base import MAX_CHUNKS, FileLayout, Readable, is_blank, promise

_Order = Literal["little", "big"]
_LEAST_EXTRA = 1 << 12  # bytes behind the audio that are worth a look; chosen
_MAT4_BYTES = (8, 4, 4, 2, 2, 1)  # of a number, by its kind
_CAF_HEADER, _W64_HEADER = 12, 24  # of a chunk; that of W64 counts itself


def riff(file: Readable) -> FileLayout:
    head = file.read_at(0, 12)
    order: _Order = "big" if head[:4] == b"RIFX" else "little"
    stated = int.from_bytes(head[4:8], order)
    if head[8:12] == b"AVI ":
        return FileLayout(cut=promise(file, 8, _unless_endless(stated)).cut, end=_end_of_avi(file))
    wide_at = wide_size = None  # RF64 has the true size in ds64
    for name, start, size in _chunks(file, 12, order):
        if name == b"ds64":
            wide_at, wide_size = start + 8, int.from_bytes(file.read_at(start + 8, 8), "little")
        if name != b"data":
            continue
        if size == 0xFFFFFFFF and wide_at is not None:
            if not wide_size:
                return FileLayout(patches=((wide_at, (file.size - start).to_bytes(8, "little")),))
            wide = ((wide_at, _u64(file.size - start)),)
            return _whole(file, start, wide_size, file_magic=(head[:4], b"WAVE"), patches=wide)
        patches = ((4, b"\xff" * 4), (start - 4, b"\xff" * 4))
        whole = _whole(file, start, _unless_endless(size), file_magic=(b"RIFF", b"WAVE"), patches=patches)
        return _as_rf64(file, start) if whole.patches and file.size >= 1 << 32 else whole
    return FileLayout()


def _as_rf64(file: Readable, start: int) -> FileLayout:
    """The layout of a WAV with more audio, from `start` on, than its sizes can say."""
    sizes = _u64(file.size) + _u64(file.size - start) + bytes(12)
    head = b"RF64" + b"\xff" * 4 + b"WAVEds64" + len(sizes).to_bytes(4, "little") + sizes
    head += file.read_at(12, start - 20) + b"data" + b"\xff" * 4
    return FileLayout(header=head, header_bytes=start)


def _end_of_avi(file: Readable) -> int | None:
    """Where the last RIFF of one AVI ends: OpenDML goes on in more of them, named AVIX."""
    offset = 0
    for _ in range(MAX_CHUNKS):
        header = file.read_at(offset, 12)
        if header[:4] != b"RIFF" or (offset and header[8:12] != b"AVIX"):
            break
        offset += 8 + int.from_bytes(header[4:8], "little")
        offset += offset & 1
    return offset if 0 < offset < file.size else None


def iff(file: Readable) -> FileLayout:
    counted: tuple[tuple[int, bytes], ...] = ()
    for name, start, size in _chunks(file, 12, "big"):
        if name == b"COMM":
            counted = ((start + 2, b"\x7f\xff\xff\xff"),)
        if name in (b"SSND", b"BODY"):
            patches = ((4, _u32(file.size - 8)), (start - 4, _u32(file.size - start)), *counted)
            magic = (b"FORM", file.read_at(8, 4))
            return _whole(file, start, _unless_endless(size), file_magic=magic, patches=patches)
    return FileLayout()


def au(file: Readable) -> FileLayout:
    head = file.read_at(0, 12)
    order = ">" if head[:1] == b"." else "<"
    start, size = struct.unpack(f"{order}II", head[4:12].ljust(8, b"\0"))
    patches = ((8, b"\xff" * 4),)
    known = None if size == 0xFFFFFFFF else size
    return _whole(file, start, known, file_magic=(head[:4], b""), patches=patches, has_chunks=False)


def caf(file: Readable) -> FileLayout:
    offset = 8
    for _ in range(MAX_CHUNKS):
        header = file.read_at(offset, _CAF_HEADER)
        if len(header) < _CAF_HEADER:
            break
        size = int.from_bytes(header[4:], "big", signed=True)
        if header[:4] == b"data":
            patches = ((offset + 4, b"\xff" * 8),)
            return _whole(file, offset + 12, None if size < 0 else size, file_magic=(b"caff", b""), patches=patches)
        if size < 0:
            break
        offset += _CAF_HEADER + size
    return FileLayout()


def wave64(file: Readable) -> FileLayout:
    offset = 40
    for _ in range(MAX_CHUNKS):
        header = file.read_at(offset, _W64_HEADER)
        size = int.from_bytes(header[16:], "little")
        if len(header) < _W64_HEADER or size < _W64_HEADER:
            break
        start = offset + _W64_HEADER
        if header[:4] == b"data":
            patches = ((16, _u64(file.size)), (offset + 16, _u64(file.size - offset)))
            return _whole(file, start, size - _W64_HEADER, file_magic=(b"riff", b""), patches=patches)
        offset += -(-size // 8) * 8
    return FileLayout()


def _whole(
    file: Readable,
    start: int,
    size: int | None,
    *,
    file_magic: tuple[bytes, bytes],
    patches: tuple[tuple[int, bytes], ...],
    has_chunks: bool = True,
) -> FileLayout:
    """Audio of `size` bytes from `start`. Where more than that follows, and is neither chunks nor another file: to the
    end, by `patches`, as a recorder leaves it that died after it had last noted the size."""
    if size is None or start + size > file.size:
        return promise(file, start, size)
    end = start + size
    wraps = file.size > 1 << 32 and size < 1 << 32 and (file.size - start - size) % (1 << 32) < _LEAST_EXTRA
    if not wraps:
        if file.size - end < _LEAST_EXTRA:
            return FileLayout()
        follows = next(_at for _at in range(end, end + 17) if _at == end + 16 or file.read_at(_at, 1) != b"\0")
        for at in {end, end + (end & 1), follows}:
            head = file.read_at(at, 12)
            if head[:4] == file_magic[0] and (not file_magic[1] or head[8:12] == file_magic[1]):
                return FileLayout(end=at)
            if has_chunks and _is_chunk(file, at, file_magic[0]):
                return FileLayout()
        if is_blank(file, end, file.size) or head[:3] in (b"ID3", b"TAG"):
            return FileLayout()
    return FileLayout(patches=patches)


def _is_chunk(file: Readable, at: int, magic: bytes) -> bool:
    head = file.read_at(at, 24)
    if not re.fullmatch(rb"[ -~]{4}", head[:4]):
        return False
    if magic == b"riff":
        size = int.from_bytes(head[16:24], "little")
        return _W64_HEADER <= size <= file.size - at + 8
    if magic == b"caff":
        return 0 <= int.from_bytes(head[4:12], "big") <= file.size - at
    return int.from_bytes(head[4:8], "big" if magic == b"FORM" else "little") <= file.size - at


def _u32(value: int) -> bytes:
    return min(value, 0x7FFFFFFF).to_bytes(4, "big")


def _u64(value: int) -> bytes:
    return value.to_bytes(8, "little")


def _unless_endless(size: int) -> int | None:
    """None for the sizes that ffmpeg (0xFFFFFFFF), sox (0x7FFFF000) and arecord (0x80000000) write to a pipe."""
    return None if size >= 0xFFFFF000 or 0x7FFFF000 <= size <= 0x80000100 or size == 0 else size


def _chunks(file: Readable, offset: int, order: _Order) -> Iterator[tuple[bytes, int, int]]:
    """The chunks of a RIFF or IFF file: name, where the content starts, its size."""
    for _ in range(MAX_CHUNKS):
        header = file.read_at(offset, 8)
        if len(header) < 8:
            return
        size = int.from_bytes(header[4:], order)
        yield header[:4], offset + 8, size
        offset += 8 + size + (size & 1)


def nist(file: Readable) -> FileLayout:
    head = file.read_at(0, 1024)
    fields = {m[1]: int(m[2]) for m in re.finditer(rb"(sample_\w+|channel_count) -i (\d{1,18})", head)}
    n_values = fields.get(b"sample_count", 0) * fields.get(b"channel_count", 1)
    start = re.match(rb"NIST_1A\s+(\d{1,6})", head)
    if start is None or b"shorten" in head:
        return FileLayout()
    return promise(file, int(start[1]), n_values * fields.get(b"sample_n_bytes", 2))


def avr(file: Readable) -> FileLayout:
    head = file.read_at(0, 128)
    if len(head) < 128:
        return FileLayout()
    stereo, bits, n_frames = struct.unpack(">hh", head[12:16]) + struct.unpack(">I", head[26:30])
    return promise(file, 128, n_frames * (2 if stereo else 1) * (bits // 8))


def voc(file: Readable) -> FileLayout:
    offset = int.from_bytes(file.read_at(20, 2), "little")
    for _ in range(MAX_CHUNKS):
        header = file.read_at(offset, 4)
        if len(header) < 4 or header[0] == 0:
            break
        size = int.from_bytes(header[1:], "little")
        if offset + 4 + size > file.size:
            return promise(file, offset + 4, size)
        offset += 4 + size
    return FileLayout()


def mat5(file: Readable) -> FileLayout:
    order: _Order = "little" if file.read_at(126, 2) == b"IM" else "big"
    offset = 128
    for _ in range(MAX_CHUNKS):
        header = file.read_at(offset, 8)
        size = int.from_bytes(header[4:], order)
        if len(header) < 8 or offset + size > file.size:  # libsndfile counts the 8 bytes of the element itself
            return promise(file, offset + 8, size) if len(header) == 8 else FileLayout()
        offset += 8 + size
    return FileLayout()


def is_mat4(head: bytes) -> bool:
    """A first matrix of one number that is called samplerate, as libsndfile writes it."""
    return head[20:30] == b"samplerate"


def mat4(file: Readable) -> FileLayout:
    order = "<" if file.read_at(0, 2) == b"\0\0" else ">"
    offset = 0
    for _ in range(2):
        header = file.read_at(offset, 20)
        if len(header) < 20:
            break
        kind, n_rows, n_columns, _, n_name = struct.unpack(f"{order}5I", header)
        size = n_rows * n_columns * _MAT4_BYTES[min(kind // 10 % 10, 5)]
        offset += 20 + n_name
        if offset + size > file.size:
            return promise(file, offset, size)
        offset += size
    return FileLayout()
