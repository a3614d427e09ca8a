"""The length of MP3 files that do not say it."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from audio_files import encode, noise, write

from moss_cli.audio.decode import load, stream
from moss_cli.audio.layout.mpeg import count_samples
from moss_cli.audio.source import open_file

MODES = ["CONSTANT", "VARIABLE"]
RATES = [44_100, 16_000, 8_000]  # MPEG 1, 2 and 2.5: frames of 1152, 576 and 576 samples


def frames(folder: Path, rate: int, mode: str) -> list[bytes]:
    """The frames of six seconds, loud and silent, without the one that counts them."""
    values = np.concatenate([noise(3, rate)[:, 0] * 5, np.zeros(3 * rate, np.float32)])
    path = folder / "counted.mp3"
    if mode == "CONSTANT":
        encode(path, values.clip(-1, 1), rate, "libmp3lame")
    else:
        write(path, values.clip(-1, 1), rate, format="MP3", bitrate_mode=mode)
    with av.open(str(path)) as file:
        return [bytes(packet) for packet in file.demux(audio=0) if packet.size]


def untold(path: Path, parts: list[bytes]) -> Path:
    path.write_bytes(b"".join(parts))
    return path


def declared_s(path: Path) -> float | None:
    with stream(path) as audio:
        return audio.duration_s


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("mode", MODES)
def test_the_length_is_that_of_all_frames_whatever_their_bit_rates(tmp_path: Path, rate: int, mode: str) -> None:
    found = frames(tmp_path, rate, mode)
    assert (len({len(frame) for frame in found}) > 2) == (mode == "VARIABLE")
    path = untold(tmp_path / "a.mp3", found)
    exact_s = len(found) * (1152 if rate == 44_100 else 576) / rate
    assert declared_s(path) == load(path).info.duration_s == exact_s
    assert load(path, start_s=1, end_s=2).info.duration_s == exact_s


@pytest.mark.parametrize("mode", MODES)
def test_what_stands_before_and_behind_the_frames_does_not_count(tmp_path: Path, mode: str) -> None:
    found = frames(tmp_path, 44_100, mode)
    exact_s = len(found) * 1152 / 44_100
    id3 = b"ID3\x04\0\0\0\0\0\x0a" + bytes(10)
    assert declared_s(untold(tmp_path / "tags.mp3", [id3, *found, b"TAG", bytes(125)])) == exact_s
    assert declared_s(untold(tmp_path / "junk.mp3", [bytes(300), *found])) == exact_s
    # as the recording of a broadcast: from the middle of a frame to the middle of one
    radio = untold(tmp_path / "radio.mp3", [found[0][100:], *found[1:-1], found[-1][:50]])
    assert declared_s(radio) == load(radio).info.duration_s == exact_s - 1152 / 44_100


def test_a_length_that_cannot_be_told_is_none(tmp_path: Path) -> None:
    found = frames(tmp_path, 44_100, "VARIABLE")
    others = frames(tmp_path, 16_000, "VARIABLE")
    damaged = untold(tmp_path / "a.mp3", [*found[:50], bytes(3000), *found[50:]])
    joined = untold(tmp_path / "b.mp3", [*found, *others])
    late = untold(tmp_path / "c.mp3", [bytes(300), (tmp_path / "counted.mp3").read_bytes()])
    assert [declared_s(path) for path in (damaged, joined, late)] == [None, None, None]


@pytest.mark.parametrize("data", [b"\xff\xfb", b"\xff\xfb\x90", b"\xff\xfb\x90\x00", b"\xff" * 8192, b"ID3", bytes(9)])
def test_anything_can_be_counted(tmp_path: Path, data: bytes) -> None:
    with open_file(untold(tmp_path / "a.mp3", [data])) as source:
        assert count_samples(source) in (None, 1152)
