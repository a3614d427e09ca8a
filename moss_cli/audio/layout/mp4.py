"""MP4 and QuickTime: boxes, each with its size, and the edit list of a track (ISO/IEC 14496-12)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import pairwise

from moss_cli.audio.layout.base import MAX_CHUNKS, Edit, FileLayout, Readable

_MOST_EDITS = 1000
_MOST_BYTES = 1 << 16  # of a box that is read


def mp4(file: Readable) -> FileLayout:
    offset, seen, cut = 0, dict[bytes, int](), False
    for _ in range(MAX_CHUNKS):
        header = file.read_at(offset, 16)
        if len(header) < 8:
            cut = cut or len(header) > 0
            break
        size, name = int.from_bytes(header[:4], "big"), header[4:8]
        if name == b"ftyp" and b"moov" in seen:
            return FileLayout(end=offset, fragmented=b"moof" in seen)
        if size == 1:
            size = int.from_bytes(header[8:16], "big")
        seen.setdefault(name, offset)
        if size < 8:  # 0: to the end of the file; else not a box
            break
        offset += size
        cut = offset > file.size
    edits = _edits(file, seen[b"moov"]) if b"moov" in seen else ()
    return FileLayout(cut=cut, has_index=b"moov" in seen, fragmented=b"moof" in seen, edits=edits)


def _edits(file: Readable, moov: int) -> tuple[Edit, ...]:
    """What the only track of sound is made of, where nothing is played between two parts of it; else nothing.

    Of other lists ffmpeg makes the right thing.
    """
    start, end = moov + 8, moov + int.from_bytes(file.read_at(moov, 4), "big")
    movie_scale = 0
    found = []
    for name, at, stop in _boxes(file, start, end):
        if name == b"mvhd":
            movie_scale = _time_scale(file, at)
        if name == b"trak":
            edits = _track(file, at, stop, movie_scale)
            if edits is not None:
                found.append(edits)
    return found[0] if len(found) == 1 else ()


def _track(file: Readable, start: int, end: int, movie_scale: int) -> tuple[Edit, ...] | None:
    """The edits of a track; None where it is not one of sound."""
    content = b""
    is_sound, scale = False, 0
    for name, at, stop in _boxes(file, start, end):
        if name == b"edts":
            content = next((file.read_at(a, min(b - a, _MOST_BYTES)) for n, a, b in _boxes(file, at, stop)), b"")
        for inner, a, _ in _boxes(file, at, stop) if name == b"mdia" else ():
            is_sound = is_sound or (inner == b"hdlr" and file.read_at(a + 8, 4) == b"soun")
            scale = _time_scale(file, a) if inner == b"mdhd" else scale
    if not is_sound:
        return None
    return _listed(content, movie_scale, scale) if movie_scale and scale and len(content) >= 8 else ()


def _listed(content: bytes, movie_scale: int, scale: int) -> tuple[Edit, ...]:
    form = ">Qq4x" if content[0] else ">Ii4x"
    width, count = struct.calcsize(form), int.from_bytes(content[4:8], "big")
    count = min(count, _MOST_EDITS, (len(content) - 8) // width)
    at_s, empty, edits = 0.0, False, list[Edit]()
    for k in range(count):
        duration, media = struct.unpack_from(form, content, 8 + k * width)
        length_s = duration / movie_scale
        if media >= 0:
            edits.append(Edit(at_s, media / scale, length_s))
        empty = empty or (media < 0 and 0 < k < count - 1)
        at_s += length_s
    forward = all(one.media_s + one.length_s <= other.media_s + 1e-3 for one, other in pairwise(edits))
    return tuple(edits) if empty and forward else ()


def _time_scale(file: Readable, at: int) -> int:
    """Units per second, of a movie or track header with its content at `at`."""
    place = at + (20 if file.read_at(at, 1) == b"\1" else 12)
    return int.from_bytes(file.read_at(place, 4), "big")


def _boxes(file: Readable, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The boxes from `start` to `end`: name, and where the content begins and ends."""
    for _ in range(MAX_CHUNKS):
        header = file.read_at(start, 8)
        size = int.from_bytes(header[:4], "big")
        if len(header) < 8 or size < 8 or start + size > end:
            return
        yield header[4:8], start + 8, start + size
        start += size
