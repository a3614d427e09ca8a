"""Matroska and WebM: elements within elements, each with its size (RFC 9559)."""

from __future__ import annotations

from moss_cli.audio.layout.base import FileLayout, Readable, found, promise

_EBML = b"\x1aE\xdf\xa3"  # what a file begins with
_MAX_ELEMENTS = 100_000  # between two packets of audio: minutes of video


def matroska(file: Readable) -> FileLayout:
    size, width = _vint(file.read_at(4, 8))
    start = 4 + width + (size or 0)  # past the EBML header, to the segment
    segment = file.read_at(start, 12)
    if segment[:4] != b"\x18\x53\x80\x67":
        return FileLayout()
    size, width = _vint(segment[4:12])
    start += 4 + width
    if size is None:  # a live recording: it ends where another begins
        return FileLayout(end=next(found(file, _EBML, start), None))
    return FileLayout(
        cut=promise(file, start, size).cut, end=start + size if file.read_at(start + size, 4) == _EBML else None
    )


def blocks_join(file: Readable, one: int, other: int) -> bool:
    """Whether a Matroska file leads from the block with its content at `one` to that with its content at `other`.

    Where it does not, what lies between them is damaged.
    """
    return any(_elements_lead(file, end, other) for end in _block_ends(file, one))


def block_is_last(file: Readable, content: int) -> bool:
    """Whether nothing but elements that are whole follow the block with its content at `content`."""
    return any(end == file.size or _elements_lead(file, end, file.size) for end in _block_ends(file, content))


def _block_ends(file: Readable, one: int) -> list[int]:
    """Where a block with its content at `one` may end."""
    before = file.read_at(max(one - 9, 0), min(one, 9))
    ends = []
    for width in range(1, len(before)):  # what stands before the content: the ID of a block, and the content's size
        size, its_width = _vint(before[-width:])
        if before[-width - 1] in (0xA1, 0xA3) and its_width == width and size is not None:
            ends.append(one + size)
    return ends


def _elements_lead(file: Readable, start: int, end: int) -> bool:
    """Whether the elements of a Matroska file from `start`, the end of one, lead to one with its content at `end`.

    The end of the file is one that they may lead to.
    """
    for _ in range(_MAX_ELEMENTS):
        if start == end == file.size:
            return True
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
