"""Speech detection: nothing that may be speech is ever called silent; silence, noise and hum are."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
import silero_torch
from safetensors.numpy import save_file

from moss_cli.audio import silero, vad
from moss_cli.audio.decode import load
from moss_cli.audio.results import SAMPLE_RATE, Samples
from moss_cli.audio.silero import FRAME_SAMPLES
from moss_cli.audio.vad import has_speech, silent_stretches, speech_probability
from moss_cli.span import Span

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "fixtures" / "speech"
SPOKEN = [FIXTURES / "reserved", FIXTURES / "training", ROOT / "samples"]
EMPTY = sorted((FIXTURES / "empty").glob("*.flac"))

Sentences = list[tuple[float, float]]


def spoken_clips(folder: Path) -> list[tuple[str, Samples, Sentences]]:
    """Name, samples and sentences (start and end in seconds) of each clip of a folder whose sentences are known."""
    rows = [json.loads(line) for line in (folder / "labels.jsonl").read_text().splitlines()]
    labels = [row for row in rows if "segments" in row]
    files = [next(folder.glob(f"{Path(label['file']).stem}.*")) for label in labels]
    times = [[(segment["start"], segment["end"]) for segment in label["segments"]] for label in labels]
    return [(file.name, load(file).samples, sentences) for file, sentences in zip(files, times, strict=True)]


@pytest.fixture(scope="module")
def clips() -> list[tuple[str, Samples, Sentences]]:
    return spoken_clips(FIXTURES / "reserved")


def spoken_level(samples: Samples, sentences: Sentences) -> float:
    """RMS within the sentences."""
    parts = [samples[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)] for start, end in sentences]
    return float(np.sqrt(np.mean(np.concatenate(parts) ** 2)))


def noise(seconds: float, level: float, colour: str = "white", seed: int = 0) -> Samples:
    """White or pink noise, or mains hum, of that RMS."""
    n = round(seconds * SAMPLE_RATE)
    values = np.random.default_rng(seed).standard_normal(n)
    if colour == "pink":
        spectrum = np.fft.rfft(values)
        values = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), n)
    if colour == "hum":
        time_s = np.arange(n) / SAMPLE_RATE
        values = np.sum([np.sin(2 * np.pi * 50 * k * time_s + k) / k for k in range(1, 9)], axis=0)
    return (values * level / np.sqrt(np.mean(values**2))).astype(np.float32)


def skipped_s(stretches: list[Span], sentences: Sentences) -> float:
    """Seconds of the sentences that lie in the stretches."""
    return sum(max(0.0, min(s.end_s, end) - max(s.start_s, start)) for s in stretches for start, end in sentences)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Probabilities that are given out instead of the network's; a test puts them in."""
    given: list[float] = []
    monkeypatch.setattr(vad, "speech_probability", lambda samples: np.array(given, np.float32))
    return given


@pytest.fixture
def fresh_network() -> Iterator[None]:
    """The weights are read anew in this test and after it."""
    silero.silero.cache_clear()
    yield
    silero.silero.cache_clear()


# --- what is speech ---


@pytest.mark.parametrize("folder", SPOKEN, ids=lambda folder: folder.name)
def test_no_sentence_is_touched_by_a_silent_stretch(folder: Path) -> None:
    for name, samples, sentences in spoken_clips(folder):
        assert has_speech(samples), name
        assert skipped_s(silent_stretches(samples, least_s=0), sentences) == 0, name


@pytest.mark.parametrize("level_db", [-60, -80])
def test_speech_is_heard_at_any_level(clips: list[tuple[str, Samples, Sentences]], level_db: int) -> None:
    for name, samples, sentences in clips:
        faint = samples * np.float32(10 ** (level_db / 20) / spoken_level(samples, sentences))
        faint = (np.round(faint * 32768) / 32768).astype(np.float32)
        assert skipped_s(silent_stretches(faint), sentences) == 0, name
        assert has_speech(faint), name


@pytest.mark.parametrize("scale", [32768.0, 0.5])
def test_speech_is_heard_beside_an_offset_and_beyond_full_scale(
    clips: list[tuple[str, Samples, Sentences]], scale: float
) -> None:
    for name, samples, sentences in clips[:4]:
        moved = ((samples + np.float32(0.3)) * np.float32(scale)).astype(np.float32)
        assert skipped_s(silent_stretches(moved), sentences) == 0, name


def test_faint_speech_is_heard_over_a_rumble(clips: list[tuple[str, Samples, Sentences]]) -> None:
    for name, samples, sentences in clips[:4]:
        time_s = np.arange(len(samples)) / SAMPLE_RATE
        faint = samples * np.float32(0.001 / spoken_level(samples, sentences))
        rumble = 0.1 * np.sin(2 * np.pi * 12 * time_s) + 0.1 * np.sin(2 * np.pi * 7 * time_s)
        assert skipped_s(silent_stretches(faint + rumble.astype(np.float32)), sentences) == 0, name


@pytest.mark.parametrize("colour", ["white", "pink", "hum"])
def test_speech_is_heard_in_noise_as_loud_as_itself(clips: list[tuple[str, Samples, Sentences]], colour: str) -> None:
    for name, samples, sentences in clips:
        noisy = samples + noise(len(samples) / SAMPLE_RATE, spoken_level(samples, sentences), colour)[: len(samples)]
        assert skipped_s(silent_stretches(noisy), sentences) == 0, name


def test_a_faint_speaker_is_heard_after_a_loud_one(clips: list[tuple[str, Samples, Sentences]]) -> None:
    _, loud, loud_sentences = clips[0]
    _, faint, faint_sentences = clips[1]
    loud = loud * np.float32(0.1 / spoken_level(loud, loud_sentences))
    faint = faint * np.float32(0.001 / spoken_level(faint, faint_sentences))
    joined = np.concatenate([loud, noise(4, 1e-4), faint])
    offset_s = len(loud) / SAMPLE_RATE + 4
    sentences = loud_sentences + [(start + offset_s, end + offset_s) for start, end in faint_sentences]
    assert skipped_s(silent_stretches(joined), sentences) == 0


def test_speech_is_heard_after_minutes_of_noise(clips: list[tuple[str, Samples, Sentences]]) -> None:
    _, samples, sentences = clips[2]
    level = spoken_level(samples, sentences) * 0.1
    joined = np.concatenate([noise(120, level), samples + noise(len(samples) / SAMPLE_RATE, level)[: len(samples)]])
    stretches = silent_stretches(joined)
    assert skipped_s(stretches, [(start + 120, end + 120) for start, end in sentences]) == 0
    assert skipped_s(stretches, [(0, 120)]) > 105


# --- what is not ---


def test_of_committed_clips_without_speech_nearly_all_is_skipped() -> None:
    audios = [load(path) for path in EMPTY]
    skipped = [skipped_s(silent_stretches(audio.samples), [(0, audio.duration_s)]) for audio in audios]
    assert sum(not has_speech(audio.samples) for audio in audios) >= len(audios) - 1
    assert sum(skipped) > 0.95 * sum(audio.duration_s for audio in audios)


@pytest.mark.parametrize("level_db", [-80, -50, -20])
@pytest.mark.parametrize("colour", ["white", "hum"])
def test_noise_and_hum_are_one_silent_stretch_at_any_level(colour: str, level_db: int) -> None:
    samples = noise(20, 10 ** (level_db / 20), colour)
    assert not has_speech(samples)
    assert silent_stretches(samples) == [Span(0.0, 20.0)]


@pytest.mark.parametrize("seed", [0, 1])
def test_of_pink_noise_nearly_all_is_skipped(seed: int) -> None:
    assert skipped_s(silent_stretches(noise(20, 0.03, "pink", seed)), [(0, 20)]) > 17


@pytest.mark.parametrize("offset", [0.0, 0.25])
def test_digital_silence_has_probability_zero_and_needs_no_model(
    monkeypatch: pytest.MonkeyPatch, fresh_network: None, offset: float
) -> None:
    monkeypatch.setattr(silero, "find_spec", lambda name: None)
    samples = np.full(3 * SAMPLE_RATE, offset, np.float32)
    assert speech_probability(samples).tolist() == [0.0] * 94
    assert silent_stretches(samples) == [Span(0.0, 3.0)]


def test_silence_around_speech_is_found_up_to_the_margin(clips: list[tuple[str, Samples, Sentences]]) -> None:
    _, samples, sentences = clips[0]
    joined = np.concatenate([np.zeros(10 * SAMPLE_RATE, np.float32), samples, np.zeros(10 * SAMPLE_RATE, np.float32)])
    first, *_, last = silent_stretches(joined)
    spoken = (sentences[0][0] + 10, sentences[-1][1] + 10)
    assert first.start_s == 0
    assert last.end_s == len(joined) / SAMPLE_RATE
    assert 0.3 < spoken[0] - first.end_s < 1.5
    assert 0.3 < last.start_s - spoken[1] < 2


# --- stretches ---


def test_stretches_keep_the_margin_and_reach_both_ends(answers: list[float]) -> None:
    answers[:] = [0.0] * 100 + [0.9] * 10 + [0.01] * 200 + [0.04] + [0.0] * 100
    samples = np.zeros(411 * FRAME_SAMPLES, np.float32)
    expected = [(0.0, 3.2 - 0.5), (3.52 + 0.5, 9.92 - 0.5), (9.952 + 0.5, 13.152)]
    found = silent_stretches(samples, threshold=0.04, margin_s=0.5, least_s=1.0)
    assert [(s.start_s, s.end_s) for s in found] == [pytest.approx(pair) for pair in expected]


def test_stretches_shorter_than_the_least_are_left_out(answers: list[float]) -> None:
    answers[:] = [0.9] + [0.0] * 125 + [0.9] + [0.0] * 94 + [0.9]  # 4 s and 3.008 s of silence
    samples = np.zeros(len(answers) * FRAME_SAMPLES, np.float32)
    assert len(silent_stretches(samples, margin_s=0.5, least_s=2.0)) == 2
    assert len(silent_stretches(samples, margin_s=0.5, least_s=2.5)) == 1
    assert silent_stretches(samples, margin_s=0.5, least_s=3.5) == []
    assert silent_stretches(samples, margin_s=2.5, least_s=0.0) == []


def test_a_probability_at_the_threshold_counts_as_speech(answers: list[float]) -> None:
    samples = np.zeros(FRAME_SAMPLES, np.float32)
    answers[:] = [0.5]
    assert silent_stretches(samples, threshold=0.5) == []
    assert silent_stretches(samples, threshold=0.51) == [Span(0.0, 0.032)]


def test_what_is_no_number_counts_as_speech() -> None:
    broken = np.full(SAMPLE_RATE, np.nan, np.float32)
    assert has_speech(broken)
    assert silent_stretches(broken) == []


def test_no_samples_have_no_speech_and_no_stretches() -> None:
    nothing = np.zeros(0, np.float32)
    assert speech_probability(nothing).shape == (0,)
    assert silent_stretches(nothing) == []
    assert has_speech(nothing) is False


# --- the network ---


@pytest.mark.parametrize(("n_samples", "n_frames"), [(1, 1), (512, 1), (513, 2), (16_000, 32), (31 * 512 + 1, 32)])
def test_there_is_one_probability_for_each_32_ms(n_samples: int, n_frames: int) -> None:
    probability = speech_probability(noise(2, 0.1)[:n_samples])
    assert probability.shape == (n_frames,)
    assert probability.dtype == np.float32
    assert probability.min() >= 0
    assert probability.max() <= 1


def test_the_probability_does_not_depend_on_the_size_of_a_block(
    monkeypatch: pytest.MonkeyPatch, clips: list[tuple[str, Samples, Sentences]]
) -> None:
    samples = clips[0][1]
    whole = speech_probability(samples)
    monkeypatch.setattr(vad, "_BLOCK_FRAMES", 32)
    assert np.abs(speech_probability(samples) - whole).max() < 1e-4


def test_the_network_is_the_one_that_the_threshold_was_measured_with() -> None:
    probability = speech_probability(load(FIXTURES / "reserved" / "transcribe-1000101-0002.flac").samples)
    assert len(probability) == 111
    assert probability[:3].tolist() == pytest.approx([0.0333, 0.0511, 0.0528], abs=2e-3)
    assert probability[14:20].tolist() == pytest.approx([0.0762, 0.1907, 0.4405, 0.7317, 0.9348, 0.9982], abs=2e-3)
    assert probability.mean() == pytest.approx(0.7438, abs=1e-3)


def test_the_input_is_left_as_it_was(clips: list[tuple[str, Samples, Sentences]]) -> None:
    samples = clips[0][1].copy()
    samples.setflags(write=False)
    first = speech_probability(samples)
    assert np.array_equal(samples, clips[0][1])
    assert np.array_equal(speech_probability(samples), first)


@pytest.mark.parametrize("n_frames", [1, 5, 64])
def test_the_network_gives_what_torch_gives(n_frames: int) -> None:
    samples = noise(n_frames * 0.032 + 0.004, 0.1, seed=n_frames)
    streams = np.stack([samples, samples[::-1] * np.float32(10)])
    network = silero.silero()
    found, state = network.listen(streams, network.start(2))
    again, _ = network.listen(streams[::-1].copy(), state)
    assert np.abs(found - silero_torch.probability(streams)[0]).max() < 1e-4
    assert (
        np.abs(again - silero_torch.probability(streams[::-1].copy(), silero_torch.probability(streams)[1])[0]).max()
        < 1e-4
    )


def test_loud_noise_and_no_number_raise_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    network = silero.silero()
    for value in (1e20, np.nan):
        network.listen(np.full((1, 64 + 512), value, np.float32), network.start(1))
    assert not [one for one in recwarn if "overflow" in str(one.message) and "exp" in str(one.message)]


def test_importing_the_module_imports_neither_torch_nor_the_package() -> None:
    code = "import sys, moss_cli.audio.vad; print({'torch', 'safetensors', 'silero_vad'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "set()\n"


def test_a_missing_package_is_an_import_error(monkeypatch: pytest.MonkeyPatch, fresh_network: None) -> None:
    monkeypatch.setattr(silero, "find_spec", lambda name: None)
    for ask in (has_speech, silent_stretches, speech_probability):
        with pytest.raises(ImportError, match="silero-vad is not installed"):
            ask(noise(1, 0.1))


@pytest.mark.parametrize("content", ["nothing", "garbage", "other tensors", "other shapes"])
def test_a_package_with_another_model_is_an_import_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_network: None, content: str
) -> None:
    path = tmp_path / "data" / "silero_vad_16k.safetensors"
    path.parent.mkdir()
    if content == "garbage":
        path.write_bytes(b"\xff" * 100)
    elif content != "nothing":
        names = ["a"] if content == "other tensors" else silero._SHAPES
        save_file({name: np.zeros(3, np.float32) for name in names}, path)
    spec = ModuleSpec("silero_vad", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(silero, "find_spec", lambda name: spec)
    with pytest.raises(ImportError, match="no supported model"):
        has_speech(noise(1, 0.1))
