"""A bank of spoken sentences, rendered once and mixed anew at every training step.

    python -m training.bank --out DIR --seed 1 --count 40000

writes `samples.i16` (all sentences end to end) and `sentences.jsonl` (text, voice, where the
samples lie, where the words start).
"""

from __future__ import annotations

import argparse
import json
import random
from itertools import accumulate
from pathlib import Path

import numpy as np

from training.sentences import sentence
from training.speakers import draw_change, weights
from training.voices import Spoken, draw_voice, speak


def render_bank(out: Path, seed: int, count: int) -> None:
    """Render `count` sentences from `seed` (under 1,000,000: higher ones are for testing)."""
    if not 0 <= seed < 1_000_000:
        raise ValueError("seeds from 1,000,000 up are never trained on")
    rng = random.Random(seed)
    out.mkdir(parents=True, exist_ok=True)
    offset = 0
    with (out / "samples.i16").open("wb") as sound, (out / "sentences.jsonl").open("w") as index:
        for _ in range(count):
            voice = draw_voice(rng)
            spoken = speak(sentence(rng), voice)
            peak = float(np.abs(spoken.samples).max())
            sound.write((spoken.samples / peak * 32000).astype("<i2").tobytes())
            row = {
                "text": spoken.text,
                "voice": voice.as_dict(),
                "offset": offset,
                "n_samples": len(spoken.samples),
                "word_starts_s": [round(t, 4) for t in spoken.word_starts_s],
            }
            index.write(json.dumps(row) + "\n")
            offset += len(spoken.samples)


class Bank:
    """Random access to a rendered bank."""

    def __init__(self, folder: Path) -> None:
        self.rows = [json.loads(line) for line in (folder / "sentences.jsonl").read_text().splitlines()]
        self.samples = np.memmap(folder / "samples.i16", dtype="<i2", mode="r")
        self.weights = list(accumulate(weights(self.rows)))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> Spoken:
        row = self.rows[i]
        part = self.samples[row["offset"] : row["offset"] + row["n_samples"]]
        return Spoken(row["text"], part.astype(np.float32) / 32768, row["word_starts_s"])

    def draw(self, rng: random.Random) -> Spoken:
        """A sentence, now and then by a speaker that the bank does not have."""
        (i,) = rng.choices(range(len(self)), cum_weights=self.weights)
        return draw_change(rng, self.rows[i]["voice"]["engine"])(self[i])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=40_000)
    args = parser.parse_args()
    render_bank(args.out, args.seed, args.count)


if __name__ == "__main__":
    main()
