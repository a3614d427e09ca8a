"""Files that were appended to one another: all of them are heard, one after the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from audio_files import bursts, encode, onsets, write

from moss_cli.audio.decode import load
from moss_cli.audio.results import SAMPLE_RATE

_FIRST = [0.5, 1.5, 2.5, 3.5]
_BOTH = [*_FIRST, 4.5, 5.5, 6.5, 7.5]
_ID3V1 = b"TAG" + b"title".ljust(125, b"\0")
_APE = b"APETAGEX" + (2000).to_bytes(4, "little") + (32).to_bytes(4, "little") + bytes(16)
_LYRICS = b"LYRICSBEGININD00002000000017LYRICS200"


def _mp3(folder: Path, rate: int, **options: str) -> bytes:
    path = encode(folder / f"{rate}.mp3", bursts(4, rate), rate, "libmp3lame", options=options)
    return path.read_bytes()


@pytest.mark.parametrize(
    "between",
    [b"", _ID3V1, _APE, _LYRICS, _ID3V1 + _APE, b"\r\n", bytes(2048)],
    ids=["nothing", "id3v1", "ape", "lyrics3", "two tags", "crlf", "zeros"],
)
@pytest.mark.parametrize("id3v2", ["0", "4"])
def test_mp3s_joined_with_whatever_between_them_are_heard_whole(tmp_path: Path, between: bytes, id3v2: str) -> None:
    """mpg123 -w gives 4.0 s of each alone; what LAME added before and behind is left out of both."""
    first, second = _mp3(tmp_path, 44_100, id3v2_version=id3v2), _mp3(tmp_path, 32_000, id3v2_version=id3v2)
    path = tmp_path / "joined.mp3"
    path.write_bytes(first + between + second + between + first)
    audio = load(path)
    assert onsets(audio.samples) == [*_BOTH, 8.5, 9.5, 10.5, 11.5]
    assert audio.info.duration_s == pytest.approx(12, abs=0.001)
    assert (audio.warnings, audio.complete) == ((), True)
    part = load(path, start_s=4.4, end_s=4.7)
    np.testing.assert_allclose(part.samples, audio.samples[round(4.4 * SAMPLE_RATE) :][: len(part.samples)], atol=1e-6)


@pytest.mark.parametrize("suffix", ["wav", "aiff", "au", "caf", "w64", "flac", "ogg"])
def test_files_of_libsndfile_that_were_joined_are_heard_whole(tmp_path: Path, suffix: str) -> None:
    """Also Ogg whose parts have one serial number, as those of one run of oggenc or ffmpeg may: oggdec gives 4.0 s."""
    data = write(tmp_path / f"a.{suffix}", bursts(4)).read_bytes()
    path = tmp_path / f"joined.{suffix}"
    path.write_bytes(data + data)
    audio = load(path)
    assert onsets(audio.samples) == _BOTH
    assert (audio.info.duration_s, audio.warnings, audio.complete) == (8.0, (), True)


@pytest.mark.parametrize(
    ("name", "codec", "container"),
    [
        ("a.m4a", "aac", None),
        ("a.mkv", "aac", None),
        ("a.webm", "libopus", None),
        ("a.opus", "libopus", "ogg"),
        ("a.avi", "libmp3lame", None),
        ("a.aac", "aac", "adts"),
        ("a.wv", "wavpack", None),
        ("a.ts", "aac", "mpegts"),
    ],
)
def test_files_of_ffmpeg_that_were_joined_are_heard_whole(
    tmp_path: Path, name: str, codec: str, container: str | None
) -> None:
    data = encode(tmp_path / name, bursts(4, 48_000), 48_000, codec, container=container).read_bytes()
    alone = load(tmp_path / name)
    (tmp_path / f"joined.{name}").write_bytes(data + data)
    audio = load(tmp_path / f"joined.{name}")
    first, length_s = onsets(alone.samples), alone.info.duration_s
    assert onsets(audio.samples) == pytest.approx([*first, *(at + length_s for at in first)], abs=0.011)
    assert audio.info.duration_s == pytest.approx(2 * length_s, abs=0.01)
    assert audio.complete


def test_parts_of_other_rates_and_channels_are_heard_at_theirs(tmp_path: Path) -> None:
    slow = encode(tmp_path / "a.aac", bursts(4, 22_050), 22_050, "aac", container="adts").read_bytes()
    stereo = np.stack([bursts(4, 48_000)] * 2, axis=1)
    fast = encode(tmp_path / "b.aac", stereo, 48_000, "aac", container="adts").read_bytes()
    (tmp_path / "c.aac").write_bytes(fast + slow)
    audio = load(tmp_path / "c.aac")
    n_frames = 4 * 48_000 / 1024, 4 * 22_050 / 1024  # ADTS keeps what the encoder put before and behind
    expected_s = (np.ceil(n_frames[0]) + 1) * 1024 / 48_000 + (np.ceil(n_frames[1]) + 1) * 1024 / 22_050
    assert audio.info.duration_s == pytest.approx(expected_s, abs=0.001)
    assert len(onsets(audio.samples)) == 8


def test_a_part_that_was_cut_is_said_to_be_where_it_is(tmp_path: Path) -> None:
    first, second = _mp3(tmp_path, 44_100), _mp3(tmp_path, 32_000)
    (tmp_path / "a.mp3").write_bytes(first + second[: len(second) // 2])
    audio = load(tmp_path / "a.mp3")
    assert not audio.complete
    [warning] = audio.warnings
    assert warning.code == "truncated"
    assert warning.message.endswith("s of 8 s could be read")
    assert warning.start == pytest.approx(6, abs=0.1)


@pytest.mark.parametrize("n_junk", [1, 700, 5000])
def test_flac_behind_junk_is_read(tmp_path: Path, n_junk: int) -> None:
    data = write(tmp_path / "a.flac", bursts(4)).read_bytes()
    (tmp_path / "b.flac").write_bytes(bytes(n_junk) + data)
    assert np.array_equal(load(tmp_path / "b.flac").samples, bursts(4))
