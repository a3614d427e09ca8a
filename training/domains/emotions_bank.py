"""A bank of speakers, each with three sentences in every emotion, put together anew at every training step.

    python -m training.domains.emotions_bank --out DIR --seed 1 --speakers 600

Nothing of it is from the voices and ranges that are kept for testing.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from training.bank_files import check_seed, refuse
from training.domains.emotions import EMOTIONS, MOST_OF_ONE, Rendered, Uttered
from training.domains.speech_bank import LevelledReader, writing
from training.domains.speech_parts import Speaker, in_new_process


def render_bank(out: Path, seed: int, n_speakers: int) -> None:
    """Render so many speakers from `seed`. Raises ValueError for a seed that is kept for testing."""
    check_seed(seed)
    rng, parts = random.Random(seed), Rendered(in_process=True)
    every = [name for name in EMOTIONS for _ in range(MOST_OF_ONE)]
    with writing(out) as bank:
        for _ in range(n_speakers):
            speaker, uttered = parts.uttered(rng, every, reserved=False)
            sentences = [
                {
                    "emotion": one.emotion,
                    "text": one.text,
                    "spans_s": [(round(a, 4), round(b, 4)) for a, b in one.spans_s],
                    "gain_db": round(one.gain_db, 3),
                    **bank.add(one.samples),
                }
                for one in uttered
            ]
            bank.row({"speaker": asdict(speaker), "sentences": sentences})


class EmotionsBank:
    """Speakers from a rendered bank (`emotions.Parts`). Raises ValueError where reserved ones are asked of it."""

    def __init__(self, folder: Path) -> None:
        self.bank = LevelledReader(folder)

    def uttered(self, rng: random.Random, emotions: Sequence[str], *, reserved: bool) -> tuple[Speaker, list[Uttered]]:
        refuse(reserved)
        row = rng.choice(self.bank.rows)
        left = rng.sample(row["sentences"], len(row["sentences"]))
        chosen = []
        for name in emotions:
            chosen.append(next(place for place in left if place["emotion"] == name))
            left.remove(chosen[-1])
        return Speaker(**row["speaker"]), [self._read(place) for place in chosen]

    def _read(self, place: dict[str, Any]) -> Uttered:
        spans_s = tuple((a, b) for a, b in place["spans_s"])
        return Uttered(place["emotion"], place["text"], self.bank.sound(place), spans_s, place["gain_db"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--speakers", type=int, default=600)
    args = parser.parse_args()
    in_new_process(render_bank, args.out, args.seed, args.speakers)


if __name__ == "__main__":
    main()
