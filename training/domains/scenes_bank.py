"""A bank of sound events and beds, rendered once and mixed anew at every training step.

    python -m training.domains.scenes_bank --out DIR --seed 1 --events 250 --beds 40

writes what bank_files.py describes. Nothing of it is from the ranges that are kept for testing.
"""

from __future__ import annotations

import argparse
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from training.bank_files import BankReader, check_seed, refuse, writing
from training.domains.beds import BEDS, render_bed
from training.domains.sounds import EVENTS, Sound, active_rms, render_sound
from training.examples import SAMPLE_RATE

BED_S = 15.0
SEAM_S = 0.25  # a bed's end goes over into its beginning, so that it can go round


def render_bank(out: Path, seed: int, n_events: int, n_beds: int) -> None:
    """Render so many of each kind from `seed`. Raises ValueError for a seed that is kept for testing."""
    check_seed(seed)
    rng = random.Random(seed)
    with writing(out) as bank:
        for label in EVENTS:
            for _ in range(n_events):
                one = render_sound(rng, label, reserved=False)
                bank.row({"event": label, "parameters": one.parameters} | bank.add(one.samples))
        for name in BEDS:
            for _ in range(n_beds):
                bank.row({"bed": name} | bank.add(_round_bed(rng, name)))


def _round_bed(rng: random.Random, name: str) -> np.ndarray:
    n, seam = round(BED_S * SAMPLE_RATE), round(SEAM_S * SAMPLE_RATE)
    samples = render_bed(rng, name, n + seam, reserved=False)
    turn = np.linspace(0, np.pi / 2, seam)
    samples[:seam] = samples[:seam] * np.sin(turn) + samples[n:] * np.cos(turn)
    return samples[:n]


class SceneBank:
    """Sounds from a rendered bank (`scenes.Parts`). Raises ValueError where reserved ones are asked of it."""

    def __init__(self, folder: Path) -> None:
        self.bank = BankReader(folder)
        self.events: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.beds: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in self.bank.rows:
            if "event" in row:
                self.events[row["event"]].append(row)
            else:
                self.beds[row["bed"]].append(row)

    def event(self, rng: random.Random, label: str, *, reserved: bool) -> Sound:
        refuse(reserved)
        row = rng.choice(self.events[label])
        samples = self.bank.sound(row)
        return Sound(label, samples / np.float32(active_rms(samples)), row["parameters"])

    def bed(self, rng: random.Random, name: str, n_samples: int, *, reserved: bool) -> np.ndarray:
        refuse(reserved)
        row = rng.choice(self.beds[name])
        length = row["n_samples"]
        start, pieces, left = rng.randrange(length), [], n_samples
        while left > 0:
            n = min(left, length - start)
            pieces.append(self.bank.sound(row, start, n))
            start, left = 0, left - n
        samples = np.concatenate(pieces)
        return np.asarray(samples / np.sqrt((samples**2).mean() + 1e-20))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--events", type=int, default=250, help="of each kind")
    parser.add_argument("--beds", type=int, default=40, help="of each kind, 15 s each")
    args = parser.parse_args()
    render_bank(args.out, args.seed, args.events, args.beds)


if __name__ == "__main__":
    main()
