"""A bank of speakers, each with three sentences in one way of speaking, recorded anew at every training step.

    python -m training.domains.voices_bank --out DIR --seed 1 --speakers 3000

Nothing of it is from the voices and ranges that are kept for testing.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import asdict
from pathlib import Path

from training.bank_files import check_seed, refuse
from training.domains.speech_bank import LevelledReader, writing
from training.domains.speech_parts import Delivery, Said, Speaker, in_new_process
from training.domains.voices import Rendered, Voiced


def render_bank(out: Path, seed: int, n_speakers: int) -> None:
    """Render so many speakers from `seed`. Raises ValueError for a seed that is kept for testing."""
    check_seed(seed)
    rng, parts = random.Random(seed), Rendered(in_process=True)
    with writing(out) as bank:
        for _ in range(n_speakers):
            one = parts.voiced(rng, reserved=False)
            sentences = [
                {"text": said.text, "word_starts_s": [round(t, 4) for t in said.word_starts_s]} | bank.add(said.samples)
                for said in one.sentences
            ]
            row = {"speaker": asdict(one.speaker), "delivery": asdict(one.delivery), "speed": one.speed}
            bank.row(row | {"pitch_hz": one.pitch_hz, "sentences": sentences})


class VoicesBank:
    """Speakers from a rendered bank (`voices.Parts`). Raises ValueError where reserved ones are asked of it."""

    def __init__(self, folder: Path) -> None:
        self.bank = LevelledReader(folder)

    def voiced(self, rng: random.Random, *, reserved: bool) -> Voiced:
        refuse(reserved)
        row = rng.choice(self.bank.rows)
        said = tuple(
            Said(place["text"], self.bank.sound(place), tuple(place["word_starts_s"])) for place in row["sentences"]
        )
        return Voiced(Speaker(**row["speaker"]), Delivery(**row["delivery"]), row["speed"], row["pitch_hz"], said)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--speakers", type=int, default=3000)
    args = parser.parse_args()
    in_new_process(render_bank, args.out, args.seed, args.speakers)


if __name__ == "__main__":
    main()
