"""Pieces of music: how a drawn piece becomes a clip, and what is true of it."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from moss_cli.tasks.music import DescribeMusic
from training.clips import NOISES, noise
from training.domains.composing import PITCH_CLASSES, Part, Piece, draw_piece
from training.domains.notes import INSTRUMENTS, NoteBank, Rendered, Strike, mix, sounds_for
from training.domains.notes import Notes as Parts
from training.domains.playing import strikes
from training.examples import SAMPLE_RATE, Asked, Example, Track, in_json, tenths

__all__ = [
    "INSTRUMENT_NAMES",
    "MOODS",
    "SECTION_LABELS",
    "STYLES",
    "NoteBank",
    "Parts",
    "Rendered",
    "example",
]

STYLES = ("ballad", "folk song", "rock song", "dance", "march", "waltz")
MOODS = {("major", False): "calm", ("major", True): "cheerful", ("minor", False): "sad", ("minor", True): "tense"}
SECTION_LABELS = ("solo", "with chords", "with bass", "with drums", "full band")
INSTRUMENT_NAMES = tuple(instrument.name for instrument in INSTRUMENTS)

BEAT_MARK_S = 0.06
CUT = 0.5  # of the clips trained on end before the piece does: else its length would tell its tempo
SHORTEST_CUT_S, LAST_PART_S = 6.0, 1.5  # what is left of a piece that is cut, and of its last section
FAMILIES = frozenset({"tempo", "key", "instrument", "chroma", "beat", "downbeat"})

LEVEL_DB, SNR_DB, NOISY_SHARE = (-35.0, -15.0), (20.0, 50.0), 0.4
SAMPLE_RATES = (16_000, 22_050, 32_000, 44_100, 48_000)  # at lower ones instruments lose what tells them apart


def example(rng: random.Random, parts: Parts, *, reserved: bool) -> Example:
    """A piece of 8 to 14 s. `parts` gives the notes: `NoteBank` in training, `Rendered` elsewhere."""
    piece = draw_piece(rng, reserved=reserved)
    start_s = rng.uniform(0.1, 0.4)
    struck = strikes(rng, piece, start_s)
    end_s = start_s + piece.n_bars * piece.bar_s
    stop_s = end_s + rng.uniform(0.1, 0.4)
    if not reserved and rng.random() < CUT:
        last_s = start_s + piece.parts[-1].first_bar * piece.bar_s
        stop_s = rng.uniform(max(SHORTEST_CUT_S, last_s + LAST_PART_S), end_s)
    n_samples = round(stop_s * SAMPLE_RATE)
    samples, settings = _finish(rng, mix(struck, parts, n_samples))
    result = describe(piece, start_s, stop_s)
    timed = [section | {side: tenths(section[side]) for side in ("start", "end")} for section in result["sections"]]
    answer = in_json(result | {"sections": timed})
    return Example(
        samples=samples,
        truth={"result": result, "settings": settings | _composition(piece)},
        asked=tuple(Asked(question.prompt, answer) for question in DescribeMusic().questions),
        tracks=(
            *_wholes(piece, stop_s),
            *_until(stop_s, _rhythm(piece, start_s)),
            *_until(stop_s, _sounding(piece, struck, parts, start_s)),
        ),
        families=FAMILIES,
    )


def describe(piece: Piece, start_s: float, stop_s: float = math.inf) -> dict[str, Any]:
    """The `result` of a piece that begins at `start_s`, in a clip that ends at `stop_s`; its fields in the order of
    the task's."""
    style, mood = style_of(piece), MOODS[piece.mode, piece.is_fast]
    instruments = [name for name in INSTRUMENT_NAMES if any(name in _players(piece, part) for part in piece.parts)]
    listed = " and ".join(filter(None, [", ".join(instruments[:-1]), instruments[-1]]))
    return {
        "style": style,
        "tempo_bpm": piece.tempo_bpm,
        "key": piece.key,
        "instruments": instruments,
        "mood": mood,
        "summary": f"A {mood} {style} in {piece.key} for {listed}.",
        "sections": [
            {
                "start": round(start_s + part.first_bar * piece.bar_s, 3),
                "end": round(min(stop_s, start_s + part.end_bar * piece.bar_s), 3),
                "label": section_label(part),
            }
            for part in piece.parts
        ],
    }


def style_of(piece: Piece) -> str:
    """Three beats to the bar are a waltz; of the rest, drums and tempo decide."""
    if piece.beats_per_bar == 3:
        return "waltz"
    if piece.drum_pattern == "march":
        return "march"
    if piece.drum_pattern:
        return "dance" if piece.is_fast else "rock song"
    return "folk song" if piece.is_fast else "ballad"


def section_label(part: Part) -> str:
    """Who plays with the melody."""
    if len(part.roles) > 1:
        return "full band"
    return "".join(f"with {role}" for role in part.roles) or "solo"


def _players(piece: Piece, part: Part) -> set[str]:
    return {part.lead, *(piece.chord_instrument if role == "chords" else role for role in part.roles)}


def _composition(piece: Piece) -> dict[str, Any]:
    """What was drawn, as far as the result does not say it."""
    return {
        "beats_per_bar": piece.beats_per_bar,
        "harmony": list(piece.harmony),
        "drum_pattern": piece.drum_pattern,
        "chord_pattern": piece.chord_pattern,
        "split": piece.rhythm.split,
        "held": piece.rhythm.held,
    }


def _finish(rng: random.Random, samples: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """Set the level and, in part of the clips, put noise below: [n_samples] float32."""
    level_db = rng.uniform(*LEVEL_DB)
    target = 10 ** (level_db / 20)
    out = samples * np.float32(target / np.sqrt(np.vdot(samples, samples) / len(samples)))
    kind, snr_db = None, None
    if rng.random() < NOISY_SHARE:
        kind, snr_db = rng.choice(NOISES), rng.uniform(*SNR_DB)
        # Pink noise is made by FFT, which lengths with large factors make twenty times slower.
        whole = -(-len(out) // SAMPLE_RATE) * SAMPLE_RATE
        wave = noise(np.random.default_rng(rng.getrandbits(48)), kind, whole)
        out += wave[: len(out)] * np.float32(target * 10 ** (-snr_db / 20))
    peak = float(np.abs(out).max())
    if peak > 0.99:
        out *= np.float32(0.99 / peak)
    settings = {
        "level_db": round(level_db, 1),
        "noise": kind or "none",
        "snr_db": None if snr_db is None else round(snr_db, 1),
        "sample_rate": rng.choice(SAMPLE_RATES),
    }
    return out, settings


def _wholes(piece: Piece, duration_s: float) -> Iterator[Track]:
    """What holds for the whole clip."""
    yield Track(0.0, duration_s, f"tempo/{piece.tempo_bpm}")
    yield Track(0.0, duration_s, f"key/{piece.key}")


def _until(stop_s: float, tracks: Iterable[Track]) -> Iterator[Track]:
    """What is heard before a clip ends."""
    return (replace(track, end_s=min(stop_s, track.end_s)) for track in tracks if track.start_s < stop_s)


def _rhythm(piece: Piece, start_s: float) -> Iterator[Track]:
    for beat in range(piece.n_bars * piece.beats_per_bar):
        at_s = start_s + beat * piece.beat_s
        for family in ("beat", "downbeat") if beat % piece.beats_per_bar == 0 else ("beat",):
            yield Track(at_s - BEAT_MARK_S / 2, at_s + BEAT_MARK_S / 2, f"{family}/on")


def _sounding(piece: Piece, struck: Sequence[Strike], notes: Parts, start_s: float) -> Iterator[Track]:
    """Instruments by section, pitch classes by note. The bass's pitch lies too low to be told: it only
    doubles the root of the harmony, and has no chroma of its own."""
    for name in INSTRUMENT_NAMES:
        plays = [part for part in piece.parts if name in _players(piece, part)]
        for start, end in _joined((part.first_bar * piece.bar_s, part.end_bar * piece.bar_s) for part in plays):
            yield Track(start_s + start, start_s + end, f"instrument/{name}")
    pitched = [strike for strike in struck if strike.instrument not in ("bass", "drums")]
    for pitch_class, name in enumerate(PITCH_CLASSES):
        sounds = [strike for strike in pitched if strike.pitch % 12 == pitch_class]
        for start, end in _joined((s.start_s, s.start_s + sounds_for(s, notes)) for s in sounds):
            yield Track(start, end, f"chroma/{name}")


def _joined(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Spans in order, those that touch or overlap made one."""
    joined: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1] + 1e-6:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined
