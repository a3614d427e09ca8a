"""Long audio in pieces: nothing is lost or doubled, cuts lie in pauses, and memory holds two pieces."""

from __future__ import annotations

import tracemalloc
import warnings
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from audio_files import encode, write
from audio_files import noise as varied_noise
from hypothesis import given, settings
from hypothesis import strategies as st

from moss_cli.audio import pauses
from moss_cli.audio.chunk import Chunk, chunks
from moss_cli.audio.decode import load, stream
from moss_cli.audio.pauses import GRID_SAMPLES, best_cut, find_pauses
from moss_cli.audio.results import SAMPLE_RATE, Audio, Samples
from moss_cli.audio.vad import FRAME_SAMPLES
from moss_cli.errors import AudioError, UsageError
from moss_cli.span import Span

SAMPLES = Path(__file__).parents[2] / "samples"


def cut(samples: Samples, longest_s: float, **options: float) -> list[Chunk]:
    return list(chunks([samples], longest_s=longest_s, **options))


def joints(pieces: Sequence[Chunk]) -> list[str]:
    """How each piece follows the one before: at its end, in a pause, or with an overlap."""
    shared = [at(one.span.end_s) - at(following.span.start_s) for one, following in pairwise(pieces)]
    return ["overlap" if n_samples else "pause" for n_samples in shared]


def joined(pieces: Sequence[Chunk]) -> Samples:
    """The pieces without what each shares with the one before."""
    parts = [pieces[0].samples] if pieces else [silence(0)]
    for one, following in pairwise(pieces):
        parts.append(following.samples[at(one.span.end_s) - at(following.span.start_s) :])
    return np.concatenate(parts)


def at(time_s: float) -> int:
    return round(time_s * SAMPLE_RATE)


def noise(seconds: float, level: float = 0.1, seed: int = 0) -> Samples:
    return (np.random.default_rng(seed).standard_normal(at(seconds)) * level).astype(np.float32)


def silence(seconds: float) -> Samples:
    return np.zeros(at(seconds), np.float32)


def music(seconds: float, seed: int = 0) -> Samples:
    """A chord a second whose end runs into the next."""
    chance = np.random.default_rng(seed)
    values = np.zeros(at(seconds))
    time_s = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    for start in range(0, len(values), SAMPLE_RATE):
        for half_tones in chance.choice(24, 3, replace=False):
            tone = sum(np.sin(2 * np.pi * k * 220 * 2 ** (half_tones / 12) * time_s) / k for k in (1, 2, 3))
            part = values[start : start + 2 * SAMPLE_RATE]
            part += 0.05 * (tone * np.exp(-time_s))[: len(part)]
    return values.astype(np.float32)


def voice(name: str, level: float = 0.1) -> Samples:
    """One sentence of the repository's samples, without what lies before and after it."""
    start_s, end_s = {"weather": (0.414, 2.529), "station": (0.55, 2.295), "meeting": (2.439, 4.604)}[name]
    samples = load(SAMPLES / f"{name}.wav").samples[at(start_s) : at(end_s)]
    return samples * np.float32(level / samples.std())


def spoken(*gaps_s: float) -> tuple[Samples, list[tuple[float, float]]]:
    """Sentences, each followed by one of the gaps, and where the gaps lie."""
    parts: list[Samples] = []
    places: list[tuple[float, float]] = []
    length_s = 0.0
    for place, gap_s in enumerate(gaps_s):
        sentence = voice(["weather", "station", "meeting"][place % 3])
        parts += [sentence, silence(gap_s)]
        length_s += len(sentence) / SAMPLE_RATE
        places.append((length_s, length_s + gap_s))
        length_s += gap_s
    return np.concatenate(parts), places


def gap_of(time_s: float, gaps: list[tuple[float, float]]) -> int:
    """Which gap it lies in; fails where it lies in none."""
    [found] = [index for index, (start_s, end_s) in enumerate(gaps) if start_s < time_s < end_s]
    return found


# --- the pieces are the stream ---


@st.composite
def streams(draw: st.DrawFn) -> list[Samples]:
    """Blocks of any sizes, some empty, of sound and silence."""
    kinds = st.tuples(st.sampled_from([0.0, 1e-5, 0.01, 0.2]), st.integers(0, 30_000))
    parts = [noise(n / SAMPLE_RATE, level, seed) for seed, (level, n) in enumerate(draw(st.lists(kinds, max_size=8)))]
    samples = np.concatenate([silence(0), *parts])
    places = draw(st.lists(st.integers(0, len(samples)), max_size=6))
    return np.split(samples, sorted(places))


@given(streams(), st.floats(1, 4), st.integers(0, 10**9))
@settings(max_examples=60, deadline=None)
def test_without_their_overlaps_the_pieces_are_the_stream(blocks: list[Samples], longest_s: float, first: int) -> None:
    whole = np.concatenate(blocks)
    pieces = list(chunks(blocks, longest_s=longest_s, offset_s=first / SAMPLE_RATE))
    assert np.array_equal(joined(pieces), whole)
    assert [piece.name for piece in pieces] == [str(number) for number in range(len(pieces))]
    for piece, following in pairwise(pieces):
        shared = at(piece.span.end_s) - at(following.span.start_s)
        assert shared in (0, round(at(longest_s) * 0.25))
    for piece in pieces:
        start = at(piece.span.start_s) - first
        assert np.array_equal(piece.samples, whole[start : start + len(piece.samples)])
        assert at(piece.span.end_s) - at(piece.span.start_s) == len(piece.samples) <= at(longest_s)
        assert piece.samples.dtype == np.float32
    if len(whole) > at(longest_s):
        assert min(len(piece.samples) for piece in pieces) >= min(at(2), at(longest_s) // 4) - 1


@given(streams(), st.floats(1, 3))
@settings(max_examples=25, deadline=None)
def test_where_pieces_are_cut_depends_neither_on_the_blocks_nor_on_what_lies_before(
    blocks: list[Samples], longest_s: float
) -> None:
    whole = np.concatenate(blocks)
    pieces = list(chunks(blocks, longest_s=longest_s))
    places = [piece.span for piece in pieces]
    for index, piece in enumerate(pieces):
        again = cut(whole[at(piece.span.start_s) :], longest_s, offset_s=piece.span.start_s)
        assert [piece.span for piece in again] == places[index:]


@pytest.mark.parametrize("length_s", [0.001, 1.0, 29.99, 30.0])
def test_a_stream_that_is_no_longer_is_one_piece(length_s: float) -> None:
    [piece] = cut(noise(length_s), 30, offset_s=12.5)
    assert (piece.span.start_s, piece.name) == (12.5, "0")
    assert piece.span.end_s == pytest.approx(12.5 + length_s, abs=1e-9)
    assert np.array_equal(piece.samples, noise(length_s))


def test_no_blocks_are_no_pieces() -> None:
    assert cut(silence(0), 30) == []
    assert list(chunks([], longest_s=30)) == []


@pytest.mark.parametrize("excess", [1, at(0.5), at(1.9), at(2.1)])
@pytest.mark.parametrize("make", [noise, silence])
def test_no_scrap_is_left_over(make, excess: int) -> None:
    samples = make(20 + excess / SAMPLE_RATE)
    first, last = cut(samples, 20)
    assert last.span.duration_s >= 2
    assert first.span.duration_s <= 20
    assert np.array_equal(joined([first, last]), samples)


@pytest.mark.parametrize("longest_s", [0.5, float("nan")])
def test_lengths_that_make_no_pieces_are_refused_at_once(longest_s: float) -> None:
    with pytest.raises(ValueError, match=r"chunks of"):
        chunks([], longest_s=longest_s)


# --- where they are cut ---


def test_speech_is_cut_in_its_pauses_only() -> None:
    samples, gaps = spoken(*[0.35, 0.5, 0.8, 0.4, 0.6] * 4)
    pieces = cut(samples, 10)
    assert len(pieces) > 5
    assert joints(pieces) == ["pause"] * (len(pieces) - 1)
    for piece in pieces[:-1]:
        gap_of(piece.span.end_s, gaps)


@pytest.mark.parametrize("bed", ["noise", "music"])
def test_speech_over_noise_or_music_is_cut_where_nobody_speaks(bed: str) -> None:
    samples, gaps = spoken(*[0.6, 0.9, 1.2] * 5)
    seconds = len(samples) / SAMPLE_RATE
    behind = noise(seconds, 1) if bed == "noise" else music(seconds)
    pieces = cut(samples + behind[: len(samples)] * np.float32(0.03 / behind.std()), 12)
    assert len(pieces) > 3
    assert set(joints(pieces)) == {"pause"}
    for piece in pieces[:-1]:
        gap_of(piece.span.end_s, gaps)


def test_the_longest_pause_wins() -> None:
    samples, gaps = spoken(0.3, 0.3, 0.3, 1.9, 0.3, 0.3, 0.3)
    first, *_ = cut(samples, 15)
    assert gap_of(first.span.end_s, gaps) == 3


def test_the_quieter_of_two_pauses_wins() -> None:
    parts = [noise(8), noise(0.8, 0.005), noise(3), noise(0.8, 0.0005, seed=1), noise(9)]
    first, *_ = cut(np.concatenate(parts), 20)
    assert 11.8 < first.span.end_s < 12.6


def test_a_pause_on_the_grid_is_cut_there() -> None:
    parts = [noise(8.7), silence(0.7), noise(2.45), silence(0.6), noise(9)]  # 8.7 to 9.4, and 11.85 to 12.45
    first, *_ = cut(np.concatenate(parts), 20)
    assert first.span.end_s == 12.0


def test_a_pause_beside_the_grid_is_cut_in_its_middle() -> None:
    first, *_ = cut(np.concatenate([noise(9), silence(0.8), noise(14)]), 20)
    assert first.span.end_s == pytest.approx(9.4, abs=0.02)


def test_the_grid_starts_with_each_piece() -> None:
    samples = np.concatenate([noise(9), silence(0.8), noise(9), silence(1.2), noise(14)])  # pauses 9-9.8, 18.8-20
    first, second, *_ = cut(samples, 15, offset_s=100.0)
    assert first.span.end_s == pytest.approx(109.4, abs=0.02)
    assert second.span.end_s - second.span.start_s == 10.0


def test_a_marker_at_the_edge_of_a_pause_is_not_used() -> None:
    first, *_ = cut(np.concatenate([noise(9.95), silence(0.5), noise(14)]), 20)
    assert first.span.end_s == pytest.approx(10.2, abs=0.02)


def test_a_pause_before_the_last_part_of_a_piece_is_not_used() -> None:
    pieces = cut(np.concatenate([noise(5), silence(2), noise(20)]), 20)  # what is searched begins at 8 s
    assert (pieces[0].span, joints(pieces)) == (Span(0.0, 20.0), ["overlap"])


@pytest.mark.parametrize("make", [noise, music])
def test_without_pauses_the_pieces_overlap(make) -> None:
    samples = make(50)
    assert [piece.span for piece in cut(samples, 20)] == [Span(0.0, 20.0), Span(15.0, 35.0), Span(30.0, 50.0)]
    first, second = cut(samples, 40)  # 6 s at most
    assert first.span.end_s - second.span.start_s == 6.0


@pytest.mark.parametrize("level", [0.0, 1e-4])
@pytest.mark.parametrize("offset", [0.0, 0.25])
def test_silence_is_one_pause(level: float, offset: float) -> None:
    samples = noise(60, level) + np.float32(offset)
    assert [piece.span for piece in cut(samples, 25)] == [Span(0.0, 18.0), Span(18.0, 36.0), Span(36.0, 60.0)]


@pytest.mark.parametrize("gain", [1e-3, 1.0, 1e3])
def test_pauses_do_not_depend_on_the_level(gain: float) -> None:
    samples, gaps = spoken(*[0.4] * 7)
    samples = (samples + noise(len(samples) / SAMPLE_RATE, 0.001)[: len(samples)]) * np.float32(gain)
    found = find_pauses(samples, 0)
    assert {gap_of(pause.cut / SAMPLE_RATE, gaps) for pause in found} >= set(range(6))


def test_a_click_does_not_make_the_rest_a_pause() -> None:
    samples = noise(20)
    samples[at(3)] = 1e6
    assert find_pauses(samples, at(8)) == []


def test_a_faint_voice_after_a_loud_one_is_no_pause() -> None:
    loud = np.concatenate([voice("meeting", 0.2), voice("station", 0.2)] * 2)
    faint = np.concatenate([voice("station", 0.004), voice("weather", 0.004)] * 2)
    samples = np.concatenate([loud, faint, silence(0.4), loud])
    place_s = (len(loud) + len(faint)) / SAMPLE_RATE
    assert place_s < cut(samples, len(samples) / SAMPLE_RATE - 3)[0].span.end_s < place_s + 0.4


def test_without_a_model_that_hears_speech_quiet_pauses_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(samples: Samples) -> Samples:
        raise ImportError("silero-vad is not installed")

    monkeypatch.setattr(pauses, "speech_probability", missing)
    samples, gaps = spoken(*[0.5] * 8)
    pieces = cut(samples, 10)
    assert set(joints(pieces)) == {"pause"}
    for piece in pieces[:-1]:
        gap_of(piece.span.end_s, gaps)


@pytest.mark.parametrize(("first", "second", "expected_s"), [(0.25, 0.05, 20), (0.05, 0.25, 10)])
def test_what_is_surely_no_speech_is_worth_more(
    monkeypatch: pytest.MonkeyPatch, first: float, second: float, expected_s: int
) -> None:
    """Of two gaps as long and as loud as each other; the answers are given out instead of the network's."""
    probability = np.ones(1000, np.float32)
    probability[300:330], probability[600:630] = first, second  # 9.6 to 10.56 s, 19.2 to 20.16 s
    monkeypatch.setattr(pauses, "speech_probability", lambda samples: probability)
    samples = noise(32)
    assert [(pause.start, pause.end) for pause in find_pauses(samples, 0)] == [
        (pytest.approx(start * FRAME_SAMPLES, abs=160), pytest.approx(end * FRAME_SAMPLES, abs=160))
        for start, end in [(300, 330), (600, 630)]
    ]
    assert best_cut(samples, 0) == at(expected_s)


def test_of_equal_pauses_the_last_is_cut() -> None:
    burst = np.tile(np.float32([0.1, -0.1]), at(3.5) // 2)
    samples = np.concatenate([burst, silence(0.5)] * 6)  # 3.5 to 4, 7.5 to 8 and so on: never well inside the grid
    assert best_cut(samples, 0) == pytest.approx(at(23.75), abs=160)
    assert best_cut(samples, 0) % GRID_SAMPLES


def test_the_samples_are_left_as_they_were_and_nothing_is_said() -> None:
    samples, _ = spoken(0.5, 0.5, 0.5)
    samples.setflags(write=False)
    before = samples.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, *_ = cut(samples, 5)
    first.samples[:] = 0  # a piece is its receiver's own
    assert np.array_equal(samples, before)


# --- memory ---


def test_memory_holds_about_two_pieces_however_long_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    # What it takes to hear speech does not grow with the piece, and is no part of this.
    silent = np.zeros(1, np.float32)
    monkeypatch.setattr(
        pauses, "speech_probability", lambda samples: np.broadcast_to(silent, -(-len(samples) // FRAME_SAMPLES))
    )
    longest_s, block = 60, np.concatenate([noise(9), silence(1)])

    def peak(n_blocks: int) -> float:
        """In pieces."""

        def blocks() -> Iterator[Samples]:
            for _ in range(n_blocks):
                yield from np.split(block.copy(), 10)

        tracemalloc.start()
        n_samples = 0
        for piece in chunks(blocks(), longest_s=longest_s):
            n_samples += len(piece.samples)
            del piece  # what its receiver keeps counts as his
        traced = tracemalloc.get_traced_memory()[1] / (longest_s * SAMPLE_RATE * 4)
        tracemalloc.stop()
        assert n_samples == n_blocks * len(block)
        return traced

    peak(7)  # imports
    assert peak(90) < 2.2
    assert peak(90) == pytest.approx(peak(20), abs=0.2)


def test_no_more_is_read_than_the_next_cut_needs() -> None:
    n_read = 0

    def blocks() -> Iterator[Samples]:
        nonlocal n_read
        for seed in range(100):
            n_read += 1
            yield noise(1, seed=seed)

    pieces = chunks(blocks(), longest_s=20)
    assert n_read == 0
    next(pieces)
    assert n_read == 22


# --- from files ---

_KINDS = ["wav", "wav44", "flac", "mp3", "m4a", "vorbis.ogg", "opus.ogg", "webm"]


@pytest.fixture(scope="module", params=_KINDS)
def recording(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven seconds of noise with two pauses."""
    kind: str = request.param
    path = tmp_path_factory.mktemp("chunk") / f"a.{kind.removesuffix('44')}"
    rate = {"wav": 16_000, "flac": 22_050, "opus.ogg": 48_000, "webm": 48_000}.get(kind, 44_100)
    values = varied_noise(7, rate, channels=2)
    for start_s in (2.2, 4.7):
        values[round(start_s * rate) : round((start_s + 0.4) * rate)] = 0
    if kind == "m4a":
        return encode(path, values, rate, "aac")
    if kind == "webm":
        return encode(path, values, rate, "libopus")
    return write(path, values, rate, **({"subtype": "OPUS"} if kind == "opus.ogg" else {}))


def pieces_of(path: Path, *, longest_s: float = 3.5, **options: float) -> tuple[list[Chunk], Audio]:
    """The pieces of a file, and all else that `load` says, of the stream that they were cut from."""
    with stream(path, **options) as audio:
        pieces = list(chunks(audio, longest_s=longest_s, offset_s=audio.offset_s))
        return pieces, Audio(joined(pieces), audio.offset_s, audio.info(), audio.warnings, audio.complete)


def assert_same(found: Audio, expected: Audio) -> None:
    assert np.array_equal(found.samples, expected.samples)
    for name in ("offset_s", "info", "warnings", "complete"):
        assert getattr(found, name) == getattr(expected, name), name


def test_the_pieces_of_a_file_are_bit_for_bit_what_load_gives(recording: Path) -> None:
    pieces, audio = pieces_of(recording)
    assert_same(audio, load(recording))
    assert joints(pieces) == ["pause", "pause"]
    for piece, middle_s in zip(pieces, (2.4, 4.9), strict=False):
        assert piece.span.end_s == pytest.approx(middle_s, abs=0.11)


@pytest.mark.parametrize(("start_s", "end_s"), [(1.0, 6.0), (2.34567, 6.5), (0.5, None), (None, 5.0)])
def test_the_pieces_of_a_range_keep_the_times_of_the_file(
    recording: Path, start_s: float | None, end_s: float | None
) -> None:
    pieces, audio = pieces_of(recording, start_s=start_s, end_s=end_s)
    assert_same(audio, load(recording, start_s=start_s, end_s=end_s))
    assert pieces[0].span.start_s == round((start_s or 0) * SAMPLE_RATE) / SAMPLE_RATE
    assert pieces[-1].span.end_s == pytest.approx(end_s or audio.info.duration_s, abs=1e-4)
    whole = load(recording).samples
    for piece in pieces:
        assert np.abs(piece.samples - whole[at(piece.span.start_s) : at(piece.span.end_s)]).max() < 1e-3


def test_a_range_that_begins_at_a_piece_gives_the_rest_of_the_pieces(tmp_path: Path) -> None:
    samples, _ = spoken(*[0.5] * 9)
    path = write(tmp_path / "a.wav", samples, subtype="FLOAT")
    pieces, _ = pieces_of(path, longest_s=7)
    again, _ = pieces_of(path, longest_s=7, start_s=pieces[2].span.start_s)
    assert [piece.span for piece in again] == [piece.span for piece in pieces[2:]]


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "m4a", "webm"])
def test_a_cut_file_stays_incomplete(tmp_path: Path, suffix: str) -> None:
    path, values = tmp_path / f"a.{suffix}", varied_noise(12, 48_000)
    if suffix in ("m4a", "webm"):
        codec, options = ("aac", {"movflags": "faststart"}) if suffix == "m4a" else ("libopus", {})
        encode(path, values, 48_000, codec, options=options)
    else:
        write(path, values, 48_000)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    _, audio = pieces_of(path)
    assert not audio.complete
    assert [warning.code for warning in audio.warnings] == ["truncated"]
    assert_same(audio, load(path))


def test_broken_samples_are_silenced_with_the_warning_of_load(tmp_path: Path) -> None:
    values = varied_noise(8)[:, 0]
    values[at(2) : at(2.05)] = np.nan
    values[at(6)] = np.inf
    path = write(tmp_path / "a.wav", values, subtype="FLOAT")
    _, audio = pieces_of(path)
    assert [warning.code for warning in audio.warnings] == ["non_finite"]
    assert_same(audio, load(path))


def test_a_file_is_decoded_once_also_for_its_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.flac", varied_noise(8))
    expected = load(path).info
    with stream(path) as audio:
        list(chunks(audio, longest_s=3))
        monkeypatch.setattr(type(audio), "__iter__", lambda self: pytest.fail("decoded again"))
        assert audio.info() == audio.info() == expected


def test_a_longer_file_than_allowed_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", varied_noise(2))
    with pytest.raises(AudioError) as caught:
        stream(path, max_duration_s=1.5)
    assert (caught.value.code, caught.value.hint) == ("too_long", "raise the limit with --max-duration")


def test_a_longer_file_than_allowed_is_refused_while_it_is_read_where_no_length_is_declared(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.aac", varied_noise(30), 16_000, "aac", container="adts")
    n_pieces = 0
    with stream(path, max_duration_s=12) as audio, pytest.raises(AudioError) as caught:
        for _ in chunks(audio, longest_s=3):
            n_pieces += 1
    assert caught.value.code == "too_long"
    assert 0 < n_pieces < 10
    with stream(path, end_s=5, max_duration_s=12) as audio:
        list(audio)
        with pytest.raises(AudioError):
            audio.info()


def test_a_start_behind_the_end_is_a_usage_error(recording: Path) -> None:
    with pytest.raises(UsageError, match="the range starts at 60 s"):
        pieces_of(recording, start_s=60)
