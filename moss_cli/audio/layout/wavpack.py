"""WavPack: blocks that say which samples they hold (the WavPack 4 & 5 file format)."""

from __future__ import annotations

from dataclasses import replace

from moss_cli.audio.layout.base import Piece, Readable, found

_HEADER_BYTES = 32
_RATES = (6000, 8000, 9600, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000, 192000)
_INITIAL = 8  # in the second byte of the flags: the first of the blocks that share their samples among channels
_MOST_SAMPLES = 1 << 18  # of a block, by the format


def wavpack_pieces(file: Readable) -> tuple[list[Piece], int]:
    """The files that were joined, and what of them goes on after damage; and the bytes of damage behind them."""
    pieces: list[Piece] = []
    position, next_index = 0, 0
    while position + _HEADER_BYTES <= file.size:
        header = file.read_at(position, _HEADER_BYTES)
        n_bytes = 8 + int.from_bytes(header[4:8], "little")
        if not _is_block(header) or position + n_bytes > file.size:
            follows = next(found(file, b"wvpk", position + 1), None)
            if follows is None:
                break
            position = follows
            continue
        index, n_samples = (int.from_bytes(header[at : at + 4], "little") for at in (16, 20))
        end = position + n_bytes
        if not pieces:
            pieces.append(Piece(0, end))
        elif not index and next_index and header[25] & _INITIAL:
            pieces.append(Piece(position, end))
        elif pieces[-1].end != position or index > next_index:
            pieces.append(Piece(position, end, goes_on=True, lost_s=None, begins_s=index / _rate(header)))
        else:
            pieces[-1] = replace(pieces[-1], end=end)
        position, next_index = end, index + n_samples
    return pieces, file.size - pieces[-1].end if pieces else 0


def _rate(header: bytes) -> int:
    """The sample rate that a block says; one that is not in the table is taken for the most common."""
    code = int.from_bytes(header[24:28], "little") >> 23 & 15
    return _RATES[code] if code < len(_RATES) else 44100


def _is_block(header: bytes) -> bool:
    n_samples = int.from_bytes(header[20:24], "little")
    return header[:4] == b"wvpk" and header[9] == 4 and n_samples <= _MOST_SAMPLES
