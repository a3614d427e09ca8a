"""Sounds on disk: `samples.i16` has all of them end to end, `rows.jsonl` says what each is and where it lies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

FIRST_TEST_SEED = 1_000_000
PEAK = 32_000  # of each sound, in int16


def check_seed(seed: int) -> None:
    """Raises ValueError for a seed that is kept for testing."""
    if not 0 <= seed < FIRST_TEST_SEED:
        raise ValueError("seeds from 1,000,000 up are never trained on")


def refuse(reserved: bool) -> None:
    """Raises ValueError where a bank is asked for what is kept for testing."""
    if reserved:
        raise ValueError("a bank has nothing of what is kept for testing")


@dataclass
class BankWriter:
    """A bank that is being written."""

    sound: IO[bytes]
    index: IO[str]

    def add(self, samples: np.ndarray) -> dict[str, Any]:
        """Write a sound, and return where it lies."""
        offset = self.sound.tell() // 2
        self.sound.write((samples / np.abs(samples).max() * PEAK).astype("<i2").tobytes())
        return {"offset": offset, "n_samples": len(samples)}

    def row(self, row: dict[str, Any]) -> None:
        self.index.write(json.dumps(row) + "\n")


@contextmanager
def writing(out: Path) -> Iterator[BankWriter]:
    """A new bank in a folder."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "samples.i16").open("wb") as sound, (out / "rows.jsonl").open("w") as index:
        yield BankWriter(sound, index)


class BankReader:
    """The rows of a bank, and random access to its sounds."""

    def __init__(self, folder: Path) -> None:
        self.rows: list[dict[str, Any]] = [
            json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()
        ]
        self.samples = np.memmap(folder / "samples.i16", dtype="<i2", mode="r")

    def sound(self, place: dict[str, Any], start: int = 0, n_samples: int | None = None) -> np.ndarray:
        """A sound or a part of it, float32 at 16 kHz, as it lies on disk."""
        first = place["offset"] + start
        part = self.samples[first : first + (place["n_samples"] if n_samples is None else n_samples)]
        return part.astype(np.float32) / np.float32(32_768)
