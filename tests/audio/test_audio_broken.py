"""Files that are cut, damaged, or not audio at all: a finite result that says so, or an AudioError."""

from __future__ import annotations

import contextlib
import os
import random
import struct
from pathlib import Path

import av
import numpy as np
import pytest
from audio_files import encode, noise, write

from moss_cli.audio.container import _OPTIONS
from moss_cli.audio.decode import load, stream
from moss_cli.errors import AudioError, UsageError

_RATE = 16_000


def _cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: round(len(data) * share)])
    return path


def _damaged(path: Path, junk: bytes) -> Path:
    """The file with other bytes in its middle."""
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + len(junk)] = junk
    path.write_bytes(data)
    return path


def _refusal(path: Path) -> AudioError:
    with pytest.raises(AudioError) as caught:
        load(path)
    assert "\n" not in caught.value.message
    return caught.value


@pytest.mark.parametrize("suffix", ["wav", "aiff", "au", "w64", "rf64", "caf", "flac", "mp3"])
def test_a_cut_file_gives_what_is_left_of_it_and_says_how_much(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a.{suffix}", noise(4))
    whole = load(path)
    assert (whole.complete, whole.warnings) == (True, ())
    audio = load(_cut(path, 0.6))
    assert not audio.complete
    [warning] = audio.warnings
    read_s = audio.info.duration_s
    assert warning.code == "truncated"
    assert 2.0 < read_s <= 2.45
    assert len(audio.samples) == round(read_s * _RATE)
    assert warning.message.startswith(f"{path} is cut short: {f'{read_s:.3f}'.rstrip('0').rstrip('.')} s of ")
    assert float(warning.message.split(" s of ")[1].split()[0]) == pytest.approx(4, abs=0.01)
    assert np.abs(audio.samples - whole.samples[: len(audio.samples)])[:32_000].max() < (
        0.1 if suffix == "mp3" else 1e-9
    )


@pytest.mark.parametrize("name", ["a.m4a", "a.webm", "a.mkv", "a.flv", "a.ogg", "a.avi", "a.aac"])
def test_a_cut_container_gives_what_is_left_of_it(tmp_path: Path, name: str) -> None:
    codec = {"a.webm": "libopus", "a.ogg": "libopus", "a.avi": "libmp3lame"}.get(name, "aac")
    options = {"movflags": "faststart"} if name == "a.m4a" else {}
    values = noise(4, 48_000)
    path = encode(
        tmp_path / name, values, 48_000, codec, options=options, container="adts" if name == "a.aac" else None
    )
    assert load(path).complete
    audio = load(_cut(path, 0.6))
    assert not audio.complete
    assert [w.code for w in audio.warnings] == ["truncated"]
    assert 1 < audio.duration_s < 3


def test_a_range_before_the_cut_is_complete(tmp_path: Path) -> None:
    path = _cut(write(tmp_path / "a.flac", noise(10)), 0.7)
    part = load(path, start_s=1, end_s=2)
    assert (part.complete, part.warnings) == (True, ())
    assert np.array_equal(part.samples, noise(10)[_RATE : 2 * _RATE, 0])


def test_a_range_behind_the_cut_is_an_error_that_says_where_it_is(tmp_path: Path) -> None:
    path = _cut(write(tmp_path / "a.flac", noise(10)), 0.5)
    with pytest.raises(AudioError, match=r"a\.flac is cut short: .* s of 10 s could be read") as caught:
        load(path, start_s=8)
    assert caught.value.code == "truncated"


def test_a_cut_too_small_to_tell_in_thousandths_names_one_time_only(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", noise(2))
    path.write_bytes(path.read_bytes()[:-4])
    audio = load(path)
    assert [warning.message for warning in audio.warnings] == [f"{path} is cut short: only the first 2 s could be read"]
    assert not audio.complete


def test_an_m4a_without_its_index_says_so(tmp_path: Path) -> None:
    path = _cut(encode(tmp_path / "a.m4a", noise(2), _RATE, "aac"), 0.6)
    error = _refusal(path)
    assert (error.message, error.code) == (f"{path} is cut short: its index (moov) is missing", "truncated")


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF000, 0x80000000])
def test_a_wav_written_to_a_pipe_is_read_to_its_end(tmp_path: Path, size: int) -> None:
    values = noise(0.5)
    path = write(tmp_path / "a.wav", values, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = struct.pack("<I", size)
    path.write_bytes(data)
    audio = load(path)
    assert np.array_equal(audio.samples, values[:, 0])
    assert (audio.complete, audio.warnings) == (True, ())


def test_flac_without_a_length_is_read_to_its_end(tmp_path: Path) -> None:
    values = noise(3)
    path = write(tmp_path / "a.flac", values)
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0  # the count of samples in STREAMINFO: 36 bits
    data[22:26] = bytes(4)
    path.write_bytes(data)
    audio = load(path)
    assert np.array_equal(audio.samples, values[:, 0])
    assert audio.complete
    assert load(path, start_s=1, end_s=2).info.duration_s == 3.0


def test_joined_files_are_read_to_the_end_of_the_last(tmp_path: Path) -> None:
    for suffix, codec in [("flac", "flac"), ("mp3", "libmp3lame"), ("ogg", "libopus")]:
        first = encode(tmp_path / f"a.{suffix}", noise(2, 48_000), 48_000, codec).read_bytes()
        second = encode(tmp_path / f"b.{suffix}", noise(2, 48_000, seed=1), 48_000, codec).read_bytes()
        joined = tmp_path / f"c.{suffix}"
        joined.write_bytes(first + second)
        assert load(joined).duration_s == pytest.approx(4, abs=0.1), suffix


def test_mp3_without_a_length_is_read_to_its_end_whatever_its_bit_rate_promises(tmp_path: Path) -> None:
    values = np.concatenate([noise(2)[:, 0] * 5, np.zeros(20 * _RATE, np.float32)])
    path = encode(tmp_path / "a.mp3", values, _RATE, "libmp3lame", options={"write_xing": "0", "id3v2_version": "0"})
    assert load(path).duration_s == pytest.approx(22.1, abs=0.1)


def test_damage_inside_is_left_out_and_reported(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.m4a", noise(4), _RATE, "aac", options={"movflags": "faststart"})
    audio = load(_damaged(path, b"\xff" * 400))
    assert not audio.complete
    assert "corrupt" in [w.code for w in audio.warnings]
    assert audio.duration_s == pytest.approx(4, abs=0.2)
    assert np.isfinite(audio.samples).all()


def test_flac_goes_on_behind_the_damage(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", noise(6))
    whole = load(path).samples
    audio = load(_damaged(path, bytes(3000)))
    assert not audio.complete
    assert len(audio.samples) == len(whole)
    assert np.array_equal(audio.samples[-_RATE:], whole[-_RATE:])
    assert np.array_equal(audio.samples[:_RATE], whole[:_RATE])


_SCRIPTS = {
    "concat": "ffconcat version 1.0\nfile 'real.wav'\n",
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5.0,\nreal.wav\n#EXT-X-ENDLIST\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
    '<Representation id="0"><BaseURL>real.wav</BaseURL></Representation></AdaptationSet></Period></MPD>',
    "srt": "1\n00:00:00,000 --> 00:00:01,000\nhello\n",
    "ffmetadata": ";FFMETADATA1\ntitle=x\n",
    "text": "not audio at all\n" * 50,
}


@pytest.mark.parametrize("script", _SCRIPTS)
@pytest.mark.parametrize("name", ["x.wav", "x.mp4", "x.m3u8", "x.txt", "x.mkv", "x.sdp", "x%03d.png", "x"])
def test_playlists_scripts_and_text_are_refused_under_any_name(tmp_path: Path, script: str, name: str) -> None:
    write(tmp_path / "real.wav", noise(1))
    path = tmp_path / name
    path.write_text(_SCRIPTS[script])
    error = _refusal(path)
    assert (error.message, error.code) == (f"{path} is not audio that can be read", "not_audio")
    assert (error.hint is not None) == (script in ("concat", "hls", "sdp", "dash"))


def test_an_mp4_that_names_another_file_does_not_get_it(tmp_path: Path) -> None:
    values = noise(1)
    path = encode(tmp_path / "a.mov", values, _RATE, "pcm_s16le")
    data = path.read_bytes()
    reference = struct.pack(">I4sI", 12, b"url ", 1)
    assert data.count(reference) >= 1
    outside = write(tmp_path / "real.wav", values)
    external = struct.pack(">I4sI", 12, b"url ", 0)
    path.write_bytes(data.replace(reference, external).split(b"mdat")[0] + b"mdat" + data.split(b"mdat", 1)[1])
    opened: list[str] = []
    original = os.open

    def spy(name: str, *args: int, **kwargs: int) -> int:
        opened.append(os.fspath(name))
        return original(name, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", spy)
        with contextlib.suppress(AudioError):
            load(path)
    assert str(outside) not in opened


def test_a_demuxer_that_wants_another_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where the allow-list were to let a playlist through."""
    write(tmp_path / "real.wav", noise(1))
    path = tmp_path / "x.txt"
    path.write_text("ffconcat version 1.0\nfile real.wav\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(_OPTIONS, "format_whitelist", "concat,wav")
    error = _refusal(path)
    assert error.code in ("not_audio", "unreadable")


def test_a_video_without_sound_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=5, width=32, height=32)
        output.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        output.mux(stream.encode(None))
    error = _refusal(path)
    assert (error.message, error.code) == (f"{path} has no audio stream", "no_audio_stream")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    missing, empty = tmp_path / "missing.wav", tmp_path / "empty.wav"
    empty.touch()
    cases = [
        (missing, f"no such file: {missing}", "not_found"),
        (empty / "x", f"no such file: {empty / 'x'}", "not_found"),
        (empty, f"{empty} is empty", "empty"),
        (tmp_path, f"{tmp_path} is a folder, not an audio file", "is_directory"),
        (Path("/dev/zero"), "/dev/zero is not a regular file", "not_a_file"),
        (Path("/dev/null"), "/dev/null is not a regular file", "not_a_file"),
        (Path("a\0b"), r"a\x00b cannot be read: embedded null byte", "unreadable"),
    ]
    for path, message, code in cases:
        error = _refusal(path)
        assert (error.message, error.code) == (message, code)


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.wav", noise(0.1))

    def refuse(*_: object) -> int:  # rather than chmod, which does not keep root out
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    error = _refusal(path)
    assert (error.message, error.code) == (f"{path} cannot be read: permission denied", "permission")


def test_an_absurd_sample_rate_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", noise(0.1))
    data = bytearray(path.read_bytes())
    data[24:28] = struct.pack("<I", 7)
    path.write_bytes(data)
    assert _refusal(path).message == f"{path} is damaged: its header gives a sample rate of 7 Hz"


def test_an_interrupt_passes_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = encode(tmp_path / "a.m4a", noise(0.5), _RATE, "aac")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with stream(path) as audio:
        monkeypatch.setattr(audio._decoder._decoder, "_placed", interrupt)
        with pytest.raises(KeyboardInterrupt):
            list(audio)


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3", "vorbis.ogg", "opus.ogg", "m4a", "webm", "mkv", "aac", "ts"])
def test_random_damage_gives_an_audio_error_or_finite_samples(tmp_path: Path, kind: str) -> None:
    values = noise(1, 48_000)
    path = tmp_path / f"a.{kind}"
    if kind in ("wav", "flac", "mp3", "vorbis.ogg"):
        write(path, values, 48_000)
    else:
        codec = "libopus" if kind in ("opus.ogg", "webm") else "aac"
        faststart = {"movflags": "faststart"} if kind == "m4a" else {}
        encode(path, values, 48_000, codec, container="adts" if kind == "aac" else None, options=faststart)
    original = path.read_bytes()
    chance = random.Random(kind)
    for _ in range(25):
        data = bytearray(original[: chance.randrange(len(original))] if chance.random() < 0.5 else original)
        for _ in range(chance.choice([0, 1, 3, 20])):
            if data:
                reach = len(data) if chance.random() < 0.5 else min(len(data), 200)
                data[chance.randrange(reach)] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        try:
            audio = load(path, max_duration_s=600)
        except AudioError as error:
            assert str(path) in error.message
        else:
            assert len(audio.samples) > 0
            assert np.isfinite(audio.samples).all()


def test_damage_and_a_range_give_no_other_errors(tmp_path: Path) -> None:
    original = encode(tmp_path / "a.mp4", noise(6), _RATE, "aac", options={"movflags": "faststart"}).read_bytes()
    chance = random.Random(3)
    for _ in range(25):
        data = bytearray(original)
        for _ in range(5):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        (tmp_path / "b.mp4").write_bytes(data)
        with contextlib.suppress(AudioError, UsageError):
            assert np.isfinite(load(tmp_path / "b.mp4", start_s=4.2, end_s=4.7, max_duration_s=600).samples).all()


@pytest.mark.parametrize("video", [False, True])
@pytest.mark.parametrize(("name", "codec"), [("a.webm", "libopus"), ("a.mkv", "aac"), ("a.mka", "flac")])
def test_matroska_that_is_damaged_in_the_middle_is_not_whole(
    tmp_path: Path, name: str, codec: str, video: bool
) -> None:
    path = encode(tmp_path / name, noise(6, 48_000), 48_000, codec, video=video and name == "a.mkv")
    assert load(path).complete
    audio = load(_damaged(path, bytes(3000)))
    assert not audio.complete
    assert {warning.code for warning in audio.warnings} == {"corrupt"}


@pytest.mark.parametrize("video", [False, True])
def test_matroska_in_which_nothing_was_sent_for_a_while_is_whole(tmp_path: Path, video: bool) -> None:
    path, rate = tmp_path / "a.mkv", 48_000
    encode(tmp_path / "whole.mkv", noise(6, rate), rate, "aac", video=video)
    with av.open(str(tmp_path / "whole.mkv")) as source, av.open(str(path), "w") as output:
        streams = {stream.index: output.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is None or (packet.stream.type == "audio" and 2 < packet.pts * packet.time_base < 4):
                continue
            packet.stream = streams[packet.stream.index]
            output.mux(packet)
    audio = load(path)
    [warning] = audio.warnings
    assert warning.code == "gap"
    assert "has no audio for 2." in warning.message
    assert audio.complete


@pytest.mark.parametrize("rate", [44_100, 16_000])
def test_what_follows_damage_in_an_mp3_is_read_and_no_library_talks_about_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], rate: int
) -> None:
    path = encode(tmp_path / "a.mp3", noise(6, rate), rate, "libmp3lame")
    audio = load(_damaged(path, random.Random(1).randbytes(800)))
    assert not audio.complete
    assert len(audio.samples) / _RATE == pytest.approx(6, abs=0.02)  # silence in the place of what is lost
    assert capfd.readouterr().err == ""
