"""Ogg: pages with a checksum and a number each (RFC 3533), of which several streams may be chained."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from moss_cli.audio.layout.base import FileLayout, Piece, Readable
from moss_cli.audio.layout.flac import frame_span

_BLOCK_BYTES = 1 << 22
_PAGE_BYTES = 27 + 255 + 255 * 255  # at most
_CODECS = {b"\x01vorbis": 3, b"OpusHead": 2, b"\x7fFLAC": 2, b"Speex   ": 2}  # packets of headers
_REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))
_CONTINUED, _FIRST, _LAST = 1, 2, 4
_FULL_RATES = (16000, 24000, 48000)  # of Opus: libsndfile decodes at the rate of its source, and loses what lies above


@dataclass(frozen=True)
class OggPage:
    """`lacing`: how long the segments of its content are."""

    start: int
    end: int
    flags: int
    serial: int
    number: int
    lacing: bytes
    content: bytes


@dataclass
class _Link:
    """One of the chained streams: its pieces, and what of its headers has been read."""

    start: int
    end: int
    serial: int | None = None  # of its first audio
    n_headers: int = 0
    headers: bytes = b""
    stray: bytes = b""  # pages of the headers so far
    number: int = -1
    ended: bool = False
    pieces: list[Piece] = field(default_factory=list)


def ogg(file: Readable) -> FileLayout:
    """Whole if its pages are, follow one another, and the last says that it is. For a single link."""
    links = _links(file)
    if not links:
        return FileLayout(cut=True, whole_stream=False)
    whole = len(links) == 1 and len(links[0].pieces) == 1 and links[0].pieces[0].end == file.size and links[0].ended
    head = file.read_at(28, 20)
    rate = int.from_bytes(head[12:16], "little") if head[:8] == b"OpusHead" else 48000
    return FileLayout(cut=not links[-1].ended, whole_stream=whole and rate in _FULL_RATES)


def ogg_pieces(file: Readable) -> tuple[list[Piece], int]:
    """The streams that were chained, and what of them goes on after damage; and the bytes of damage behind them."""
    found = [piece for link in _links(file) for piece in link.pieces]
    return found, file.size - found[-1].end if found else 0


def _links(file: Readable) -> list[_Link]:
    links: list[_Link] = []
    at_start = False
    for page in _sound_pages(file):
        if page.flags & _FIRST and not at_start:
            links.append(_Link(page.start, page.start))
        at_start = bool(page.flags & _FIRST)
        if links:
            _add(file, links[-1], page)
    return [link for link in links if link.serial is not None and link.pieces]


def _add(file: Readable, link: _Link, page: OggPage) -> None:
    """Take a page into a link: as a header, at the end of its last piece, or as the start of another after damage."""
    if page.flags & _FIRST and link.serial is None:
        link.n_headers = next((n for magic, n in _CODECS.items() if page.content.startswith(magic)), 0)
        link.serial = page.serial if link.n_headers else None
    torn = page.start != link.end
    if page.serial == link.serial:
        torn = torn or page.number != link.number + 1
        link.number, link.ended = page.number, bool(page.flags & _LAST)
        if link.n_headers > 0:
            link.headers += file.read_at(page.start, page.end - page.start)
            link.n_headers -= sum(size < 255 for size in page.lacing)
    if not link.pieces:
        link.pieces.append(Piece(link.start, page.end))
    elif torn and link.n_headers <= 0:
        begins_s = _begins_s(link, page)
        link.pieces.append(Piece(page.start, page.end, link.headers, goes_on=True, lost_s=None, begins_s=begins_s))
    else:
        link.pieces[-1] = replace(link.pieces[-1], end=page.end)
    link.end = page.end


def _begins_s(link: _Link, page: OggPage) -> float | None:
    """When a page of FLAC begins, whose frames have numbers; of other codecs ffmpeg finds it out."""
    at = link.headers.find(b"fLaC")
    if at < 0 or page.serial != link.serial:
        return None
    info = link.headers[at : at + 42]
    first = page.lacing.index(next((n for n in page.lacing if n < 255), 255)) + 1 if page.flags & _CONTINUED else 0
    packet_at = sum(page.lacing[:first])
    span = frame_span(page.content[packet_at : packet_at + 16], int.from_bytes(info[10:12], "big"))
    rate = int.from_bytes(info[18:21], "big") >> 4
    return span[0] / rate if span and rate else None


def _sound_pages(file: Readable) -> Iterator[OggPage]:
    """The pages whose checksum is right."""
    position, block, block_at = 0, b"", 0
    while position + 27 <= file.size:
        if position + _PAGE_BYTES > block_at + len(block) and block_at + len(block) < file.size:
            block, block_at = file.read_at(position, _BLOCK_BYTES), position
        page = _page(block, position - block_at, block_at)
        if page is not None:
            yield page
            position = page.end
            continue
        at = block.find(b"OggS", position - block_at + 1)
        position = block_at + at if at >= 0 else max(block_at + len(block) - 3, position + 1)
        if at < 0:
            block = b""
            block_at = position


def _page(block: bytes, at: int, block_at: int) -> OggPage | None:
    head = block[at : at + 27]
    if len(head) < 27 or head[:4] != b"OggS":
        return None
    lacing = block[at + 27 : at + 27 + head[26]]
    end = at + 27 + head[26] + sum(lacing)
    if len(lacing) < head[26] or end > len(block):
        return None
    page = block[at : at + 22] + bytes(4) + block[at + 26 : end]
    if _checksum(page) != int.from_bytes(head[22:26], "little"):
        return None
    serial, number = int.from_bytes(head[14:18], "little"), int.from_bytes(head[18:22], "little")
    content = block[end - sum(lacing) : end]
    return OggPage(block_at + at, block_at + end, head[5], serial, number, lacing, content)


def _checksum(page: bytes) -> int:
    """Ogg's CRC has the polynomial of zlib's, but takes the bits of a byte, and gives its own, the other way round."""
    value = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(value.to_bytes(4, "little").translate(_REVERSED), "big")
