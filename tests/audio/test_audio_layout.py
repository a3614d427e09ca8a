"""What is read of any bytes without decoding: pieces that lie in the file, in order, and nothing but AudioError."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from audio_files import bursts, encode, write
from hypothesis import given, settings
from hypothesis import strategies as st

from moss_cli.audio.decode import load
from moss_cli.audio.layout.flac import frame_span
from moss_cli.audio.layout.ogg import _checksum
from moss_cli.audio.layout.reading import read_layout, split
from moss_cli.errors import AudioError

_MAGIC = [
    b"RIFF\0\0\0\0WAVEdata", b"RF64\xff\xff\xff\xffWAVEds64", b"RIFF\0\0\0\0AVI LIST", b"FORM\0\0\0\0AIFFSSND",
    b"caff\0\1", b".snd", b"riff", b"NIST_1A\n   1024\n", b"2BIT", b"Creative Voice File\x1a", b"MATLAB 5.0 MAT-file",
    b"\x1aE\xdf\xa3", b"0&\xb2u\x8ef\xcf\x11", b"OggS\0\2", b"FLV\1\5", b"\0\0\0\x18ftyp", b"\0\0\0\x10moov",
    b"fLaC\0\0\0\x22", b"ID3\4\0\0", b"\xff\xfb\x90\0", b"\xff\xf1\x50\x80", b"#!AMR\n", b"#!AMR", b"wvpk",
    b"TTA1\1\0", b"MAC ", b"\x0b\x77", b"G" * 600,
]  # fmt: skip


class _Held:
    """Bytes in memory as a file."""

    def __init__(self, data: bytes) -> None:
        self.name, self.size, self._data = "a", len(data), data

    def read_at(self, offset: int, n_bytes: int) -> bytes:
        return self._data[offset : offset + n_bytes] if offset >= 0 else b""


@given(st.sampled_from(_MAGIC), st.lists(st.one_of(st.binary(max_size=60), st.sampled_from(_MAGIC)), max_size=12))
@settings(max_examples=400, deadline=None)
def test_any_bytes_have_pieces_in_order_or_are_refused(magic: bytes, rest: list[bytes]) -> None:
    file = _Held(magic + b"".join(rest))
    try:
        pieces, n_rest = split(file)
        layout = read_layout(file)
    except AudioError:
        return
    assert pieces
    assert n_rest >= 0
    assert all(0 <= piece.start < piece.end <= file.size for piece in pieces)
    assert all(one.end <= other.start for one, other in pairwise(pieces))
    assert layout.share is None or 0 <= layout.share <= 1
    assert layout.end is None or 0 < layout.end <= file.size


def test_the_checksum_is_that_of_ogg() -> None:
    """RFC 3533: polynomial 0x04c11db7, from 0, most significant bit first, nothing inverted."""

    def by_bits(data: bytes) -> int:
        value = 0
        for byte in data:
            value ^= byte << 24
            for _ in range(8):
                value = (value << 1 ^ (0x04C11DB7 if value & 0x80000000 else 0)) & 0xFFFFFFFF
        return value

    for data in (b"", b"\0", b"OggS", bytes(range(256))):
        assert _checksum(data) == by_bits(data)


def test_the_frames_of_a_flac_file_say_which_samples_they_hold(tmp_path: Path) -> None:
    data = write(tmp_path / "a.flac", bursts(2)).read_bytes()
    common = int.from_bytes(data[10:12], "big")
    starts = [at for at in range(len(data) - 16) if data[at : at + 2] == b"\xff\xf8"]
    spans = [span for at in starts if (span := frame_span(data[at : at + 16], common))]
    assert spans[0] == (0, common)
    assert spans[-1][1] == 32_000
    assert [one[1] for one in spans[:-1]] == [other[0] for other in spans[1:]]


@pytest.mark.parametrize(
    ("name", "codec"), [("a.wv", "wavpack"), ("a.aac", "aac"), ("a.ac3", "ac3"), ("a.mp3", "libmp3lame")]
)
def test_a_whole_file_is_one_piece(tmp_path: Path, name: str, codec: str) -> None:
    container = "adts" if codec == "aac" else None
    data = encode(tmp_path / name, bursts(2, 48_000), 48_000, codec, container=container).read_bytes()
    [piece], n_rest = split(_Held(data))
    assert (piece.start, piece.goes_on, n_rest) == (0, False, 0)
    assert piece.end in (len(data), data.find(b"APETAGEX"))


@pytest.mark.parametrize(("name", "codec"), [("a.wv", "wavpack"), ("a.mp3", "libmp3lame"), ("a.opus", "libopus")])
def test_a_padding_behind_a_file_that_says_how_long_it_is_is_no_damage(tmp_path: Path, name: str, codec: str) -> None:
    path = encode(tmp_path / name, bursts(2, 48_000), 48_000, codec, container="ogg" if codec == "libopus" else None)
    path.write_bytes(path.read_bytes() + bytes(3000))
    audio = load(path)
    assert (audio.info.duration_s, audio.warnings, audio.complete) == (2.0, (), True)
