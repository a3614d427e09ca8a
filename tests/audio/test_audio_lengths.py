"""Headers that say less, more, or something else than there is."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np
import pytest
from audio_files import bursts, encode, noise, onsets, write

from moss_cli.audio.decode import load, stream
from moss_cli.audio.layout.ogg import _checksum
from moss_cli.errors import AudioError

_ALL = [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5]


def _sizes(data: bytes, suffix: str) -> list[tuple[int, int, str]]:
    """Where a file says how much audio it has: place, bytes, order."""
    return {
        "wav": [(4, 4, "little"), (data.find(b"data") + 4, 4, "little")],
        "aiff": [(data.find(b"SSND") + 4, 4, "big"), (data.find(b"COMM") + 10, 4, "big")],
        "au": [(8, 4, "big")],
        "caf": [(data.find(b"data") + 4, 8, "big")],
        "w64": [(data.find(b"data") + 16, 8, "little")],
    }[suffix]


@pytest.mark.parametrize("suffix", ["wav", "aiff", "au", "caf", "w64"])
def test_a_size_that_is_too_small_does_not_cut_what_follows(tmp_path: Path, suffix: str) -> None:
    data = bytearray(write(tmp_path / f"a.{suffix}", bursts(), subtype="PCM_16").read_bytes())
    for at, n_bytes, order in _sizes(bytes(data), suffix):
        value = int.from_bytes(data[at : at + n_bytes], order)  # type: ignore[arg-type]
        data[at : at + n_bytes] = (value // 2).to_bytes(n_bytes, order)  # type: ignore[arg-type]
    (tmp_path / f"b.{suffix}").write_bytes(data)
    audio = load(tmp_path / f"b.{suffix}")
    assert np.array_equal(audio.samples, bursts())
    assert (audio.info.duration_s, audio.warnings, audio.complete) == (8.0, (), True)
    part = load(tmp_path / f"b.{suffix}", start_s=6, end_s=7)
    assert np.array_equal(part.samples, bursts()[96_000:112_000])


@pytest.mark.parametrize("rest", [b"LIST" + struct.pack("<I", 5000) + bytes(5000), bytes(5000), b"ID3" + bytes(5000)])
def test_what_follows_the_audio_and_is_none_is_not_heard(tmp_path: Path, rest: bytes) -> None:
    path = write(tmp_path / "a.wav", noise(1))
    path.write_bytes(path.read_bytes() + rest)
    assert load(path).info.duration_s == 1.0


def test_a_wav_beyond_4_gib_is_as_long_as_the_file(tmp_path: Path) -> None:
    """Its sizes are those modulo 2**32; the file is sparse."""
    n_bytes = (1 << 32) + 60 * 1_152_000
    n_bytes -= n_bytes % 6
    head = struct.pack("<IHHIIHH", 16, 1, 2, 192_000, 1_152_000, 6, 24)
    with (tmp_path / "a.wav").open("wb") as file:
        file.write(b"RIFF" + struct.pack("<I", (n_bytes + 36) & 0xFFFFFFFF) + b"WAVEfmt " + head)
        file.write(b"data" + struct.pack("<I", n_bytes & 0xFFFFFFFF))
        file.truncate(44 + n_bytes)
    with stream(tmp_path / "a.wav", start_s=3600, end_s=3601) as audio:
        assert audio.duration_s == pytest.approx(n_bytes / 1_152_000, abs=0.01)
        assert sum(len(block) for block in audio) == 16_000


@pytest.mark.parametrize("stated", [64_000, 1])
def test_flac_whose_count_is_too_small_is_read_to_its_end(tmp_path: Path, stated: int) -> None:
    """flac -d decodes as many samples as its frames hold."""
    data = bytearray(write(tmp_path / "a.flac", bursts()).read_bytes())
    value = int.from_bytes(data[18:26], "big")
    data[18:26] = (value >> 36 << 36 | stated).to_bytes(8, "big")
    (tmp_path / "b.flac").write_bytes(data)
    audio = load(tmp_path / "b.flac")
    assert np.array_equal(audio.samples, bursts())
    assert (audio.info.duration_s, audio.complete) == (8.0, True)


@pytest.mark.parametrize(("factor", "complete"), [(0.5, True), (100, False)])
def test_a_count_of_mp3_frames_is_held_against_the_frames(tmp_path: Path, factor: float, complete: bool) -> None:
    """mpg123 plays all frames that there are."""
    path = encode(tmp_path / "a.mp3", bursts(8, 44_100), 44_100, "libmp3lame")
    data = bytearray(path.read_bytes())
    at = data.find(b"Info") + 8
    data[at : at + 4] = int(int.from_bytes(data[at : at + 4], "big") * factor).to_bytes(4, "big")
    path.write_bytes(data)
    audio = load(path)
    assert onsets(audio.samples) == pytest.approx(_ALL, abs=0.03)
    assert audio.complete == complete
    assert [warning.code for warning in audio.warnings] == ([] if complete else ["truncated"])


@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100, 48_000])
def test_mp3_in_wav_is_whole(tmp_path: Path, rate: int) -> None:
    """mpg123 gives as many frames; what it says before it has read them all is a guess."""
    path = encode(tmp_path / "a.wav", bursts(8, rate), rate, "libmp3lame")
    audio = load(path)
    assert (audio.warnings, audio.complete) == ((), True)
    assert len(onsets(audio.samples)) == 8


def test_rf64_without_a_size_is_read_to_its_end(tmp_path: Path) -> None:
    data = bytearray(write(tmp_path / "a.rf64", bursts(), format="RF64", subtype="PCM_16").read_bytes())
    at = data.find(b"ds64") + 8
    data[at : at + 24] = bytes(24)
    size_at = data.find(b"data") + 4
    data[size_at : size_at + 4] = b"\xff" * 4
    (tmp_path / "b.wav").write_bytes(data)
    assert np.array_equal(load(tmp_path / "b.wav").samples, bursts())


def test_64_bit_pcm_is_read(tmp_path: Path) -> None:
    data = np.round(bursts().astype(np.float64) * 2**62).astype("<i8").tobytes()
    head = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 16_000, 128_000, 8, 64)
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVE" + head)
    with path.open("ab") as file:
        file.write(b"data" + struct.pack("<I", len(data)) + data)
    assert np.array_equal(load(path).samples, bursts() / 2)


@pytest.mark.parametrize("stated", [0, 8_000, 12_000, 16_000, 44_100])
def test_opus_is_decoded_at_its_full_rate_whatever_the_rate_of_its_source(tmp_path: Path, stated: int) -> None:
    """RFC 7845, 5.1: the field is not the rate of playback. opusdec --rate 48000 gives the same."""
    values = 0.3 * np.sin(2 * np.pi * 6_000 * np.arange(48_000) / 48_000)
    path = encode(tmp_path / "a.opus", values.astype(np.float32), 48_000, "libopus", container="ogg")
    data = bytearray(path.read_bytes())
    data[40:44] = stated.to_bytes(4, "little")
    data[22:26] = bytes(4)
    data[22:26] = _checksum(bytes(data[:47])).to_bytes(4, "little")
    path.write_bytes(data)
    samples = load(path).samples
    assert len(samples) == 16_000
    assert np.abs(samples[4_000:12_000]).max() == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize(
    ("name", "codec", "offset_s"),
    [
        ("a.webm", "libopus", 50),
        ("a.webm", "libopus", 90_000),
        ("a.mkv", "aac", 90_000),
        ("a.wma", "wmav2", 1_000),
        ("a.ts", "aac", 50_000),
    ],
)
def test_timestamps_that_begin_late_do_not_make_a_file_longer(
    tmp_path: Path, name: str, codec: str, offset_s: int
) -> None:
    rate = 44_100 if codec == "wmav2" else 48_000
    options = {"output_ts_offset": str(offset_s)}
    path = encode(tmp_path / name, bursts(8, rate), rate, codec, options=options)
    with stream(path, end_s=2, max_duration_s=10) as audio:
        list(audio)
        assert audio.info().duration_s == pytest.approx(8, abs=0.05)
    whole = load(path, max_duration_s=10)
    assert onsets(whole.samples) == pytest.approx(_ALL, abs=0.03)
    assert (whole.warnings, whole.complete) == ((), True)


def test_fragments_from_the_middle_of_a_long_recording_begin_at_0(tmp_path: Path) -> None:
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "2000000"}
    data = encode(tmp_path / "a.mp4", bursts(8, 48_000), 48_000, "aac", options=options).read_bytes()
    at, moved = 0, b""
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        box = bytearray(data[at : at + size])
        if box[4:8] == b"moof":  # a camera that was switched on eleven days ago
            time_at = box.find(b"tfdt") + 8
            begins = int.from_bytes(box[time_at : time_at + 8], "big") + 950_000 * 48_000
            box[time_at : time_at + 8] = begins.to_bytes(8, "big")
        moved += b"" if box[4:8] == b"mfra" else bytes(box)
        at += size
    (tmp_path / "b.mp4").write_bytes(moved)
    audio = load(tmp_path / "b.mp4", max_duration_s=10)
    assert onsets(audio.samples) == pytest.approx(_ALL, abs=0.03)
    assert audio.info.duration_s == pytest.approx(8, abs=0.05)


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000])
def test_wma_begins_where_it_began(tmp_path: Path, rate: int) -> None:
    """ffmpeg's decoder leaves two frames out, of which one was the encoder's delay; the bursts are where they were."""
    path = encode(tmp_path / "a.wma", bursts(8, rate), rate, "wmav2")
    audio = load(path)
    assert onsets(audio.samples) == _ALL
    assert audio.info.duration_s == pytest.approx(8, abs=0.05)


@pytest.mark.parametrize("gap_s", [3_600.0, -5.0, 80_000.0])
def test_a_clock_that_jumps_is_a_seam_and_no_hours_of_silence(tmp_path: Path, gap_s: float) -> None:
    parts = [
        encode(
            tmp_path / f"{offset_s}.ts", bursts(4, 48_000), 48_000, "aac", options={"output_ts_offset": str(offset_s)}
        ).read_bytes()
        for offset_s in (10.0, 10.0 + gap_s)
    ]
    (tmp_path / "a.ts").write_bytes(b"".join(parts))
    audio = load(tmp_path / "a.ts")
    assert audio.info.duration_s == pytest.approx(8.04, abs=0.05)
    assert len(onsets(audio.samples)) == 8
    [warning] = audio.warnings
    assert warning.code == "seam"
    assert warning.start == pytest.approx(4, abs=0.05)
    assert audio.complete


def test_silence_is_filled_in_for_a_gap_that_a_recording_can_have_and_no_more(tmp_path: Path) -> None:
    parts = [
        encode(
            tmp_path / f"{offset_s}.ts", bursts(4, 48_000), 48_000, "aac", options={"output_ts_offset": str(offset_s)}
        ).read_bytes()
        for offset_s in range(10, 10 + 7 * 504, 504)  # eight minutes between each of seven
    ]
    (tmp_path / "a.ts").write_bytes(b"".join(parts))
    audio = load(tmp_path / "a.ts")
    assert {warning.code for warning in audio.warnings} == {"gap", "seam"}
    assert 1_500 < audio.info.duration_s < 30 + 300 + (tmp_path / "a.ts").stat().st_size / 250


@pytest.mark.parametrize("codec", ["libopencore_amrnb"])
def test_amr_with_pauses_that_were_not_sent_is_whole(tmp_path: Path, codec: str) -> None:
    """3GPP TS 26.101: frame type 8 is comfort noise, 15 is nothing, and each stands for 20 ms."""
    data = encode(tmp_path / "a.amr", noise(1, 8_000), 8_000, codec, container="amr").read_bytes()
    pause = b"\x44\x08\x00\x00\x00\x6c" + 7 * b"\x7c"
    (tmp_path / "b.amr").write_bytes(data + 10 * pause + data[6:])
    alone, audio = load(tmp_path / "a.amr"), load(tmp_path / "b.amr")
    assert (audio.warnings, audio.complete) == ((), True)
    assert audio.info.duration_s == pytest.approx(2 * alone.info.duration_s + 1.6, abs=0.001)


def test_a_track_that_nobody_can_decode_gives_way_to_one_that_can_be(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as output:
        tracks = [output.add_stream("aac", rate=48_000, layout="mono") for _ in range(2)]
        for track, gain in zip(tracks, (0.1, 1.0), strict=True):
            frame = av.AudioFrame.from_ndarray(bursts(2, 48_000)[None] * np.float32(gain), "flt", "mono")
            frame.sample_rate = 48_000
            output.mux([*track.encode(frame), *track.encode(None)])
    data = bytearray(path.read_bytes())
    for name, other in ((b"mp4a", b"apac"), (b"esds", b"dapa")):  # a codec of Apple's
        at = data.find(name)
        data[at : at + 4] = other
    path.write_bytes(data)
    audio = load(path)
    assert np.abs(audio.samples).max() > 0.4
    assert [warning.message.partition("a.mp4 ")[2] for warning in audio.warnings] == [
        "has 2 audio tracks; only track 2 is used; --track chooses another"
    ]


def test_a_file_with_no_track_that_can_be_decoded_is_refused(tmp_path: Path) -> None:
    data = encode(tmp_path / "a.mp4", bursts(1, 48_000), 48_000, "aac").read_bytes()
    (tmp_path / "b.mp4").write_bytes(data.replace(b"mp4a", b"apac").replace(b"esds", b"dapa"))
    with pytest.raises(AudioError) as caught:
        load(tmp_path / "b.mp4")
    assert caught.value.code == "codec"


def _boxed(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content


def test_an_edit_list_that_plays_nothing_for_a_while_is_silent_there(tmp_path: Path) -> None:
    """ISO/IEC 14496-12, 8.6.6: an edit with the media time -1 is empty. A player has the third burst at 5.5 s."""
    data = encode(tmp_path / "a.m4a", bursts(8, 48_000), 48_000, "aac").read_bytes()
    moov = data.find(b"moov") - 4
    scale = int.from_bytes(data[moov + 28 : moov + 32], "big")
    edits = [(2.2, 1024), (3.0, -1), (5.8, 1024 + round(2.2 * 48_000))]
    content = struct.pack(">II", 0, len(edits))
    content += b"".join(struct.pack(">IiI", round(length_s * scale), media, 0x10000) for length_s, media in edits)
    old_at = data.find(b"edts") - 4
    old = data[old_at : old_at + int.from_bytes(data[old_at : old_at + 4], "big")]
    new = _boxed(b"edts", _boxed(b"elst", content))
    head, box, rest = data[:moov], bytearray(data[moov:]), b""  # moov is the last box: nothing behind it moves
    more = len(new) - len(old)
    at = box.find(b"trak") - 4
    for place in (0, at):
        box[place : place + 4] = (int.from_bytes(box[place : place + 4], "big") + more).to_bytes(4, "big")
    (tmp_path / "b.m4a").write_bytes(head + bytes(box).replace(old, new) + rest)
    audio = load(tmp_path / "b.m4a")
    assert onsets(audio.samples) == pytest.approx([0.5, 1.5, 5.5, 6.5, 7.5, 8.5, 9.5, 10.5], abs=0.011)
    assert audio.info.duration_s == pytest.approx(11, abs=0.001)
    assert not audio.samples[round(2.3 * 16_000) : round(5.1 * 16_000)].any()
    assert audio.complete
    part = load(tmp_path / "b.m4a", start_s=5, end_s=6)
    assert onsets(part.samples) == [0.5]


@pytest.mark.parametrize("version", [3990, 3890])
def test_a_monkeys_audio_header_that_asks_for_gigabytes_is_refused(tmp_path: Path, version: int) -> None:
    """172 bytes with one frame of 2**26 samples; no encoder writes more than 73728 * 16."""
    many = 1 << 26
    head = b"MAC " + struct.pack("<HHHHIIIII", version, 2000, 0, 2, 44_100, 0, 0, 1, many)
    if version >= 3980:
        head = b"MAC " + struct.pack("<HH7I", version, 0, 52, 24, 4, 0, 60, 0, 0) + bytes(16)
        head += struct.pack("<HHIIIHHI", 2000, 0, many, many - 1, 1, 16, 2, 44_100)
    (tmp_path / "a.ape").write_bytes(head.ljust(172, b"\x2a"))
    with pytest.raises(AudioError, match="frames of an absurd length") as caught:
        load(tmp_path / "a.ape")
    assert caught.value.code == "corrupt"


def test_g721_and_nms_adpcm_are_in_a_range_what_they_are_in_the_whole(tmp_path: Path) -> None:
    for subtype in ("G721_32", "NMS_ADPCM_32"):
        path = write(tmp_path / "a.wav", bursts(8, 8_000), 8_000, subtype=subtype)
        whole, part = load(path), load(path, start_s=3, end_s=5)
        np.testing.assert_allclose(part.samples, whole.samples[48_000:80_000], atol=1e-6)


@pytest.mark.parametrize("codec", ["aac", "libmp3lame", "libopus"])
@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_matroska_is_as_long_in_a_range_as_in_the_whole(tmp_path: Path, codec: str, rate: int) -> None:
    path = encode(tmp_path / "a.mkv", bursts(16, rate), rate, codec)
    whole, part = load(path), load(path, start_s=8.3, end_s=10.7)
    np.testing.assert_allclose(part.samples, whole.samples[132_800:171_200], atol=1e-4)
    assert part.info.duration_s == pytest.approx(whole.info.duration_s, abs=0.005)
