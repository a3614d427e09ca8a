"""A bank of sentences that meetings are made of, rendered once and mixed anew at every training step.

    python -m training.domains.meetings_bank --out DIR --seed 1 --count 12000

writes what bank_files.py describes: of each line what is said, by whom and where its words start.
Nothing of it has a voice, wording or combination that is kept for testing.
"""

from __future__ import annotations

import argparse
import random
from collections import defaultdict
from itertools import accumulate
from pathlib import Path
from typing import Any

from training.bank_files import BankReader, check_seed, refuse, writing
from training.domains.meetings_facts import FACTS, TOPICS, Line, draw_filler, draw_opener
from training.domains.meetings_parts import Cast, Said, Wanted, draw_clear_voice, draw_line
from training.speakers import draw_change, weights
from training.voices import Spoken, Voice, speak

# How often each is rendered, of so many lines.
FACT_SHARE, OPENER_SHARE = 0.76, 0.14


def render_bank(out: Path, seed: int, count: int) -> None:
    """Render `count` lines from `seed`. Raises ValueError for a seed that is kept for testing."""
    check_seed(seed)
    rng = random.Random(seed)
    with writing(out) as bank:
        for i in range(count):
            line, voice = _draw(rng, i), draw_clear_voice(rng, reserved=False)
            spoken = speak(line.text, voice)
            words = [round(t, 4) for t in spoken.word_starts_s]
            row = {"line": vars(line), "voice": voice.as_dict(), "word_starts_s": words}
            bank.row(row | bank.add(spoken.samples))


def _draw(rng: random.Random, i: int) -> Line:
    """Topics and kinds of fact take turns, so that there are equally many of each."""
    share = rng.random()
    topic = TOPICS[i % len(TOPICS)]
    if share < FACT_SHARE:
        return draw_line(rng, Wanted("fact", topic, rng.choice(list(FACTS))), reserved=False)
    if share < FACT_SHARE + OPENER_SHARE:
        return draw_opener(rng, topic, is_first=rng.random() < 0.4, reserved=False)
    return draw_filler(rng, rng.choice(("reply", "greeting", "closing")))


class MeetingBank:
    """Lines from a rendered bank (`meetings_parts.Parts`). Raises ValueError where reserved ones are asked of it."""

    def __init__(self, folder: Path) -> None:
        self.bank = BankReader(folder)
        self.rows: dict[Wanted, list[dict[str, Any]]] = defaultdict(list)
        for row in self.bank.rows:
            line = Line(**row["line"])
            self.rows[Wanted(line.role, line.topic, line.kind)].append(row)
        self.weights = {wanted: list(accumulate(weights(rows))) for wanted, rows in self.rows.items()}

    def cast(self, rng: random.Random, *, reserved: bool) -> Cast:
        refuse(reserved)
        return self

    def say(self, rng: random.Random, wanted: Wanted) -> Said:
        (row,) = rng.choices(self.rows[wanted], cum_weights=self.weights[wanted])
        line, voice = Line(**row["line"]), Voice(**row["voice"])
        spoken = draw_change(rng, voice.engine)(Spoken(line.text, self.bank.sound(row), row["word_starts_s"]))
        return Said(line, spoken.samples, voice, tuple(spoken.word_starts_s))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=12_000)
    args = parser.parse_args()
    render_bank(args.out, args.seed, args.count)


if __name__ == "__main__":
    main()
