"""What a file's own headers say about its length, and which pieces it has.

libsndfile and ffmpeg silently read a file that was cut short as a shorter one, and of several files that were joined
often only the first. The containers say better: each promises a number of bytes, and a file that has fewer was cut.
"""

from __future__ import annotations

from collections.abc import Callable

from moss_cli.audio.layout import pcm
from moss_cli.audio.layout.ape import ape
from moss_cli.audio.layout.base import FileLayout, Piece, Readable, found
from moss_cli.audio.layout.flac import flac, flac_start
from moss_cli.audio.layout.frames import ac3_pieces, adts_pieces, amr_pieces, is_ac3, is_adts
from moss_cli.audio.layout.matroska import matroska
from moss_cli.audio.layout.mp4 import mp4
from moss_cli.audio.layout.mpeg import after_id3, mp3, mp3_pieces
from moss_cli.audio.layout.ogg import ogg, ogg_pieces
from moss_cli.audio.layout.packets import asf, flv, ts
from moss_cli.audio.layout.wavpack import wavpack_pieces

_BY_MAGIC: dict[bytes, Callable[[Readable], FileLayout]] = {
    **dict.fromkeys((b"RIFF", b"RIFX", b"RF64", b"BW64"), pcm.riff),
    b"FORM": pcm.iff,
    b"caff": pcm.caf,
    **dict.fromkeys((b".snd", b"dns."), pcm.au),
    b"riff": pcm.wave64,
    b"NIST": pcm.nist,
    b"2BIT": pcm.avr,
    b"Crea": pcm.voc,
    b"MATL": pcm.mat5,
    b"\x1aE\xdf\xa3": matroska,
    b"0&\xb2u": asf,
    b"OggS": ogg,
    **dict.fromkeys((b"#!AM", b"wvpk"), lambda file: FileLayout()),
    b"MAC ": ape,
    b"TTA1": lambda file: FileLayout(end=next(found(file, b"TTA1\1\0", 4), None)),
}
_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
_MOST_PIECES = 10_000


def read_layout(file: Readable) -> FileLayout:
    """The layout of a file, by its content. AudioError where the file cannot be read."""
    head = file.read_at(0, 64)
    if head[:4] in _BY_MAGIC:
        return _BY_MAGIC[head[:4]](file)
    if head[:3] == b"FLV":
        return flv(file)
    if head[4:8] in _MP4_BOXES:
        return mp4(file)
    if 0x47 in (head[0], head[min(4, len(head) - 1)]):
        return ts(file)
    if pcm.is_mat4(head):
        return pcm.mat4(file)
    start = after_id3(file, 0)
    if file.read_at(start, 4) == b"fLaC":
        return flac(file, start)
    return FileLayout() if is_adts(file.read_at(start, 7)) or is_ac3(head) else mp3(file)


def split(file: Readable) -> tuple[list[Piece], int]:
    """The pieces of a file, one after the other, and how many bytes of damage follow the last.

    AudioError where the file cannot be read.
    """
    head = file.read_at(0, 16)
    start = after_id3(file, 0)
    frame = file.read_at(start, 7)
    if head[:4] == b"OggS":
        found_pieces = ogg_pieces(file)
    elif head[:4] == b"wvpk":
        found_pieces = wavpack_pieces(file)
    elif head[:5] == b"#!AMR":
        found_pieces = amr_pieces(file)
    elif is_ac3(file.read_at(0, 7)):
        found_pieces = ac3_pieces(file)
    elif is_adts(frame):
        found_pieces = adts_pieces(file)
    elif len(frame) == 7 and frame[0] == 0xFF and frame[1] & 0xE6 == 0xE2:
        found_pieces = mp3_pieces(file)
    else:
        found_pieces = _appended(file, _start_behind_junk(file, head)), 0
    pieces, rest = found_pieces
    return (pieces, rest) if 0 < len(pieces) <= _MOST_PIECES else ([Piece(0, file.size)], 0)


def _start_behind_junk(file: Readable, head: bytes) -> int:
    known = head[:4] in _BY_MAGIC or head[:3] in (b"ID3", b"FLV") or head[:4] == b"fLaC" or head[4:8] in _MP4_BOXES
    return 0 if known else flac_start(file) or 0


def _appended(file: Readable, start: int) -> list[Piece]:
    """Files from `start` on, of which each says where it ends."""
    pieces: list[Piece] = []
    while len(pieces) <= _MOST_PIECES:
        end = read_layout(_From(file, start)).end
        pieces.append(Piece(start, file.size if end is None else start + end))
        if end is None:
            break
        start += end
    return pieces


class _From:
    """A file from `start` on."""

    def __init__(self, file: Readable, start: int) -> None:
        self.name, self.size = file.name, file.size - start
        self._file, self._start = file, start

    def read_at(self, offset: int, n_bytes: int) -> bytes:
        return self._file.read_at(self._start + offset, n_bytes) if offset >= 0 else b""
