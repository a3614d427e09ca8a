"""Pieces of music: drawn as described, labelled with what sounds, answered in the command's form."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moss_cli.engine.engine import Engine, load_engine
from moss_cli.span import Span
from moss_cli.tasks.music import DescribeMusic
from training.domains import composing, music, notes
from training.domains.composing import Piece, draw_piece
from training.domains.music import FAMILIES, example
from training.domains.notes import BY_NAME, Note, Strike, mix
from training.domains.playing import SCALES, chord_pitches, scale_pitch, strikes

RATE = 16_000
renderer = pytest.mark.skipif(
    not (shutil.which("fluidsynth") and notes.SOUND_FONT.exists()), reason="needs fluidsynth and fluid-soundfont-gm"
)


class Tones:
    """A sine of each note's pitch: what the tests of composing and labelling need, without a renderer."""

    def note(self, instrument: str, pitch: int, velocity: int) -> Note:
        if pitch not in BY_NAME[instrument].pitches:
            raise KeyError(pitch)
        return sine(pitch)


@cache
def sine(pitch: int) -> Note:
    wave = 8000 * np.sin(2 * np.pi * hertz(pitch) * np.arange(int(2.2 * RATE)) / RATE)
    return Note(wave.astype("<i2"), 2.2)


def hertz(pitch: float) -> float:
    return float(440 * 2 ** ((pitch - 69) / 12))


def strongest_hz(samples: np.ndarray, low_hz: float = 0, high_hz: float = RATE / 2) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 15))
    low, high = (round(hz * (1 << 15) / RATE) for hz in (low_hz, high_hz))
    return float((low + spectrum[low : high + 1].argmax()) * RATE / (1 << 15))


def pieces(count: int = 400, *, reserved: bool = False) -> Iterator[Piece]:
    return (draw_piece(random.Random(seed), reserved=reserved) for seed in range(count))


@pytest.mark.parametrize("reserved", [False, True])
def test_pieces_keep_to_their_ranges(reserved: bool) -> None:
    for piece in pieces(reserved=reserved):
        assert piece.tempo_bpm in [*composing.SLOW_BPM, *composing.FAST_BPM]
        assert 7.8 <= piece.n_bars * piece.bar_s <= 13.2
        assert piece.parts[0].first_bar == 0
        assert piece.parts[-1].end_bar == piece.n_bars
        for a, b in pairwise(piece.parts):
            assert a.end_bar == b.first_bar
            assert a.roles != b.roles
        for part in piece.parts:
            assert 0 <= len(part.roles) <= 2
            assert (part.end_bar - part.first_bar) * piece.bar_s >= composing.SHORTEST_SECTION_S


@pytest.mark.parametrize("reserved", [False, True])
def test_harmony_states_the_key(reserved: bool) -> None:
    for piece in pieces(reserved=reserved):
        first, *_, before, last = piece.harmony
        assert (first, before, last) == (0, 4, 0)
        (most, count), *others = Counter(piece.harmony).most_common()
        assert most == 0
        assert all(count > n for _, n in others)


def test_every_note_is_of_the_key_and_the_melody_begins_and_ends_on_its_tonic() -> None:
    for seed, piece in enumerate(pieces(200)):
        scale = {(piece.tonic + step) % 12 for step in SCALES[piece.mode]}
        struck = [s for s in strikes(random.Random(seed), piece, 0.0) if s.instrument != "drums"]
        assert {s.pitch % 12 for s in struck} <= scale
        melody = [s for s in struck if s.instrument in {part.lead for part in piece.parts}]
        ends = (min(melody, key=lambda s: s.start_s), max(melody, key=lambda s: s.start_s))
        assert [s.pitch % 12 for s in ends] == [piece.tonic, piece.tonic]


def test_chords_are_triads_of_the_key() -> None:
    third = {"major": 4, "minor": 3}
    for piece in pieces(100):
        for root, quality in ((0, piece.mode), (3, piece.mode), (4, "major")):
            low, fifth, high = chord_pitches(piece, root)
            assert (fifth - low, high - low) == (7, 12 + third[quality])
            assert low % 12 == scale_pitch(piece, root) % 12


def test_something_is_struck_on_every_beat_and_beats_are_rarely_divided() -> None:
    off, n_strikes = 0, 0
    for seed, piece in enumerate(pieces(200)):
        struck = strikes(random.Random(seed), piece, 0.0)
        at = {round(s.start_s / piece.beat_s, 3) for s in struck}
        n_beats = piece.n_bars * piece.beats_per_bar
        assert set(range(n_beats)) <= at
        off += len([t for t in at if t % 1])
        n_strikes += len(at)
        assert max(s.start_s for s in struck) < n_beats * piece.beat_s
    assert 0.005 < off / n_strikes < 0.06


def test_what_is_kept_for_testing_is_never_drawn_for_training() -> None:
    for reserved in (False, True):
        for piece in pieces(reserved=reserved):
            assert set(piece.figures) <= set(composing.RESERVED_FIGURES if reserved else composing.FIGURES)
            chorded = {part.lead for part in piece.parts if "chords" in part.roles}
            pairs = {(lead, piece.chord_instrument) in composing.RESERVED_PAIRS for lead in chorded}
            assert pairs <= {reserved}
            assert piece.rhythm.split != (1 if reserved else 2) or piece.beats_per_bar == 3
    trained = {p.harmony[:6] for p in pieces() if len(p.harmony) >= 8}
    kept = {p.harmony[:6] for p in pieces(reserved=True) if len(p.harmony) >= 8}
    assert kept and not trained & kept
    assert not set(composing.FIGURES) & set(composing.RESERVED_FIGURES)


def test_every_label_is_drawn() -> None:
    results = [music.describe(piece, 0.0) for piece in pieces(600)]
    assert {r["style"] for r in results} == set(music.STYLES)
    assert {r["mood"] for r in results} == set(music.MOODS.values())
    assert len({r["key"] for r in results}) == 24
    assert {n for r in results for n in r["instruments"]} == set(music.INSTRUMENT_NAMES)
    assert {s["label"] for r in results for s in r["sections"]} == set(music.SECTION_LABELS)
    assert max(len(r["summary"].split()) for r in results) <= 14


def test_style_and_mood_follow_from_metre_drums_tempo_and_mode() -> None:
    for piece in pieces(300):
        result = music.describe(piece, 0.0)
        assert (result["style"] == "waltz") == (piece.beats_per_bar == 3)
        if result["style"] in ("ballad", "folk song"):
            assert "drums" not in result["instruments"]
        if result["style"] in ("rock song", "dance", "march"):
            assert "drums" in result["instruments"]
        assert (result["mood"] in ("sad", "tense")) == (piece.mode == "minor")
        assert (result["mood"] in ("cheerful", "tense")) == (piece.tempo_bpm > 100)


def test_clips_keep_their_length_and_level() -> None:
    for seed in range(15):
        clip = example(random.Random(seed), Tones(), reserved=bool(seed % 2))
        assert clip.samples.dtype == np.float32
        assert (8.0 if seed % 2 else 6.0) <= clip.duration_s <= 14.0
        assert np.abs(clip.samples).max() <= 0.99 + 1e-6
        settings = clip.truth["settings"]
        if settings["noise"] == "none" and np.abs(clip.samples).max() < 0.98:
            assert 20 * np.log10(np.sqrt((clip.samples**2).mean())) == pytest.approx(settings["level_db"], abs=0.1)


def test_half_of_the_clips_trained_on_end_in_the_last_section_and_none_that_are_kept_for_testing() -> None:
    for reserved, share in ((False, (0.35, 0.65)), (True, (0.0, 0.0))):
        n_cut = 0
        for seed in range(60):
            clip = example(random.Random(seed), Tones(), reserved=reserved)
            sections = clip.truth["result"]["sections"]
            bar_s = 60 / clip.truth["result"]["tempo_bpm"] * clip.truth["settings"]["beats_per_bar"]
            bars = (sections[-1]["end"] - sections[0]["start"]) / bar_s
            n_cut += abs(bars - round(bars)) > 0.01
            assert sections[-1]["end"] - sections[-1]["start"] >= 1.5 - 1e-3
            assert sections[-1]["end"] <= clip.duration_s + 1e-3
        assert share[0] <= n_cut / 60 <= share[1]


def test_a_mixed_note_sounds_from_its_start_until_it_is_let_go() -> None:
    out = mix([Strike("flute", 70, notes.LOUD, 0.5, 0.4, 1.0)], Tones(), 2 * RATE)
    sounding = np.flatnonzero(np.abs(out) > 1e-4) / RATE
    assert sounding[0] == pytest.approx(0.5, abs=0.001)
    assert sounding[-1] == pytest.approx(0.9 + notes.RELEASE_S, abs=0.005)
    half = mix([Strike("flute", 70, notes.LOUD, 0.5, 0.4, 0.5)], Tones(), 2 * RATE)
    np.testing.assert_allclose(half, out / 2, atol=1e-6)


def test_tracks_lie_inside_the_clip_and_agree_with_the_result() -> None:
    for seed in range(15):
        clip = example(random.Random(seed), Tones(), reserved=False)
        result = clip.truth["result"]
        assert {t.family for t in clip.tracks} <= FAMILIES == clip.families
        assert all(0 <= t.start_s < t.end_s <= clip.duration_s + 1e-3 for t in clip.tracks)
        assert [t.label for t in clip.tracks if t.family == "key"] == [f"key/{result['key']}"]
        (tempo,) = [int(t.label.split("/")[1]) for t in clip.tracks if t.family == "tempo"]
        assert tempo == result["tempo_bpm"]
        beats = [t.start_s for t in clip.tracks if t.family == "beat"]
        np.testing.assert_allclose(np.diff(beats), 60 / result["tempo_bpm"])
        downs = [t.start_s for t in clip.tracks if t.family == "downbeat"]
        assert downs == beats[:: clip.truth["settings"]["beats_per_bar"]]
        assert {t.label.split("/")[1] for t in clip.tracks if t.family == "instrument"} == set(result["instruments"])


def test_a_pitch_class_sounds_where_its_track_says() -> None:
    """With sines for notes, the strongest partial of a solo is always of the class that is labelled."""
    checked = 0
    for seed in range(150):
        clip = example(random.Random(seed), Tones(), reserved=False)
        sections = clip.truth["result"]["sections"]
        if len(sections) > 1 or sections[0]["label"] != "solo" or clip.truth["settings"]["noise"] != "none":
            continue
        for track in (t for t in clip.tracks if t.family == "chroma" and t.end_s - t.start_s > 0.25):
            part = clip.samples[int((track.start_s + 0.05) * RATE) : int((track.end_s - 0.02) * RATE)]
            pitch = round(69 + 12 * np.log2(strongest_hz(part) / 440))
            others = [
                t for t in clip.tracks if t.family == "chroma" and t.start_s < track.end_s and track.start_s < t.end_s
            ]
            assert f"chroma/{composing.PITCH_CLASSES[pitch % 12]}" in {t.label for t in others}
            checked += 1
    assert checked > 10


@pytest.fixture(scope="module")
def engine() -> Engine:
    return load_engine(Path(__file__).parents[1] / "fixtures" / "reference" / "checkpoint", device="cpu", dtype="fp32")


def test_answers_are_in_the_questions_grammar(engine: Engine) -> None:
    (question,) = DescribeMusic().questions
    assert question.form is not None
    for seed in range(2):
        (asked,) = example(random.Random(seed), Tones(), reserved=False).asked
        assert asked.prompt == question.prompt
        matcher = engine.grammars.matcher(question.form)
        assert matcher.consume_tokens(engine.tokenizer.encode(asked.answer))
        assert matcher.is_accepting()


def test_answers_are_read_as_the_truth() -> None:
    for seed in range(30):
        clip = example(random.Random(seed), Tones(), reserved=bool(seed % 2))
        reading = DescribeMusic().read([asked.answer for asked in clip.asked], Span(0.0, clip.duration_s))
        assert reading.complete
        found = json.loads(reading.result.model_dump_json())
        truth: dict[str, Any] = json.loads(json.dumps(clip.truth))["result"]
        assert list(found) == list(truth)
        said, true = found.pop("sections"), truth.pop("sections")
        assert found == truth
        assert [s["label"] for s in said] == [s["label"] for s in true]
        for side in ("start", "end"):
            np.testing.assert_allclose([s[side] for s in said], [s[side] for s in true], atol=0.0501)


SOME = ("flute", "bass", "drums")


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bank")
    notes.write_bank(folder, [BY_NAME[name] for name in SOME])
    return folder


@renderer
def test_a_bank_is_the_same_bytes_each_time(bank: Path, tmp_path: Path) -> None:
    notes.write_bank(tmp_path, [BY_NAME["drums"]])
    drums = (tmp_path / "notes.i16").read_bytes()
    assert len(drums) > RATE
    assert (bank / "notes.i16").read_bytes().endswith(drums)


@renderer
def test_a_piece_from_a_bank_is_the_piece_that_is_rendered_afresh(bank: Path) -> None:
    def is_played_by_some(seed: int) -> bool:
        piece = draw_piece(random.Random(seed), reserved=False)
        return bool(music.describe(piece, 0.0)["instruments"] == ["flute", "drums"])

    seed = next(seed for seed in range(2000) if is_played_by_some(seed))
    parts = (notes.NoteBank(bank), notes.Rendered())
    a, b = (example(random.Random(seed), part, reserved=False) for part in parts)
    assert a.samples.tobytes() == b.samples.tobytes()
    assert (a.truth, a.asked, a.tracks) == (b.truth, b.asked, b.tracks)


@renderer
def test_notes_that_are_not_in_a_bank_are_an_error(bank: Path) -> None:
    with pytest.raises(KeyError):
        notes.NoteBank(bank).note("violin", 70, notes.LOUD)


@renderer
@pytest.mark.parametrize("pitch", [65, 69, 76, 85, 93])
def test_rendered_notes_have_the_pitch_that_they_are_called_by(bank: Path, pitch: int) -> None:
    whole = notes.NoteBank(bank).note("flute", pitch, notes.LOUD).samples
    f0 = hertz(pitch)
    assert strongest_hz(whole[RATE // 4 : RATE].astype(float), f0 * 0.84, f0 * 1.19) == pytest.approx(f0, rel=0.015)


@renderer
def test_all_notes_are_equally_loud_and_none_is_clipped(bank: Path) -> None:
    kept = notes.NoteBank(bank)
    for name in SOME:
        for pitch in BY_NAME[name].pitches:
            for velocity in (notes.SOFT, notes.LOUD):
                samples = kept.note(name, pitch, velocity).samples / 32768
                frames = samples[: len(samples) // 800 * 800].reshape(-1, 800)
                assert np.sqrt((frames**2).mean(1)).max() == pytest.approx(notes.NOTE_RMS, rel=0.01)
                assert np.abs(samples).max() < 0.99
