"""Single notes of General MIDI instruments, rendered once by fluidsynth, and their mixing into a piece.

Nothing here is needed by the installed product. Debian packages: fluidsynth, fluid-soundfont-gm.
"""

from __future__ import annotations

import json
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soundfile
import soxr

SAMPLE_RATE = 16_000
SOUND_FONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")

KICK, SNARE, HAT = 36, 38, 42  # keys of General MIDI's percussion channel
SOFT, LOUD = 64, 108  # the velocities in a bank
DRUM_CHANNEL = 9
NOTE_RMS = 0.1  # of the loudest 50 ms of every note in a bank
RELEASE_S = 0.06  # of the fade that ends a note which is cut
MELODY_PITCHES = range(65, 94)  # F4 to A6: from about 500 Hz up, the spectrogram resolves semitones


@dataclass(frozen=True)
class Instrument:
    """`program` is General MIDI's, from 0; None stands for the percussion channel. `held_s` is the longest note."""

    name: str
    program: int | None
    pitches: Sequence[int]
    held_s: float = 2.2


INSTRUMENTS = (
    Instrument("piano", 0, MELODY_PITCHES),
    Instrument("guitar", 24, MELODY_PITCHES),
    Instrument("violin", 40, MELODY_PITCHES),
    Instrument("flute", 73, MELODY_PITCHES),
    Instrument("trumpet", 56, MELODY_PITCHES),
    Instrument("organ", 19, MELODY_PITCHES),
    Instrument("marimba", 12, MELODY_PITCHES, 1.2),
    Instrument("music box", 10, MELODY_PITCHES),
    Instrument("bass", 33, range(40, 52)),
    Instrument("drums", None, (KICK, SNARE, HAT), 0.8),
)
BY_NAME = {instrument.name: instrument for instrument in INSTRUMENTS}


@dataclass(frozen=True)
class Note:
    """A note held for its instrument's `held_s`: int16 at 16 kHz. `sounding_s` is when it has fallen by 30 dB."""

    samples: np.ndarray
    sounding_s: float


@dataclass(frozen=True)
class Strike:
    """A note of a piece: it starts at `start_s` and is let go `length_s` later. `gain` is an amplitude."""

    instrument: str
    pitch: int
    velocity: int
    start_s: float
    length_s: float
    gain: float


class Notes(Protocol):
    """Where the notes of a piece come from."""

    def note(self, instrument: str, pitch: int, velocity: int) -> Note:
        """A note of a bank. Raises KeyError for one that no bank has."""


class Rendered:
    """Renders an instrument's notes when the first of them is asked for: a second or two each."""

    def note(self, instrument: str, pitch: int, velocity: int) -> Note:
        return _rendered(instrument)[pitch, velocity]


class NoteBank:
    """Notes from a folder that `write_bank` has made."""

    def __init__(self, folder: Path) -> None:
        samples = np.memmap(folder / "notes.i16", dtype="<i2", mode="r")
        rows: list[dict[str, Any]] = [json.loads(line) for line in (folder / "notes.jsonl").read_text().splitlines()]
        self._notes = {
            (row["instrument"], row["pitch"], row["velocity"]): Note(
                samples[row["offset"] : row["offset"] + row["n_samples"]], row["sounding_s"]
            )
            for row in rows
        }

    def note(self, instrument: str, pitch: int, velocity: int) -> Note:
        return self._notes[instrument, pitch, velocity]


@cache
def _rendered(name: str) -> dict[tuple[int, int], Note]:
    return dict(render_notes(BY_NAME[name]))


def write_bank(out: Path, instruments: Iterable[Instrument] = INSTRUMENTS) -> None:
    """Render every note: `notes.i16` (end to end) and `notes.jsonl` (what and where they are)."""
    out.mkdir(parents=True, exist_ok=True)
    offset = 0
    with (out / "notes.i16").open("wb") as sound, (out / "notes.jsonl").open("w") as index:
        for instrument in instruments:
            for (pitch, velocity), note in render_notes(instrument):
                sound.write(note.samples.tobytes())
                row = {
                    "instrument": instrument.name,
                    "pitch": pitch,
                    "velocity": velocity,
                    "offset": offset,
                    "n_samples": len(note.samples),
                    "sounding_s": note.sounding_s,
                }
                index.write(json.dumps(row) + "\n")
                offset += len(note.samples)


def mix(strikes: Iterable[Strike], notes: Notes, n_samples: int) -> np.ndarray:
    """The strikes together, as far as they lie within: [n_samples] float32."""
    out = np.zeros(n_samples, np.float32)
    fade = np.linspace(1, 0, int(RELEASE_S * SAMPLE_RATE), dtype=np.float32)
    for strike in strikes:
        whole = notes.note(strike.instrument, strike.pitch, strike.velocity).samples
        start = round(strike.start_s * SAMPLE_RATE)
        if start >= n_samples:
            continue
        held = round(strike.length_s * SAMPLE_RATE)
        length = min(held + len(fade), len(whole), n_samples - start)
        part = whole[:length] * np.float32(strike.gain / 32768)
        if length > held:
            part[held:] *= fade[: length - held]
        out[start : start + length] += part
    return out


def sounds_for(strike: Strike, notes: Notes) -> float:
    """Seconds from a strike's start until it is let go or has died away."""
    return min(strike.length_s, notes.note(strike.instrument, strike.pitch, strike.velocity).sounding_s)


def render_notes(instrument: Instrument) -> Iterator[tuple[tuple[int, int], Note]]:
    """Each pitch and velocity of an instrument with its note, always the same samples."""
    wanted = [(pitch, velocity) for pitch in instrument.pitches for velocity in (SOFT, LOUD)]
    every_s = instrument.held_s + 0.2
    with tempfile.TemporaryDirectory() as folder:
        score, wav = Path(folder, "notes.mid"), Path(folder, "notes.wav")
        score.write_bytes(_midi_file(_midi_events(instrument, wanted, every_s)))
        # Reverb and chorus would carry one note into the next; floats because 16 bits would be dithered.
        options = ["-niq", "-R", "0", "-C", "0", "-r", "44100", "-g", "0.5", "-T", "wav", "-O", "float", "-F", str(wav)]
        command = ["fluidsynth", *options, str(SOUND_FONT), str(score)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stereo, rate = soundfile.read(wav, dtype="float32")
    mono = stereo.mean(1)
    for i, key in enumerate(wanted):
        start = round(i * every_s * rate)
        part = mono[start : start + round(instrument.held_s * rate)]
        yield key, _note(soxr.resample(part, rate, SAMPLE_RATE))


def _note(samples: np.ndarray) -> Note:
    """Bring the loudest 50 ms to NOTE_RMS, and end without a click."""
    samples = samples * (NOTE_RMS / _levels(samples, 0.05).max())
    samples = samples * min(1.0, 0.99 / float(np.abs(samples).max()))
    fade = int(RELEASE_S * SAMPLE_RATE)
    samples[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    levels = _levels(samples, 0.01)
    last = int(np.flatnonzero(levels > levels.max() * 10 ** (-30 / 20))[-1])
    return Note(np.round(samples * 32767).astype("<i2"), round((last + 1) * 0.01, 2))


def _levels(samples: np.ndarray, frame_s: float) -> np.ndarray:
    hop = int(frame_s * SAMPLE_RATE)
    frames = samples[: len(samples) // hop * hop].reshape(-1, hop)
    return np.asarray(np.sqrt((frames**2).mean(1)))


def _midi_events(
    instrument: Instrument, wanted: Sequence[tuple[int, int]], every_s: float
) -> Iterator[tuple[int, bytes]]:
    """Channel messages with their times in milliseconds: one note after another, each cut off."""
    channel = 0
    if instrument.program is None:
        channel = DRUM_CHANNEL
    else:
        yield 0, bytes([0xC0, instrument.program])
    for i, (pitch, velocity) in enumerate(wanted):
        start = round(i * every_s * 1000)
        end = start + round((instrument.held_s + 0.1) * 1000)
        yield start, bytes([0x90 | channel, pitch, velocity])
        yield end, bytes([0x80 | channel, pitch, 0])
        yield end, bytes([0xB0 | channel, 120, 0])  # all sound off


def _midi_file(events: Iterable[tuple[int, bytes]]) -> bytes:
    """A standard MIDI file of one track whose ticks are milliseconds: 500 to a quarter of half a second."""
    track, last = b"\x00\xff\x51\x03" + (500_000).to_bytes(3, "big"), 0
    for time_ms, message in events:
        track += _variable_length(time_ms - last) + message
        last = time_ms
    track += _variable_length(500) + b"\xff\x2f\x00"
    header = struct.pack(">4sIHHH", b"MThd", 6, 0, 1, 500)
    return header + struct.pack(">4sI", b"MTrk", len(track)) + track


def _variable_length(number: int) -> bytes:
    """Seven bits a byte, the highest first; every byte but the last has its top bit set."""
    out = bytes([number & 0x7F])
    while number := number >> 7:
        out = bytes([number & 0x7F | 0x80]) + out
    return out
