"""Audio that is missing: what is left keeps its time, and the result says where."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from audio_files import bursts, encode, onsets, write, zeroed

from moss_cli.audio.decode import load

_ALL = [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5]
_KINDS = {
    "m4a": ("aac", None, {"movflags": "faststart"}),
    "mkv": ("aac", None, {}),
    "webm": ("libopus", None, {}),
    "mka": ("libmp3lame", "matroska", {}),
    "wma": ("wmav2", None, {}),
    "avi": ("libmp3lame", None, {}),
    "flv": ("aac", None, {}),
    "ts": ("aac", None, {}),
    "aac": ("aac", "adts", {}),
    "mp3": ("libmp3lame", None, {}),
    "opus": ("libopus", "ogg", {"page_duration": "200000"}),
    "wv": ("wavpack", None, {}),
    "tta": ("tta", None, {}),
    "amr": ("libopencore_amrnb", None, {}),
}
_FORMATS = [*_KINDS, "ogg", "flac", "oga"]


def _made(folder: Path, kind: str, *, video: bool = False) -> tuple[Path, list[float]]:
    """A file with bursts, and where they are heard in it."""
    path = folder / f"a.{kind}"
    if kind in ("ogg", "flac"):
        write(path, bursts(), subtype="VORBIS" if kind == "ogg" else "PCM_16", format=kind.upper())
    elif kind == "oga":
        encode(path, bursts(), 16_000, "flac", container="ogg", options={"page_duration": "200000"})
    else:
        codec, container, options = _KINDS[kind]
        rate = {"amr": 8_000, "wma": 44_100, "mp3": 44_100, "avi": 44_100}.get(kind, 48_000)
        encode(path, bursts(8, rate), rate, codec, container=container, options=options, video=video)
    audio = load(path)
    assert audio.complete
    return path, onsets(audio.samples)


@pytest.mark.parametrize("kind", _FORMATS)
def test_what_follows_a_hole_keeps_its_time_and_the_hole_is_told_of(tmp_path: Path, kind: str) -> None:
    path, truth = _made(tmp_path, kind)
    length_s = load(path).info.duration_s
    path.write_bytes(zeroed(path.read_bytes(), 0.4, 0.6))
    audio = load(path)
    assert not audio.complete
    heard = [at for at in onsets(audio.samples) if abs(at % 1 - truth[0] % 1) < 0.1]  # damage crackles
    assert heard[:2] == pytest.approx(truth[:2], abs=0.011)
    assert heard[-2:] == pytest.approx(truth[-2:], abs=0.1 if kind in ("aac", "mp3") else 0.011)
    assert audio.info.duration_s == pytest.approx(length_s, abs=0.1)
    starts = [warning.start for warning in audio.warnings if warning.code == "corrupt"]
    assert min(starts) < 4.2
    assert min(starts) > 1.0


@pytest.mark.parametrize("kind", _FORMATS)
@pytest.mark.parametrize("how", ["zeroed", "cut"])
def test_an_end_that_is_missing_is_told_of(tmp_path: Path, kind: str, how: str) -> None:
    path, truth = _made(tmp_path, kind)
    data = path.read_bytes()
    path.write_bytes(zeroed(data, 0.6, 1) if how == "zeroed" else data[: len(data) * 59 // 100])
    audio = load(path)
    assert not audio.complete
    assert "truncated" in [warning.code for warning in audio.warnings]
    assert onsets(audio.samples)[:3] == truth[:3]


@pytest.mark.parametrize("share", [0.31, 0.62, 0.93])
def test_a_live_webm_that_was_cut_says_so(tmp_path: Path, share: float) -> None:
    """Its header gives no length, and its clusters have no size: the last block says how long it is."""
    path = encode(tmp_path / "a.webm", bursts(8, 48_000), 48_000, "libopus", options={"live": "1"})
    assert load(path).complete
    data = path.read_bytes()
    path.write_bytes(data[: round(len(data) * share)])
    assert [warning.code for warning in load(path).warnings] == ["truncated"]


@pytest.mark.parametrize("kind", ["mkv", "avi"])
@pytest.mark.parametrize("share", [(0.4, 0.6), (0.6, 1.0)])
def test_the_sound_of_a_video_with_zeros_in_it_is_not_whole(
    tmp_path: Path, kind: str, share: tuple[float, float]
) -> None:
    path, _ = _made(tmp_path, kind, video=True)
    path.write_bytes(zeroed(path.read_bytes(), *share))
    assert not load(path).complete


def test_a_video_whose_sound_ends_before_its_pictures_is_whole(tmp_path: Path) -> None:
    import av

    path = tmp_path / "a.mkv"
    encode(tmp_path / "whole.mkv", bursts(8, 48_000), 48_000, "aac", video=True)
    with av.open(str(tmp_path / "whole.mkv")) as source, av.open(str(path), "w") as output:
        streams = {stream.index: output.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is None or (packet.stream.type == "audio" and packet.pts * packet.time_base > 5):
                continue
            packet.stream = streams[packet.stream.index]
            output.mux(packet)
    audio = load(path)
    assert (audio.warnings, audio.complete) == ((), True)
    assert onsets(audio.samples) == [0.5, 1.5, 2.5, 3.5, 4.5]


@pytest.mark.parametrize("kind", ["ogg", "opus", "oga"])
def test_a_damaged_byte_in_ogg_costs_a_page_and_moves_nothing(tmp_path: Path, kind: str) -> None:
    """RFC 3533: a page with a wrong checksum is left out; the granule positions say where the next belongs."""
    path, truth = _made(tmp_path, kind)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    audio = load(path)
    heard = onsets(audio.samples)
    assert [warning.code for warning in audio.warnings] == ["corrupt"]
    assert not audio.complete
    assert set(heard) <= set(truth)
    assert len(heard) >= 7
    assert len(audio.samples) == 128_000


@pytest.mark.parametrize("kind", ["wv", "tta"])
def test_a_damaged_byte_in_lossless_audio_is_found_by_its_checksum(tmp_path: Path, kind: str) -> None:
    path, _ = _made(tmp_path, kind)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    audio = load(path)
    assert not audio.complete
    assert onsets(audio.samples)[:3] == _ALL[:3]


@pytest.mark.parametrize(
    ("suffix", "form"),
    [
        ("sph", "NIST"),
        ("voc", "VOC"),
        ("avr", "AVR"),
        ("svx", "SVX"),
        ("mat4", "MAT4"),
        ("mat5", "MAT5"),
    ],
)
def test_a_cut_file_of_an_old_format_says_so(tmp_path: Path, suffix: str, form: str) -> None:
    path = write(tmp_path / f"a.{suffix}", bursts(), format=form, subtype="PCM_16")
    assert load(path).complete
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    audio = load(path)
    assert [warning.code for warning in audio.warnings] == ["truncated"]
    assert audio.info.duration_s == pytest.approx(4.8, abs=0.02)
    assert np.array_equal(audio.samples, bursts()[: len(audio.samples)])
