"""From a piece as drawn to the notes that are struck, and when."""

from __future__ import annotations

import random
from collections.abc import Iterator

from training.domains.composing import Part, Piece
from training.domains.notes import HAT, KICK, LOUD, MELODY_PITCHES, SNARE, SOFT, Strike

# In minor, the seventh is raised, as V needs it: no two keys have the same seven notes.
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 11)}
LOWEST_TONIC, LOWEST_CHORD, LOWEST_BASS = 70, MELODY_PITCHES.start, 40
# dB from the melody's; every note of a bank is equally loud.
CHORD_DB, BROKEN_DB, BASS_DB, KICK_DB, SNARE_DB, HAT_DB = -9.0, -6.0, -3.0, 0.0, -4.0, -9.0
OFF_BEAT_DB, SPLIT_DB = -2.0, -8.0  # after the bar's first beat; the second of two notes in a beat


def strikes(rng: random.Random, piece: Piece, start_s: float) -> list[Strike]:
    """Every note of the piece, which begins at `start_s`. Something is struck on every beat."""
    return [strike for part in piece.parts for strike in _play(rng, piece, part, start_s)]


def scale_pitch(piece: Piece, step: int) -> int:
    """MIDI pitch of a step of the scale, 0 being the melody's tonic."""
    return _from(LOWEST_TONIC, piece.tonic) + 12 * (step // 7) + SCALES[piece.mode][step % 7]


def chord_pitches(piece: Piece, root: int) -> tuple[int, int, int]:
    """Root, fifth and the third above them: far enough apart to be told apart in a spectrogram."""
    fifth, third = (scale_pitch(piece, root + up) - scale_pitch(piece, root) for up in (4, 9))
    lowest = _from(LOWEST_CHORD, scale_pitch(piece, root))
    return lowest, lowest + fifth, lowest + third


def _from(lowest: int, pitch: int) -> int:
    """The same pitch class within an octave from `lowest`."""
    return lowest + (pitch - lowest) % 12


def _amplitude(db: float) -> float:
    return float(10 ** (db / 20))


def _play(rng: random.Random, piece: Piece, part: Part, start_s: float) -> Iterator[Strike]:
    beats = range(part.first_bar * piece.beats_per_bar, part.end_bar * piece.beats_per_bar)
    gains = {role: rng.uniform(-1.5, 1.5) for role in ("chords", "bass", "drums")}
    legato = rng.uniform(0.78, 0.94)
    for beat in beats:
        at_s = start_s + beat * piece.beat_s
        yield from _melody(piece, part, beat, at_s, legato)
        if "chords" in part.roles:
            yield from _chords(piece, beat, at_s, gains["chords"])
        if "bass" in part.roles:
            yield from _bass(piece, beat, at_s, gains["bass"])
        if "drums" in part.roles:
            yield from _drums(piece, beat, at_s, gains["drums"])


def _melody(piece: Piece, part: Part, beat: int, at_s: float, legato: float) -> Iterator[Strike]:
    bar, in_bar = divmod(beat, piece.beats_per_bar)
    rhythm = piece.rhythm
    # A beat that the melody does not strike must be heard from the others.
    others_beat = "drums" in part.roles or ("chords" in part.roles and piece.chord_pattern != "held")
    may_hold = rhythm.held is not None and bar in rhythm.bars and others_beat
    if may_hold and in_bar - 1 == rhythm.held:
        return
    step, root = _figure_step(piece, beat), piece.harmony[beat // piece.beats_per_slot]
    base = root - 7 if root == 4 else root
    length_s = piece.beat_s * (2 if may_hold and in_bar == rhythm.held else 1)
    if bar in rhythm.bars and in_bar == rhythm.split:
        length_s /= 2
        passing = step - 1 if step else 1
        pitch = scale_pitch(piece, base + passing)
        yield Strike(part.lead, pitch, SOFT, at_s + length_s, length_s * legato, _amplitude(SPLIT_DB))
    velocity, db = (LOUD, 0.0) if in_bar == 0 else (SOFT, OFF_BEAT_DB)
    yield Strike(part.lead, scale_pitch(piece, base + step), velocity, at_s, length_s * legato, _amplitude(db))


def _figure_step(piece: Piece, beat: int) -> int:
    """What the slot's figure has for a beat; of the last slot's figure, the end is played."""
    slot, in_slot = divmod(beat, piece.beats_per_slot)
    figure = piece.figures[slot]
    return figure[in_slot - piece.beats_per_slot] if slot == len(piece.figures) - 1 else figure[in_slot]


def _chords(piece: Piece, beat: int, at_s: float, gain_db: float) -> Iterator[Strike]:
    slot, in_slot = divmod(beat, piece.beats_per_slot)
    root, fifth, third = chord_pitches(piece, piece.harmony[slot])
    db, velocity = CHORD_DB + gain_db, LOUD if in_slot == 0 else SOFT
    length_s = 0.7 * piece.beat_s
    struck: tuple[int, ...]
    if piece.chord_pattern == "held":
        struck, length_s = ((root, fifth, third) if in_slot == 0 else ()), 0.95 * piece.beats_per_slot * piece.beat_s
    elif piece.chord_pattern == "broken":
        struck, length_s = ((root, fifth, third, fifth)[in_slot],), 0.95 * piece.beat_s
        db = BROKEN_DB + gain_db
    elif piece.beats_per_bar == 3:
        struck = (root,) if in_slot == 0 else (fifth, third)
    else:
        struck = (root, fifth, third)
    for pitch in struck:
        yield Strike(piece.chord_instrument, pitch, velocity, at_s, length_s, _amplitude(db))


def _bass(piece: Piece, beat: int, at_s: float, gain_db: float) -> Iterator[Strike]:
    """The chord's root on the first beat of a bar and, of four, on the third."""
    if beat % piece.beats_per_bar in (0, 2) and (piece.beats_per_bar == 4 or beat % 3 == 0):
        pitch = _from(LOWEST_BASS, scale_pitch(piece, piece.harmony[beat // piece.beats_per_slot]))
        yield Strike("bass", pitch, LOUD, at_s, 1.6 * piece.beat_s, _amplitude(BASS_DB + gain_db))


def _drums(piece: Piece, beat: int, at_s: float, gain_db: float) -> Iterator[Strike]:
    in_bar = beat % piece.beats_per_bar
    hits: dict[int, float] = {}
    if piece.drum_pattern == "waltz":
        hits = {KICK: KICK_DB} if in_bar == 0 else {HAT: HAT_DB, SNARE: SNARE_DB + OFF_BEAT_DB}
    elif piece.drum_pattern == "march":
        hits = {SNARE: SNARE_DB} | ({KICK: KICK_DB} if in_bar % 2 == 0 else {})
    else:
        hits = {HAT: HAT_DB} | ({KICK: KICK_DB} if in_bar % 2 == 0 else {SNARE: SNARE_DB})
        if piece.is_fast:
            hits[KICK] = KICK_DB
    for key, db in hits.items():
        yield Strike("drums", key, LOUD if in_bar == 0 else SOFT, at_s, piece.beat_s * 2, _amplitude(db + gain_db))
