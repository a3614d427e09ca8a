"""A bank of spoken sentences, rendered once and mixed anew at every training step.

    python -m training.bank --out DIR --seed 1 --count 40000

writes what bank_files.py describes: of each sentence its text, its voice and where its words start.
"""

from __future__ import annotations

import argparse
import random
from itertools import accumulate
from pathlib import Path

from training.bank_files import BankReader, check_seed, writing
from training.sentences import sentence
from training.speakers import draw_change, weights
from training.voices import Spoken, draw_voice, speak


def render_bank(out: Path, seed: int, count: int) -> None:
    """Render `count` sentences from `seed` (under 1,000,000: higher ones are for testing)."""
    check_seed(seed)
    rng = random.Random(seed)
    with writing(out) as bank:
        for _ in range(count):
            voice = draw_voice(rng)
            spoken = speak(sentence(rng), voice)
            words = [round(t, 4) for t in spoken.word_starts_s]
            row = {"text": spoken.text, "voice": voice.as_dict(), "word_starts_s": words}
            bank.row(row | bank.add(spoken.samples))


class Bank:
    """Random access to a rendered bank."""

    def __init__(self, folder: Path) -> None:
        self.bank = BankReader(folder)
        self.rows = self.bank.rows
        self.weights = list(accumulate(weights(self.rows)))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> Spoken:
        row = self.rows[i]
        return Spoken(row["text"], self.bank.sound(row), row["word_starts_s"])

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
