"""Which channels and tracks are heard."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import soxr
from audio_files import encode, noise, write

from moss_cli.audio.channels import distinct_channels
from moss_cli.audio.decode import load, stream
from moss_cli.errors import UsageError


def samples_of(path: Path, **options: object) -> np.ndarray:
    with stream(path, **options) as audio:  # type: ignore[arg-type]
        return np.concatenate(list(audio))


@pytest.mark.parametrize("channel", [1, 2, 3])
def test_a_channel_is_heard_bit_for_bit_as_a_file_of_its_own(tmp_path: Path, channel: int) -> None:
    values = noise(3.0, channels=3)
    path = write(tmp_path / "a.wav", values)
    assert np.array_equal(load(path, channel=channel).samples, values[:, channel - 1])
    part = load(path, channel=channel, start_s=0.75, end_s=2.25)
    assert np.array_equal(part.samples, values[12_000:36_000, channel - 1])


def test_a_channel_at_another_rate_is_resampled_as_a_mono_file_is(tmp_path: Path) -> None:
    values = noise(2.0, 44_100, channels=2)
    alone = write(tmp_path / "b.wav", values[:, 1], 44_100)
    both = write(tmp_path / "a.wav", values, 44_100)
    assert np.array_equal(load(both, channel=2).samples, load(alone).samples)


def test_each_channel_has_a_column(tmp_path: Path) -> None:
    values = noise(3.0, 44_100, channels=2)
    path = write(tmp_path / "a.wav", values, 44_100)
    with stream(path, channel="each") as audio:
        assert audio.speakers == ("left", "right")
        found = np.concatenate(list(audio))
    for column in (0, 1):
        alone = load(path, channel=column + 1).samples
        np.testing.assert_allclose(found[:, column], alone, atol=1e-6)


def test_more_than_two_channels_have_numbers(tmp_path: Path) -> None:
    with stream(write(tmp_path / "a.wav", noise(1.0, channels=3)), channel="each") as audio:
        assert audio.speakers == ("channel 1", "channel 2", "channel 3")


@pytest.mark.parametrize("suffix", ["wav", "flac", "m4a", "mkv"])
def test_each_container_gives_its_channels(tmp_path: Path, suffix: str) -> None:
    values = np.stack([noise(2.0)[:, 0], np.zeros(32_000, np.float32)], 1)
    if suffix in ("wav", "flac"):
        path = write(tmp_path / f"a.{suffix}", values)
    else:
        path = encode(tmp_path / f"a.{suffix}", values, 16_000, "aac" if suffix == "m4a" else "flac")
    found = samples_of(path, channel="each")
    assert found.shape[1] == 2
    assert np.abs(found[:, 0]).max() > 0.1
    assert np.abs(found[:, 1]).max() < 0.01


@pytest.mark.parametrize(
    ("other", "is_copy"),
    [
        (lambda one: one, True),
        (lambda one: -one, True),
        (lambda one: one + np.float32(2e-5), True),
        (lambda one: 0.8 * one, False),
        (lambda one: np.roll(one, 40), False),
        (lambda one: 0 * one, False),
    ],
)
def test_a_copy_is_heard_once_and_this_is_said(tmp_path: Path, other: object, is_copy: bool) -> None:
    one = noise(2.0)[:, 0]
    path = write(tmp_path / "a.wav", np.stack([one, other(one)], 1), subtype="FLOAT")  # type: ignore[operator]
    with stream(path, channel="each") as audio:
        assert audio.speakers == (() if is_copy else ("left", "right"))
        found = np.concatenate(list(audio))
        warnings = [(one.code, one.message.partition("a.wav")[2]) for one in audio.warnings]
    assert found.ndim == (1 if is_copy else 2)
    assert audio.complete
    copies = [("same_channels", ": channel 2 is a copy of another, which alone is heard")]
    assert warnings == (copies if is_copy else [])


def test_a_channel_that_differs_only_at_the_end_is_no_copy() -> None:
    one = noise(30.0)
    other = one.copy()
    other[-1600:] = 0
    blocks = [np.hstack([one[i : i + 160_000], other[i : i + 160_000]]) for i in range(0, len(one), 160_000)]
    assert distinct_channels(blocks, 2, 16_000) == (0, 1)
    assert distinct_channels(blocks[:2], 2, 16_000) == (0,)


def test_no_more_is_read_than_it_takes_to_tell_channels_apart() -> None:
    n_read = 0

    def blocks() -> object:
        nonlocal n_read
        while True:
            n_read += 1
            yield noise(1.0, channels=2)

    assert distinct_channels(blocks(), 2, 16_000) == (0, 1)  # type: ignore[arg-type]
    assert n_read == 2


def test_a_channel_that_is_chosen_is_not_mixed_so_that_nothing_cancels(tmp_path: Path) -> None:
    one = noise(3.0)
    path = write(tmp_path / "a.wav", np.hstack([one, -one]))
    [mixed] = load(path).warnings
    assert mixed.code == "cancelled"
    assert mixed.message.endswith("; only channel 1 is used there; --channel chooses one")
    assert load(path, channel=2).warnings == ()


def test_broken_samples_count_only_where_they_are_heard(tmp_path: Path) -> None:
    values = noise(2.0, channels=2)
    values[8_000:16_000, 1] = np.nan
    path = write(tmp_path / "a.wav", values, subtype="FLOAT")
    assert load(path, channel=1).warnings == ()
    assert [one.code for one in load(path, channel=2).warnings] == ["corrupt"]


@pytest.mark.parametrize(
    ("n_channels", "channel", "message", "hint"),
    [
        (1, 2, "a.wav has 1 channel; there is no channel 2", "leave --channel out"),
        (2, 3, "a.wav has 2 channels; there is no channel 3", "--channel takes 1 to 2 for it, mix and each"),
    ],
)
def test_a_channel_that_is_not_there_is_an_error_that_says_what_is(
    tmp_path: Path, n_channels: int, channel: int, message: str, hint: str
) -> None:
    path = write(tmp_path / "a.wav", noise(0.5, channels=n_channels))
    with pytest.raises(UsageError) as caught:
        load(path, channel=channel)
    assert (caught.value.message.removeprefix(f"{tmp_path}/"), caught.value.hint) == (message, hint)
    assert caught.value.code == "channel"


def test_what_a_joined_file_has_without_the_channel_is_silence_and_said(tmp_path: Path) -> None:
    both, alone = write(tmp_path / "a.wav", noise(2.0, channels=2)), write(tmp_path / "b.wav", noise(1.0))
    joined = tmp_path / "c.wav"
    joined.write_bytes(both.read_bytes() + alone.read_bytes())
    audio = load(joined, channel=2)
    assert len(audio.samples) == 48_000
    assert not audio.samples[32_000:].any()
    assert not audio.complete
    [warning] = [one for one in audio.warnings if one.code == "channel_missing"]
    assert (warning.start, warning.end) == (2.0, 3.0)


def two_tracks(path: Path, values: list[np.ndarray]) -> Path:
    with av.open(str(path), "w") as output:
        tracks = [output.add_stream("pcm_s16le", rate=16_000, layout="mono") for _ in values]
        tracks[1].metadata["language"] = "fra"
        for track, one in zip(tracks, values, strict=True):
            frame = av.AudioFrame.from_ndarray(np.round(one.T * 32_768).astype(np.int16), "s16", "mono")
            frame.sample_rate = 16_000
            output.mux([*track.encode(frame), *track.encode(None)])
    return path


def test_a_track_is_heard_that_was_chosen_and_nothing_is_said_of_the_others(tmp_path: Path) -> None:
    values = [noise(0.5), 0.1 * noise(0.5)]
    path = two_tracks(tmp_path / "a.mkv", values)
    for track, one in enumerate(values, 1):
        audio = load(path, track=track)
        np.testing.assert_allclose(audio.samples, one[:, 0], atol=1e-4)
        assert audio.warnings == ()


def test_a_track_that_is_not_there_is_an_error_that_says_what_is(tmp_path: Path) -> None:
    path = two_tracks(tmp_path / "a.mkv", [noise(0.5), noise(0.5)])
    with pytest.raises(UsageError) as caught:
        load(path, track=3)
    assert caught.value.message.endswith(
        "a.mkv has 2 audio tracks, 1 (1 channel), 2 (fra, 1 channel); there is no track 3"
    )
    assert caught.value.hint == "--track takes 1 to 2 for it"
    assert np.array_equal(load(write(tmp_path / "b.wav", noise(0.5)), track=1).samples, noise(0.5)[:, 0])
    with pytest.raises(UsageError, match=r"b\.wav has 1 audio track; there is no track 2"):
        load(tmp_path / "b.wav", track=2)


def test_a_range_of_each_channel_is_that_of_the_whole(tmp_path: Path) -> None:
    values = noise(6.0, 48_000, channels=2)
    path = write(tmp_path / "a.flac", values, 48_000)
    whole = samples_of(path, channel="each")
    part = samples_of(path, channel="each", start_s=2.5, end_s=4.0)
    np.testing.assert_allclose(part, whole[40_000:64_000], atol=1e-4)
    assert len(whole) == len(soxr.resample(values[:, 0], 48_000, 16_000))
