"""Parts of files: a range holds what the same range of the whole file holds."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from audio_files import encode, noise, write
from hypothesis import given, settings
from hypothesis import strategies as st

from moss_cli.audio.decode import load, stream
from moss_cli.audio.frames import FrameConverter
from moss_cli.audio.results import SAMPLE_RATE
from moss_cli.audio.sndfile import _SequentialFile
from moss_cli.errors import UsageError

_LENGTH_S = 6.0
_LONG_S = 60.0  # so long that a page of Vorbis and the index of a Matroska file lie before a range
_KINDS = ["wav16", "flac16", "wav44", "odd", "mp3", "mp3_bare", "vorbis", "opus", "aac", "webm", "flac_mka", "adts"]
_SOUGHT = ["wav44", "flac44", "mp3", "vorbis", "opus", "aac", "webm", "aac_mka", "mp3_mka"]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("range")

    @cache
    def made(kind: str) -> tuple[Path, np.ndarray]:
        rate = {"wav44": 44_100, "odd": 44_101, "aac": 44_100, "opus": 48_000, "webm": 48_000}.get(kind, 16_000)
        values = noise(_LENGTH_S, rate)
        path = _make(folder, kind, values, rate)
        return path, load(path).samples

    return made


@pytest.fixture(scope="module", params=_SOUGHT)
def long_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    rate = 48_000 if request.param in ("opus", "webm") else 44_100
    path = _make(tmp_path_factory.mktemp("long"), request.param, noise(_LONG_S, rate), rate)
    return path, load(path).samples


def _make(folder: Path, kind: str, values: np.ndarray, rate: int) -> Path:
    path = folder / kind
    match kind:
        case "wav16" | "wav44" | "odd":
            return write(path, values, rate, format="WAV")
        case "flac16" | "flac44":
            return write(path, values, rate, format="FLAC")
        case "mp3":
            return write(path, values, rate, format="MP3")
        case "mp3_bare":
            return encode(path, values, rate, "libmp3lame", container="mp3", options={"write_xing": "0"})
        case "vorbis":
            return write(path, values, rate, format="OGG")
        case "opus":
            return write(path, values, rate, format="OGG", subtype="OPUS")
        case "aac":
            return encode(path, values, rate, "aac", container="mp4")
        case "webm":
            return encode(path, values, rate, "libopus", container="webm")
        case "aac_mka":
            return encode(path, values, rate, "aac", container="matroska")
        case "mp3_mka":
            return encode(path, values, rate, "libmp3lame", container="matroska")
        case "flac_mka":
            return encode(path, values, rate, "flac", container="matroska")
        case _:
            return encode(path, values, rate, "aac", container="adts")


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize(("start_s", "end_s"), [(0.0, 0.5), (0.25, 3.0), (2.9, 3.1), (4.00003, 5.5), (5.9, None)])
def test_a_range_equals_the_slice_of_the_whole(make, kind: str, start_s: float, end_s: float | None) -> None:
    path, whole = make(kind)
    part = load(path, start_s=start_s, end_s=end_s)
    first = round(start_s * SAMPLE_RATE)
    expected = whole[first : None if end_s is None else round(end_s * SAMPLE_RATE)]
    assert len(part.samples) == len(expected)
    assert np.abs(part.samples - expected).max() < (1e-4 if kind == "aac" else 1e-6)
    assert part.offset_s == first / SAMPLE_RATE
    assert part.info.duration_s == pytest.approx(len(whole) / SAMPLE_RATE, abs=0.03)
    assert (part.warnings, part.complete) == ((), True)


@given(st.floats(0, 5.9), st.floats(0.001, 6), st.sampled_from(["wav16", "flac16", "odd"]))
@settings(max_examples=60, deadline=None)
def test_any_range_equals_the_slice_of_the_whole(make, start_s: float, length_s: float, kind: str) -> None:
    path, whole = make(kind)
    part = load(path, start_s=start_s, end_s=start_s + length_s)
    expected = whole[round(start_s * SAMPLE_RATE) : round((start_s + length_s) * SAMPLE_RATE)]
    assert len(part.samples) == len(expected)
    if kind == "odd":
        assert np.abs(part.samples - expected).max() < 1e-6
    else:
        assert np.array_equal(part.samples, expected)
    assert ("range_clamped" in [w.code for w in part.warnings]) == (start_s + length_s > _LENGTH_S + 0.001)


@pytest.mark.parametrize("kind", _KINDS)
def test_a_start_past_the_end_is_a_usage_error_that_says_how_long_the_file_is(make, kind: str) -> None:
    path, whole = make(kind)
    with pytest.raises(UsageError) as caught:
        load(path, start_s=60)
    assert caught.value.code == "range"
    length = f"{len(whole) / SAMPLE_RATE:.2f}"[:-2].rstrip("0").rstrip(".")
    assert caught.value.message.startswith(f"the range starts at 60 s, but {path} is only {length}")


def test_a_start_at_the_end_is_a_usage_error(make) -> None:
    for kind in ["wav16", "wav44", "odd", "aac"]:
        with pytest.raises(UsageError, match=r"the range starts at 6 s, but .* is only 6 s long"):
            load(make(kind)[0], start_s=6.0)


@pytest.mark.parametrize("kind", ["wav16", "mp3", "aac"])
def test_an_end_past_the_end_is_clamped_with_a_warning(make, kind: str) -> None:
    path, whole = make(kind)
    part = load(path, start_s=5, end_s=7.5)
    assert np.abs(part.samples - whole[5 * SAMPLE_RATE :]).max() < 1e-4
    assert [(w.code, w.start) for w in part.warnings] == [("range_clamped", 6.0)]
    assert part.warnings[0].message == f"{path} is only 6 s long; the range was to end at 7.5 s"
    assert part.complete


@pytest.mark.parametrize(
    ("start_s", "end_s"), [(2, 1), (1, 1), (1, 1.00001), (-1, None), (None, 0), (float("nan"), None), (0, float("inf"))]
)
def test_a_range_that_no_file_has_is_a_usage_error(make, start_s: float | None, end_s: float | None) -> None:
    with pytest.raises(UsageError) as caught:
        load(make("wav16")[0], start_s=start_s, end_s=end_s)
    assert caught.value.code == "range"


# --- without decoding what lies before ---


@pytest.mark.parametrize(("start_s", "end_s"), [(24.6, 26.1), (57.0003, None)])
def test_a_range_is_sought_and_not_decoded_up_to_and_equals_the_slice_of_the_whole(
    long_file: tuple[Path, np.ndarray],
    start_s: float,
    end_s: float | None,
    capfd: pytest.CaptureFixture[str],
) -> None:
    path, whole = long_file
    n_decoded = 0

    def counted(read: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
        def block(*args: object, **options: object) -> np.ndarray:
            nonlocal n_decoded
            values = read(*args, **options)
            n_decoded += len(values)
            return values

        return block

    with stream(path, start_s=start_s, end_s=end_s) as audio:
        readers = [
            one for one in vars(audio._decoder._decoder).values() if isinstance(one, _SequentialFile | FrameConverter)
        ]
        assert readers
        for one in readers:
            name = "read" if isinstance(one, _SequentialFile) else "float32"
            setattr(one, name, counted(getattr(one, name)))
        samples, rate = np.concatenate(list(audio)), audio.sample_rate
        n_of_range = n_decoded
        assert audio.info().duration_s == pytest.approx(_LONG_S, abs=0.06)
    expected = whole[round(start_s * SAMPLE_RATE) : None if end_s is None else round(end_s * SAMPLE_RATE)]
    assert len(samples) == len(expected)
    assert np.abs(samples - expected).max() < (1e-4 if "aac" in path.name else 1e-6)
    page_s = 255 * 4096 / rate if path.name == "vorbis" else 0
    assert n_of_range < rate * ((end_s or _LONG_S) - start_s + page_s + 13)  # blocks of 10 s, and a second around it
    assert capfd.readouterr() == ("", "")
