"""Sentences on disk: `samples.i16` has all of them end to end, `sentences.jsonl` says what each is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from training.domains.speech_parts import active_rms

FIRST_TEST_SEED = 1_000_000


def check_seed(seed: int) -> None:
    """Raises ValueError for a seed that is kept for testing."""
    if not 0 <= seed < FIRST_TEST_SEED:
        raise ValueError("seeds from 1,000,000 up are never trained on")


@dataclass
class BankWriter:
    """A bank that is being written."""

    sound: IO[bytes]
    index: IO[str]

    def add(self, samples: np.ndarray) -> dict[str, Any]:
        """Write a sound, and return where it lies and what its level of 1 is on disk."""
        offset = self.sound.tell() // 2
        stored = (samples / np.abs(samples).max() * 32_000).astype("<i2")
        self.sound.write(stored.tobytes())
        return {"offset": offset, "n_samples": len(stored), "rms": round(active_rms(stored.astype(np.float32)), 1)}

    def row(self, row: dict[str, Any]) -> None:
        self.index.write(json.dumps(row) + "\n")


@contextmanager
def writing(out: Path) -> Iterator[BankWriter]:
    """A new bank in a folder."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "samples.i16").open("wb") as sound, (out / "sentences.jsonl").open("w") as index:
        yield BankWriter(sound, index)


class BankReader:
    """The rows of a bank, and random access to its sounds."""

    def __init__(self, folder: Path) -> None:
        self.rows = [json.loads(line) for line in (folder / "sentences.jsonl").read_text().splitlines()]
        self.samples = np.memmap(folder / "samples.i16", dtype="<i2", mode="r")

    def sound(self, place: dict[str, Any]) -> np.ndarray:
        """A sound with a level of 1, float32 at 16 kHz."""
        part = self.samples[place["offset"] : place["offset"] + place["n_samples"]]
        return np.asarray(part.astype(np.float32) / np.float32(place["rms"]))


def refuse(reserved: bool) -> None:
    """Raises ValueError where a bank is asked for what is kept for testing."""
    if reserved:
        raise ValueError("a bank has nothing of what is kept for testing")
