"""Where questions' sounds come from: sentences by a known speaker, sound events, beds and music."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from training import speakers
from training.bank import Bank
from training.domains import scenes
from training.domains.composing import draw_piece
from training.domains.notes import NoteBank, Notes, mix
from training.domains.notes import Rendered as RenderedNotes
from training.domains.playing import strikes
from training.domains.scenes_bank import SceneBank
from training.examples import SAMPLE_RATE
from training.sentences import sentence
from training.speakers import NARROW, UNCHANGED, Change, draw_change
from training.voices import ACCENTS, FLITE, RESERVED_FLITE, RESERVED_VARIANTS, VARIANTS, Spoken, Voice, speak

Gender = Literal["male", "female"]
Fits = Callable[[str], bool]

FEMALE_FLITE = "slt"
# espeak-ng's pitch, 0 to 99. A man's voice stays below 125 Hz, a woman's above 150 Hz.
PITCHES: dict[Gender, tuple[int, int]] = {"male": (20, 65), "female": (35, 80)}
PITCH_STEP = 15  # espeak-ng voices of one name within such a step sound like one speaker
WPM = (120, 210)
FLITE_SHARE = 0.12
FEWEST_SENTENCES = 12  # of a speaker in a bank
MOST_TRIES = 60


class Parts(Protocol):
    """Sounds for clips. `sounds` gives events and beds, `notes` those of music."""

    sounds: scenes.Parts
    notes: Notes

    def speaker(self, rng: random.Random, gender: Gender, *, reserved: bool) -> Voice:
        """Somebody whose gender can be heard."""

    def sentence(
        self, rng: random.Random, speaker: Voice, *, fits: Fits, longest_s: float, reserved: bool
    ) -> Spoken | None:
        """A sentence of that speaker whose text fits; None where none was found."""


def gender_of(voice: Voice) -> Gender | None:
    """Who is heard; None for a voice whose pitch lies between a man's and a woman's."""
    if voice.engine == "flite":
        return "female" if voice.name == FEMALE_FLITE else "male"
    gender: Gender = "female" if "+f" in voice.name else "male"
    low, high = PITCHES[gender]
    return gender if low <= voice.pitch <= high else None


def music(rng: random.Random, notes: Notes, n_samples: int, *, reserved: bool) -> np.ndarray:
    """The beginning of a piece of music [n_samples] float32, RMS 1; it goes on to the end."""
    piece = draw_piece(rng, reserved=reserved)
    played = strikes(rng, piece, 0.0)
    once = mix(played, notes, round(piece.n_bars * piece.bar_s * SAMPLE_RATE))
    samples = np.resize(once, n_samples)
    return np.asarray(samples / np.sqrt((samples**2).mean() + 1e-20), np.float32)


class Rendered:
    """Everything rendered afresh: the same sounds for the same state of the generator."""

    def __init__(self) -> None:
        self.sounds: scenes.Parts = scenes.Rendered()
        self.notes: Notes = RenderedNotes()

    def speaker(self, rng: random.Random, gender: Gender, *, reserved: bool) -> Voice:
        names = RESERVED_FLITE if reserved else FLITE
        flite = [name for name in names if gender_of(Voice("flite", name)) == gender]
        if flite and rng.random() < FLITE_SHARE:
            return Voice("flite", rng.choice(flite))
        kept = [variant for variant in VARIANTS if (variant in RESERVED_VARIANTS) == reserved]
        fitting = [variant for variant in kept if ("+f" in variant) == (gender == "female")]
        return Voice("espeak", rng.choice(ACCENTS) + rng.choice(fitting), rng.randint(*WPM), _pitch(rng, gender))

    def sentence(
        self, rng: random.Random, speaker: Voice, *, fits: Fits, longest_s: float, reserved: bool
    ) -> Spoken | None:
        for _ in range(MOST_TRIES):
            text = sentence(rng, reserved=reserved)
            if fits(text):
                spoken = speak(text, speaker, fresh=True)
                if len(spoken.samples) <= longest_s * SAMPLE_RATE:
                    return spoken
        return None


def _pitch(rng: random.Random, gender: Gender) -> int:
    return rng.randint(*PITCHES[gender])


class Banked:
    """Sentences, sounds and notes from rendered banks. Raises ValueError where reserved ones are asked of it."""

    def __init__(self, sentences: Sequence[Path], sounds: Path, notes: Path) -> None:
        self.sounds: scenes.Parts = SceneBank(sounds)
        self.notes: Notes = NoteBank(notes)
        self.banks = [Bank(folder) for folder in sentences]
        found: dict[Voice, list[tuple[int, int]]] = defaultdict(list)
        for b, bank in enumerate(self.banks):
            for i, row in enumerate(bank.rows):
                voice = Voice(**row["voice"])
                if gender_of(voice):
                    found[_speaker_of(voice)].append((b, i))
        self.said = {speaker: places for speaker, places in found.items() if len(places) >= FEWEST_SENTENCES}
        self.speakers: dict[Gender | None, list[Voice]] = defaultdict(list)
        for speaker in self.said:
            self.speakers[gender_of(speaker)].append(speaker)
        self.changes: dict[Voice, Change] = {}  # of the speakers of a clip

    def speaker(self, rng: random.Random, gender: Gender, *, reserved: bool) -> Voice:
        if reserved:
            raise ValueError("a bank has nothing of what is kept for testing")
        voices = self.speakers[gender]
        flite = [voice for voice in voices if voice.engine == "flite"]
        speaker = rng.choice(flite if flite and rng.random() < speakers.FLITE_SHARE else voices)
        self.changes[speaker] = draw_change(rng, speaker.engine, NARROW)
        return speaker

    def sentence(
        self, rng: random.Random, speaker: Voice, *, fits: Fits, longest_s: float, reserved: bool
    ) -> Spoken | None:
        change = self.changes.get(speaker, UNCHANGED)
        for _ in range(MOST_TRIES):
            b, i = rng.choice(self.said[speaker])
            row = self.banks[b].rows[i]
            if row["n_samples"] <= longest_s * change.speed * SAMPLE_RATE and fits(row["text"]):
                return change(self.banks[b][i])
        return None


def _speaker_of(voice: Voice) -> Voice:
    """All voices that count as one speaker, as the slowest and lowest of them."""
    if voice.engine == "flite":
        return Voice(voice.engine, voice.name)
    low, high = PITCHES["female" if "+f" in voice.name else "male"]
    step = (voice.pitch - low) // PITCH_STEP
    return Voice(voice.engine, voice.name, WPM[0], min(low + step * PITCH_STEP, high))
