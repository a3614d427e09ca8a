"""How a piece of music is drawn: metre, tempo, key, harmony, who plays what, and when."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Mode = Literal["major", "minor"]
Role = Literal["chords", "bass", "drums"]
DrumPattern = Literal["march", "beat", "waltz"]
ChordPattern = Literal["held", "pulse", "broken"]

PITCH_CLASSES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
MODES: tuple[Mode, ...] = ("major", "minor")
# Slow and fast mean different moods and styles: no piece is drawn between them.
# They are marks of the metronome, 7 to 10 % apart: what lies between two of them is neither.
SLOW_BPM, FAST_BPM = (60, 66, 72, 80, 88, 96), (104, 112, 120, 132, 144, 160, 176)
MARCH_BPM, SLOW_WALTZ_BPM = FAST_BPM[:4], SLOW_BPM[4:]

LEADS = ("piano", "guitar", "violin", "flute", "trumpet", "organ", "marimba", "music box")
CHORDS = ("piano", "guitar", "organ")
RESERVED_PAIRS = frozenset(  # of lead and chords
    {("violin", "organ"), ("flute", "piano"), ("trumpet", "guitar"), ("marimba", "organ"), ("music box", "guitar")}
)

# Steps of the scale, from 0, on which chords stand: I, IV and V, half of them I.
PROGRESSIONS = ((0, 3, 4, 0), (0, 4, 3, 0), (0, 0, 3, 4), (0, 4, 0, 3), (0, 3, 0, 4), (0, 4, 4, 0))
RESERVED_PROGRESSIONS = ((0, 0, 4, 3), (0, 3, 3, 0))
# What the melody plays over a chord, in steps of the scale from the chord's root.
FIGURES = (
    (0, 2, 4, 2), (0, 1, 2, 1), (0, 4, 2, 4), (2, 4, 2, 0), (4, 2, 0, 2), (4, 3, 2, 0), (2, 0, 4, 0), (4, 2, 1, 0),
    (0, 2, 1, 0),
)  # fmt: skip
RESERVED_FIGURES = ((0, 1, 2, 4), (2, 4, 0, 2), (4, 2, 4, 0))

SHORTEST_SECTION_S = 2.4
MUSIC_S = (7.8, 13.2)


@dataclass(frozen=True)
class Kind:
    """A metre and rhythm section with its tempi, and the accompaniments that make it audible."""

    beats_per_bar: int
    drums: DrumPattern | None
    tempi: tuple[tuple[int, ...], ...]
    accompaniments: tuple[tuple[Role, ...], ...]
    weight: float


_UNDRUMMED: tuple[tuple[Role, ...], ...] = ((), ("chords",), ("chords",), ("bass",), ("chords", "bass"))
_DRUMMED: tuple[tuple[Role, ...], ...] = (("drums",), ("chords", "drums"), ("bass", "drums"))
_WALTZING: tuple[tuple[Role, ...], ...] = (("chords",), ("bass",), ("chords", "bass"), *_DRUMMED)
KINDS = (
    Kind(4, None, (SLOW_BPM,), _UNDRUMMED, 1.0),
    Kind(4, None, (FAST_BPM,), _UNDRUMMED, 1.2),
    Kind(4, "beat", (SLOW_BPM,), _DRUMMED, 1.0),
    Kind(4, "beat", (FAST_BPM,), _DRUMMED, 1.2),
    Kind(4, "march", (MARCH_BPM,), _DRUMMED, 0.9),
    Kind(3, "waltz", (SLOW_WALTZ_BPM, FAST_BPM, FAST_BPM), _WALTZING, 1.4),
)


@dataclass(frozen=True)
class Part:
    """A section: bars from `first_bar` up to `end_bar`, its melody instrument, and who plays with it."""

    first_bar: int
    end_bar: int
    lead: str
    roles: frozenset[Role]


@dataclass(frozen=True)
class Rhythm:
    """Beats of a bar, from 0, at which the melody does more or less than one note a beat, in `bars`.
    `split`: two notes, the second weak. `held`: the note goes on through the beat after it, where others beat."""

    split: int | None = None
    held: int | None = None
    bars: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Piece:
    """A piece as drawn. `tonic` is a pitch class; `harmony` has the chord's step of the scale for every slot of
    `beats_per_slot` beats, `figures` the melody over it."""

    tempo_bpm: int
    beats_per_bar: int
    beats_per_slot: int
    n_bars: int
    tonic: int
    mode: Mode
    harmony: tuple[int, ...]
    figures: tuple[tuple[int, ...], ...]
    rhythm: Rhythm
    drum_pattern: DrumPattern | None
    chord_instrument: str
    chord_pattern: ChordPattern
    parts: tuple[Part, ...]

    @property
    def beat_s(self) -> float:
        return 60 / self.tempo_bpm

    @property
    def bar_s(self) -> float:
        return self.beats_per_bar * self.beat_s

    @property
    def is_fast(self) -> bool:
        return self.tempo_bpm in FAST_BPM

    @property
    def key(self) -> str:
        return f"{PITCH_CLASSES[self.tonic]} {self.mode}"


def draw_piece(rng: random.Random, *, reserved: bool) -> Piece:
    """A piece; with `reserved`, of the harmonies, figures and pairs of instruments kept for testing."""
    kind = rng.choices(KINDS, [kind.weight for kind in KINDS])[0]
    tempo_bpm = rng.choice(rng.choice(kind.tempi))
    bar_s = kind.beats_per_bar * 60 / tempo_bpm
    n_bars = rng.choice([n for n in range(2, 14) if MUSIC_S[0] <= n * bar_s <= MUSIC_S[1]])
    # Where bars are long, two chords share one, so that a slow piece states its key too.
    beats_per_slot = 2 if kind.beats_per_bar == 4 and tempo_bpm in SLOW_BPM else kind.beats_per_bar
    n_slots = n_bars * kind.beats_per_bar // beats_per_slot
    roles = rng.choice(kind.accompaniments)
    leads, chord_instrument = _draw_instruments(rng, roles, reserved=reserved)
    return Piece(
        tempo_bpm=tempo_bpm,
        beats_per_bar=kind.beats_per_bar,
        beats_per_slot=beats_per_slot,
        n_bars=n_bars,
        tonic=rng.randrange(12),
        mode=rng.choice(MODES),
        harmony=draw_harmony(rng, n_slots, reserved=reserved),
        figures=_draw_figures(rng, n_slots, reserved=reserved),
        rhythm=_draw_rhythm(rng, kind.beats_per_bar, tempo_bpm, n_bars, reserved=reserved),
        drum_pattern=kind.drums if "drums" in roles else None,
        chord_instrument=chord_instrument,
        chord_pattern=rng.choice(["held", "pulse", "broken"]),
        parts=_draw_parts(rng, n_bars, bar_s, roles, leads),
    )


def draw_harmony(rng: random.Random, n_slots: int, *, reserved: bool) -> tuple[int, ...]:
    """Chords for `n_slots` (4 or more): rounds of one progression, then V I. I comes more often than any other."""
    pattern = rng.choice(RESERVED_PROGRESSIONS if reserved else PROGRESSIONS)
    body = [pattern[i % 4] for i in range(n_slots - 2)]
    if body.count(0) <= max(body.count(4), body.count(3) - 1):  # a round cut short, or V doubled by the cadence
        body[max(i for i, root in enumerate(body) if root)] = 0
    return (*body, 4, 0)


def _draw_figures(rng: random.Random, n_slots: int, *, reserved: bool) -> tuple[tuple[int, ...], ...]:
    """The first begins on the tonic; the last, of which the end is played, ends on it."""
    figures = RESERVED_FIGURES if reserved else FIGURES
    first = rng.choice([f for f in figures if f[0] == 0])
    last = rng.choice([f for f in figures if f[-1] == 0])
    pool = rng.sample(figures, 3)  # a few that come back are what makes a tune
    return (first, *(rng.choice(pool) for _ in range(n_slots - 2)), last)


def _draw_rhythm(rng: random.Random, beats_per_bar: int, tempo_bpm: int, n_bars: int, *, reserved: bool) -> Rhythm:
    bars = frozenset(bar for bar in range(n_bars - 1) if rng.random() < 0.5)
    kind = rng.random()
    if kind < 0.25 and tempo_bpm <= MARCH_BPM[-1]:
        free, kept = ((1, 3), 2) if beats_per_bar == 4 else ((1,), 2)
        return Rhythm(split=kept if reserved else rng.choice(free), bars=bars)
    if kind < 0.5 and beats_per_bar == 4:
        return Rhythm(held=1 if reserved else rng.choice((0, 2)), bars=bars)
    return Rhythm()


def _draw_instruments(
    rng: random.Random, roles: tuple[Role, ...], *, reserved: bool
) -> tuple[tuple[str, str | None], str]:
    """A lead, perhaps a second one that follows it, and the instrument of the chords."""
    chords = rng.choice(CHORDS)
    leads = list(LEADS)
    if "chords" in roles:
        leads = [lead for lead in LEADS if lead != chords and ((lead, chords) in RESERVED_PAIRS) == reserved]
    first = rng.choice(leads)
    others = [lead for lead in leads if lead != first]
    return (first, rng.choice(others) if others and rng.random() < 0.25 else None), chords


def _draw_parts(
    rng: random.Random, n_bars: int, bar_s: float, roles: tuple[Role, ...], leads: tuple[str, str | None]
) -> tuple[Part, ...]:
    """One to three sections; from each to the next, someone enters or leaves, and all roles are heard."""
    shortest = max(1, -int(-SHORTEST_SECTION_S // bar_s))
    most = min(3, n_bars // shortest) if roles else 1
    n_parts = rng.choice(range(1, most + 1)) if rng.random() < 0.5 else most
    edges = [0, n_bars]
    while len(edges) < n_parts + 1:
        edges = [0, *sorted(rng.sample(range(1, n_bars), n_parts - 1)), n_bars]
        if min(b - a for a, b in pairwise(edges)) < shortest:
            edges = [0, n_bars]
    casts = _draw_casts(rng, n_parts, roles)
    change = rng.randrange(1, n_parts) if n_parts > 1 and leads[1] else n_parts
    return tuple(
        Part(edges[i], edges[i + 1], (leads[0] if i < change else leads[1]) or leads[0], cast)
        for i, cast in enumerate(casts)
    )


def _draw_casts(rng: random.Random, n_parts: int, roles: tuple[Role, ...]) -> list[frozenset[Role]]:
    while True:
        casts = [frozenset(role for role in roles if rng.random() < 0.6) for _ in range(n_parts)]
        changing = all(a != b for a, b in pairwise(casts))
        if changing and frozenset().union(*casts) == frozenset(roles):
            return casts
