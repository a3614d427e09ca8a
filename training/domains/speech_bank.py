"""Voices on disk, with the level that each has there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from training import bank_files
from training.domains.speech_parts import active_rms


class LevelledWriter(bank_files.BankWriter):
    """A bank that is being written."""

    def add(self, samples: np.ndarray) -> dict[str, Any]:
        """Write a sound, and return where it lies and what its level of 1 is on disk."""
        rms = active_rms(samples) / np.abs(samples).max() * bank_files.PEAK
        return super().add(samples) | {"rms": round(float(rms), 1)}


@contextmanager
def writing(out: Path) -> Iterator[LevelledWriter]:
    """A new bank in a folder."""
    with bank_files.writing(out) as bank:
        yield LevelledWriter(bank.sound, bank.index)


class LevelledReader(bank_files.BankReader):
    """The rows of a bank, and random access to its sounds."""

    def sound(self, place: dict[str, Any], start: int = 0, n_samples: int | None = None) -> np.ndarray:
        """A sound with a level of 1, float32 at 16 kHz."""
        return super().sound(place, start, n_samples) * np.float32(32_768 / place["rms"])
