"""Whole files: every format, rate and channel count, and what is done to the samples."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import soxr
from audio_files import encode, lag, noise, write
from av.stream import Disposition
from hypothesis import given, settings
from hypothesis import strategies as st

from moss_cli.audio.decode import load, stream
from moss_cli.audio.results import SAMPLE_RATE
from moss_cli.audio.signal import Resampler
from moss_cli.errors import AudioError


@pytest.mark.parametrize("suffix", ["wav", "flac", "aiff", "au", "caf", "w64"])
def test_16_khz_mono_pcm_arrives_bit_for_bit(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a.{suffix}", noise(1.5), subtype="PCM_16")
    audio = load(path)
    expected, _ = soundfile.read(path, dtype="float32")
    integers, _ = soundfile.read(path, dtype="int16")
    assert np.array_equal(audio.samples, expected)
    assert np.array_equal(audio.samples, integers.astype(np.float32) / 32768)
    assert audio.samples.dtype == np.float32
    assert (audio.offset_s, audio.duration_s, audio.info.duration_s) == (0.0, 1.5, 1.5)
    assert (audio.info.sample_rate, audio.info.channels) == (16_000, 1)
    assert (audio.warnings, audio.complete) == ((), True)


def test_float_wav_is_kept_as_it_is(tmp_path: Path) -> None:
    values = np.array([0.1, -0.7, 1e-9, 1.0, -1.0], np.float32)
    audio = load(write(tmp_path / "a.wav", values, subtype="FLOAT"))
    assert np.array_equal(audio.samples, values)
    assert audio.warnings == ()


def test_the_hash_is_that_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", noise(0.2))
    assert load(path).info.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("rate", [8000, 11025, 12345, 22050, 44100, 44101, 48000, 96000, 192000])
def test_any_rate_is_resampled_as_soxr_does_in_one_go(tmp_path: Path, rate: int) -> None:
    values = noise(1.3, rate)
    audio = load(write(tmp_path / "a.wav", values, rate))
    assert np.array_equal(audio.samples, soxr.resample(values[:, 0], rate, SAMPLE_RATE, quality="HQ"))
    assert audio.info.sample_rate == rate
    assert audio.info.duration_s == len(values) / rate


@pytest.mark.parametrize("channels", [2, 3, 6, 8, 12])
def test_channels_are_mixed_by_their_mean(tmp_path: Path, channels: int) -> None:
    values = noise(0.3, channels=channels)
    audio = load(write(tmp_path / "a.wav", values, subtype="PCM_16"))
    assert np.array_equal(audio.samples, values.mean(axis=1, dtype=np.float32))
    assert audio.info.channels == channels


def test_three_samples_load(tmp_path: Path) -> None:
    values = np.array([0.5, -0.25, 0.125], np.float32)
    assert np.array_equal(load(write(tmp_path / "a.wav", values)).samples, values)


def test_no_samples_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"a\.wav contains no audio samples") as caught:
        load(write(tmp_path / "a.wav", np.zeros(0, np.float32)))
    assert caught.value.code == "no_samples"


@pytest.mark.parametrize(
    ("name", "codec", "late"),
    [
        ("a.m4a", "aac", 0),
        ("a.mkv", "aac", 0),
        ("a.mov", "pcm_s16le", 0),
        ("a.webm", "libopus", 0),
        ("a.mka", "flac", 0),
        ("a.mp3", "libmp3lame", 0),
        ("a.ogg", "libopus", 0),
        ("a.aac", "aac", 341),  # 1024 samples at 48 kHz: ADTS cannot say that it starts with the encoder's delay
        ("a.ts", "aac", 341),
        ("a.avi", "libmp3lame", 368),
    ],
)
def test_times_in_other_containers_agree_with_the_source(tmp_path: Path, name: str, codec: str, late: int) -> None:
    values = noise(2, 48_000)
    audio = load(encode(tmp_path / name, values, 48_000, codec, container="adts" if name == "a.aac" else None))
    assert lag(audio.samples, soxr.resample(values[:, 0], 48_000, SAMPLE_RATE)) == late
    assert audio.complete
    assert audio.warnings == ()
    assert audio.info.sample_rate == 48_000
    if not late and name != "a.mkv":  # Matroska as ffmpeg writes AAC into it keeps the padding of the last packet
        assert audio.info.duration_s == 2.0


def test_lossless_audio_in_a_container_arrives_bit_for_bit(tmp_path: Path) -> None:
    values = noise(1)
    for name, codec in [("a.mov", "pcm_s16le"), ("b.m4a", "alac"), ("c.mka", "flac"), ("d.mov", "pcm_s24le")]:
        samples = load(encode(tmp_path / name, values, 16_000, codec)).samples
        assert np.array_equal(samples, values[:, 0]), name


@pytest.mark.parametrize(("name", "codec"), [("a.m4a", "aac"), ("a.webm", "libopus")])
def test_eight_channels_in_a_container_are_read(tmp_path: Path, name: str, codec: str) -> None:
    values = noise(1, 48_000, channels=8)
    audio = load(encode(tmp_path / name, values, 48_000, codec))
    assert audio.info.channels == 8
    assert lag(audio.samples, soxr.resample(values.mean(axis=1), 48_000, SAMPLE_RATE)) == 0


def test_the_sound_of_a_video_that_sets_in_late_keeps_its_time(tmp_path: Path) -> None:
    values = noise(1, 48_000)
    audio = load(encode(tmp_path / "a.mp4", values, 48_000, "aac", video=True, delay_s=0.5))
    assert lag(audio.samples, soxr.resample(values[:, 0], 48_000, SAMPLE_RATE), 9000) == pytest.approx(8000, abs=16)
    assert np.abs(audio.samples[:7600]).max() < 1e-5  # then the encoder's lead-in


@pytest.mark.parametrize("heard", [0, 1])
def test_of_several_audio_tracks_the_default_one_is_heard_and_this_is_said(tmp_path: Path, heard: int) -> None:
    both = [noise(0.5), 0.1 * noise(0.5)]
    with av.open(str(tmp_path / "a.mkv"), "w") as output:
        tracks = [output.add_stream("pcm_s16le", rate=16_000, layout="mono") for _ in both]
        tracks[heard].disposition = Disposition.default
        for track, values in zip(tracks, both, strict=True):
            frame = av.AudioFrame.from_ndarray(np.round(values.T * 32_768).astype(np.int16), "s16", "mono")
            frame.sample_rate = 16_000
            output.mux([*track.encode(frame), *track.encode(None)])
    audio = load(tmp_path / "a.mkv")
    np.testing.assert_allclose(audio.samples, both[heard][:, 0], atol=1e-4)
    assert audio.complete
    assert [(w.code, w.message.partition("a.mkv ")[2]) for w in audio.warnings] == [
        ("other_tracks", f"has 2 audio tracks; only track {heard + 1} is used; --track chooses another")
    ]


def test_the_content_decides_and_not_the_suffix(tmp_path: Path) -> None:
    values = noise(0.5)
    for name in ["a.raw", "a.mp4", "a.txt", "a", "-a.mp3", "a b\nc.wav"]:
        path = write(tmp_path / "plain.wav", values).rename(tmp_path / name)
        assert np.array_equal(load(path).samples, values[:, 0])
    path = encode(tmp_path / "b.wav", values, 16_000, "alac", container="mov")
    assert np.array_equal(load(path).samples, values[:, 0])


def test_names_that_are_not_utf8_work_and_print(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9\n.wav")
    try:
        write(tmp_path / "a.wav", noise(0.1)).rename(path)
    except OSError:
        return  # macOS has no such names
    assert load(path).duration_s == pytest.approx(0.1)
    path.write_bytes(b"text")
    with pytest.raises(AudioError) as caught:
        load(path)
    assert caught.value.message.endswith(r"caf\xe9\n.wav is not audio that can be read")


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_nan_and_infinity_are_silenced_with_a_warning(tmp_path: Path, rate: int) -> None:
    values = noise(1, rate)[:, 0]
    values[rate // 4] = np.nan
    values[rate // 2] = np.inf
    values[rate // 2 + 1] = 1e30
    audio = load(write(tmp_path / "a.wav", values, rate, subtype="FLOAT"))
    assert np.isfinite(audio.samples).all()
    assert np.abs(audio.samples).max() < 1
    [warning] = audio.warnings
    assert warning.code == "non_finite"
    assert warning.message.startswith(f"{tmp_path}/a.wav: 3 samples between 0.250 and 0.500 s")
    assert warning.start == 0.25
    assert warning.end == 0.5  # to the millisecond
    if rate == 16_000:
        assert audio.samples[rate // 4] == 0
    outside = load(tmp_path / "a.wav", start_s=0.6)
    assert outside.warnings == ()


def test_nothing_but_nan_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AudioError) as caught:
        load(write(tmp_path / "a.wav", np.full(500, np.nan, np.float32), subtype="FLOAT"))
    assert caught.value.code == "non_finite"


def test_much_that_is_silenced_is_not_a_whole_recording(tmp_path: Path) -> None:
    values = noise(2, 16_000, channels=2)
    values[4_000:6_000] = np.nan
    audio = load(write(tmp_path / "a.wav", values, subtype="FLOAT"))
    assert [(warning.code, warning.start, warning.end) for warning in audio.warnings] == [("corrupt", 0.25, 0.375)]
    assert not audio.complete


def test_nothing_but_silence_and_absurdly_large_samples_is_an_error(tmp_path: Path) -> None:
    values = np.concatenate([np.zeros(100, np.float32), noise(1)[:, 0] * np.float32(1e30)])
    with pytest.raises(AudioError) as caught:
        load(write(tmp_path / "a.wav", values, subtype="FLOAT"))
    assert caught.value.code == "non_finite"
    assert "only silence and NaN, infinite or absurdly large samples" in caught.value.message


def _reversed_wire(spoken: np.ndarray) -> dict[str, np.ndarray]:
    """A voice in both channels, one of them inverted, and what keeps the two from cancelling exactly."""
    pair = np.stack([spoken, -spoken], axis=1)
    clicking = pair.copy()
    clicking[1000:1200] = 0.9
    hissing = pair + 0.003 * np.random.default_rng(5).standard_normal(pair.shape)
    return {
        "exact": pair,
        "noise": hissing,
        "eight bits": np.round(pair * 128) / 128,
        "uneven": pair * [1, 0.9],
        "click": clicking,
        "both": np.concatenate([np.stack([spoken, spoken], axis=1), pair]),
    }


@pytest.mark.parametrize("kind", ["exact", "noise", "eight bits", "uneven", "click", "both"])
def test_of_channels_that_cancel_each_other_one_is_heard_where_they_do(tmp_path: Path, kind: str) -> None:
    spoken = noise(4)[:, 0]
    spoken[:20_000] = spoken[44_000:48_000] = 0
    values = _reversed_wire(spoken)[kind].astype(np.float32)
    audio = load(write(tmp_path / "a.wav", values, subtype="FLOAT"))
    first_s, last_s = (5, 8) if kind == "both" else (1, 4)  # before that nobody speaks
    assert np.array_equal(audio.samples[first_s * SAMPLE_RATE :], values[first_s * SAMPLE_RATE :, 0])
    [warning] = audio.warnings
    assert (warning.code, warning.start, warning.end) == ("cancelled", first_s, last_s)
    assert "only channel 1 is used there" in warning.message
    assert audio.complete
    part = load(tmp_path / "a.wav", start_s=1.3, end_s=3.1)
    assert np.array_equal(part.samples, audio.samples[20_800:49_600])


def test_channels_that_cancel_each_other_are_found_behind_a_lossy_codec(tmp_path: Path) -> None:
    spoken = soxr.resample(noise(4, 8_000)[:, 0], 8_000, 44_100)
    audio = load(write(tmp_path / "a.ogg", np.stack([spoken, -spoken], axis=1), 44_100, subtype="VORBIS"))
    assert [warning.code for warning in audio.warnings] == ["cancelled"]
    expected = soxr.resample(spoken, 44_100, SAMPLE_RATE)
    assert np.corrcoef(audio.samples, expected)[0, 1] > 0.9


def test_a_voice_on_one_of_many_channels_is_not_drowned_by_the_noise_of_the_others(tmp_path: Path) -> None:
    values = 0.001 * np.random.default_rng(1).standard_normal((32_000, 64)).astype(np.float32)
    values[:, 40] += noise(2)[:, 0]
    audio = load(write(tmp_path / "a.wav", values, subtype="FLOAT"))
    assert np.array_equal(audio.samples, values[:, 40])
    assert "only channel 41 is used there" in audio.warnings[0].message


@pytest.mark.parametrize("right", [-0.5, 0.0, 1.0])
def test_channels_that_leave_enough_of_each_other_are_mixed(tmp_path: Path, right: float) -> None:
    values = np.stack([noise(1)[:, 0], noise(1)[:, 0] * np.float32(right)], axis=1)
    audio = load(write(tmp_path / "a.wav", values, subtype="FLOAT"))
    assert np.array_equal(audio.samples, values.mean(axis=1, dtype=np.float32))
    assert (audio.warnings, audio.complete) == ((), True)


def test_two_silent_channels_do_not_cancel_each_other(tmp_path: Path) -> None:
    audio = load(write(tmp_path / "a.wav", np.zeros((16_000, 2), np.float32)))
    assert (audio.warnings, audio.complete) == ((), True)


def test_samples_over_full_scale_are_kept_with_a_warning(tmp_path: Path) -> None:
    values = np.array([0.5, 3.0, -2.0], np.float32)
    audio = load(write(tmp_path / "a.wav", values, subtype="FLOAT"))
    assert np.array_equal(audio.samples, values)
    assert [(w.code, "reach 3, " in w.message) for w in audio.warnings] == [("over_range", True)]
    assert audio.complete


def test_blocks_of_a_stream_join_to_what_load_gives(tmp_path: Path) -> None:
    values = noise(25, 44_100)
    path = write(tmp_path / "a.flac", values, 44_100)
    with stream(path) as audio:
        assert (audio.duration_s, audio.sample_rate, audio.channels, audio.offset_s) == (25.0, 44_100, 1, 0.0)
        blocks = list(audio)
    assert len(blocks) > 2
    assert max(len(block) for block in blocks) <= 10 * SAMPLE_RATE
    assert np.array_equal(np.concatenate(blocks), load(path).samples)


@given(st.lists(st.integers(0, 4000), max_size=12), st.sampled_from([8000, 22050, 44101, 48000]))
@settings(max_examples=25, deadline=None)
def test_resampling_does_not_depend_on_the_blocks(sizes: list[int], rate: int) -> None:
    values = noise(0.5, rate)[:, 0]
    resampler = Resampler(rate)
    parts = [resampler.push(part) for part in np.split(values, np.cumsum(sizes))]
    joined = np.concatenate([*parts, resampler.finish()])
    assert np.array_equal(joined, soxr.resample(values, rate, SAMPLE_RATE, quality="HQ"))


def test_a_longer_file_than_allowed_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", noise(2))
    with pytest.raises(AudioError) as caught:
        stream(path, max_duration_s=1.5)  # nothing is decoded before its first block is asked for
    assert (caught.value.code, caught.value.hint) == ("too_long", "raise the limit with --max-duration")
    assert caught.value.message == f"{path} is at least 2 s long; the limit is 1.5 s"


def test_a_longer_file_than_allowed_is_refused_while_decoding_where_no_length_is_declared(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.aac", noise(4), 16_000, "aac", container="adts")
    assert load(path, max_duration_s=5).info.duration_s == pytest.approx(4.096)
    for part in ({}, {"end_s": 0.5}):
        with pytest.raises(AudioError) as caught:
            load(path, max_duration_s=2, **part)
        assert caught.value.code == "too_long"


def test_a_file_that_changes_meanwhile_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", noise(30))
    with stream(path) as audio, pytest.raises(AudioError) as caught:
        for _ in audio:
            with path.open("ab") as file:
                file.write(b"more")
    assert caught.value.code == "changed"


def test_a_file_that_is_deleted_meanwhile_is_read_to_its_end(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", noise(30))
    with stream(path) as audio:
        n_samples = 0
        for block in audio:
            path.unlink(missing_ok=True)
            n_samples += len(block)
    assert n_samples == 30 * SAMPLE_RATE


def test_a_fifo_is_read_to_its_end(tmp_path: Path) -> None:
    content = encode(tmp_path / "a.m4a", noise(0.5), 16_000, "alac").read_bytes()
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_bytes, args=(content,))
    writer.start()
    audio = load(fifo)
    writer.join()
    assert np.array_equal(audio.samples, noise(0.5)[:, 0])
