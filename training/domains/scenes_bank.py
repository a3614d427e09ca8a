"""A bank of sound events and beds, rendered once and mixed anew at every training step.

    python -m training.domains.scenes_bank --out DIR --seed 1 --events 250 --beds 40

writes `samples.i16` (all of them end to end) and `sounds.jsonl` (what each is, where its samples
lie). Nothing of it is from the ranges that are kept for testing.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import defaultdict
from pathlib import Path
from typing import IO, Any

import numpy as np

from training.domains.beds import BEDS, render_bed
from training.domains.sounds import EVENTS, Sound, active_rms, render_sound
from training.examples import SAMPLE_RATE

BED_S = 15.0
SEAM_S = 0.25  # a bed's end goes over into its beginning, so that it can go round


def render_bank(out: Path, seed: int, n_events: int, n_beds: int) -> None:
    """Render so many of each kind from `seed`. Raises ValueError for a seed that is kept for testing."""
    if not 0 <= seed < 1_000_000:
        raise ValueError("seeds from 1,000,000 up are never trained on")
    rng = random.Random(seed)
    out.mkdir(parents=True, exist_ok=True)
    with (out / "samples.i16").open("wb") as sound, (out / "sounds.jsonl").open("w") as index:
        for label in EVENTS:
            for _ in range(n_events):
                one = render_sound(rng, label, reserved=False)
                _write(sound, index, one.samples, {"event": label, "parameters": one.parameters})
        for name in BEDS:
            for _ in range(n_beds):
                _write(sound, index, _round_bed(rng, name), {"bed": name})


def _round_bed(rng: random.Random, name: str) -> np.ndarray:
    n, seam = round(BED_S * SAMPLE_RATE), round(SEAM_S * SAMPLE_RATE)
    samples = render_bed(rng, name, n + seam, reserved=False)
    turn = np.linspace(0, np.pi / 2, seam)
    samples[:seam] = samples[:seam] * np.sin(turn) + samples[n:] * np.cos(turn)
    return samples[:n]


def _write(sound: IO[bytes], index: IO[str], samples: np.ndarray, row: dict[str, Any]) -> None:
    offset = sound.tell() // 2
    sound.write((samples / np.abs(samples).max() * 32_000).astype("<i2").tobytes())
    index.write(json.dumps({**row, "offset": offset, "n_samples": len(samples)}) + "\n")


class SceneBank:
    """Sounds from a rendered bank (`scenes.Parts`). Raises ValueError where reserved ones are asked of it."""

    def __init__(self, folder: Path) -> None:
        self.samples = np.memmap(folder / "samples.i16", dtype="<i2", mode="r")
        self.events: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.beds: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for line in (folder / "sounds.jsonl").read_text().splitlines():
            row = json.loads(line)
            if "event" in row:
                self.events[row["event"]].append(row)
            else:
                self.beds[row["bed"]].append(row)

    def event(self, rng: random.Random, label: str, *, reserved: bool) -> Sound:
        row = self._draw(rng, self.events[label], reserved)
        samples = self._read(row["offset"], row["n_samples"])
        return Sound(label, samples / np.float32(active_rms(samples)), row["parameters"])

    def bed(self, rng: random.Random, name: str, n_samples: int, *, reserved: bool) -> np.ndarray:
        row = self._draw(rng, self.beds[name], reserved)
        length = row["n_samples"]
        start, pieces, left = rng.randrange(length), [], n_samples
        while left > 0:
            n = min(left, length - start)
            pieces.append(self._read(row["offset"] + start, n))
            start, left = 0, left - n
        samples = np.concatenate(pieces)
        return np.asarray(samples / np.sqrt((samples**2).mean() + 1e-20))

    def _draw(self, rng: random.Random, rows: list[dict[str, Any]], reserved: bool) -> dict[str, Any]:
        if reserved:
            raise ValueError("a bank has nothing of what is kept for testing")
        return rng.choice(rows)

    def _read(self, offset: int, n: int) -> np.ndarray:
        return self.samples[offset : offset + n].astype(np.float32) / np.float32(32_768)


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
