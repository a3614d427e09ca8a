"""Make the clips in samples/, which the tour, the demo, the README and the tests use.

    python -m training.samples --out samples

The first three are written out here; the others are clips of the domains (`training.render`), from seeds that are kept
for testing. `python -m training.fixtures samples` tells which ones a model answers rightly.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.clips import Clip, finish, lay_out
from training.render import as_example, clip, label, write_clip, write_labels
from training.voices import Voice, speak

US, GB, SCOT = "en-us+f2", "en-gb-x-rp+m3", "en-gb-scotland+m1"
SEED = 1_000_700


@dataclass(frozen=True)
class Spoken:
    """A clip that is written out: who says what, in order."""

    name: str
    lines: list[tuple[Voice, str]]
    seed: int = 1_000_000


@dataclass(frozen=True)
class Drawn:
    """A clip of a domain: the one of that number from SEED."""

    name: str
    task: str
    number: int


SPOKEN = [
    Spoken(
        "meeting.wav",
        [
            (Voice("espeak", US, 150, 50), "good morning everyone"),
            (Voice("espeak", GB, 150, 40), "the meeting starts on monday at nine"),
            (Voice("espeak", US, 160, 50), "david needs twenty minutes for the budget"),
        ],
    ),
    Spoken(
        "station.wav",
        [
            (Voice("espeak", SCOT, 160, 45), "there is a red letter at the station"),
            (Voice("espeak", SCOT, 160, 45), "please call laura before noon"),
        ],
        seed=1_000_003,
    ),
    Spoken("weather.wav", [(Voice("flite", "slt"), "the storm will be cold in january")], seed=1_000_018),
]
DRAWN = [
    Drawn("voice.wav", "describe-speaker", 19),
    Drawn("emotion.wav", "emotion", 6),
    Drawn("scene.wav", "scene", 13),
    Drawn("music.wav", "music", 18),
    Drawn("question.wav", "ask", 16),
    Drawn("minutes.wav", "summarize", 7),
]


def make(sample: Spoken) -> Clip:
    rng = random.Random(f"{sample.name}/{sample.seed}")
    samples, segments = lay_out(rng, [speak(text, voice, fresh=True) for voice, text in sample.lines], 30.0)
    return finish(rng, samples, segments)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("samples"))
    out: Path = parser.parse_args().out
    out.mkdir(exist_ok=True)
    labels: list[dict[str, Any]] = []
    for spoken in SPOKEN:
        example = as_example(make(spoken))
        write_clip(out / spoken.name, example)
        labels.append(label(spoken.name, example))
    for drawn in DRAWN:
        example = clip(drawn.task, SEED, drawn.number)
        write_clip(out / drawn.name, example)
        labels.append({"task": drawn.task, **label(drawn.name, example)})
    write_labels(out, labels)


if __name__ == "__main__":
    main()
