"""Make the clips in samples/, which the demo, the README and the tests use.

python -m training.samples --out samples
"""

from __future__ import annotations

import argparse
import json
import random
from dataclasses import dataclass
from pathlib import Path

from training.clips import Clip, finish, lay_out
from training.render import label, write_clip
from training.voices import Voice, speak

US, GB, SCOT = "en-us+f2", "en-gb-x-rp+m3", "en-gb-scotland+m1"


@dataclass(frozen=True)
class Sample:
    """A clip to make: who says what, in order."""

    name: str
    lines: list[tuple[Voice, str]]
    seed: int = 1_000_000


SAMPLES = [
    Sample(
        "meeting.wav",
        [
            (Voice("espeak", US, 150, 50), "good morning everyone"),
            (Voice("espeak", GB, 150, 40), "the meeting starts on monday at nine"),
            (Voice("espeak", US, 160, 50), "david needs twenty minutes for the budget"),
        ],
    ),
    Sample(
        "station.wav",
        [
            (Voice("espeak", SCOT, 160, 45), "there is a red letter at the station"),
            (Voice("espeak", SCOT, 160, 45), "please send it to laura before noon"),
        ],
        seed=1_000_003,
    ),
    Sample("weather.wav", [(Voice("flite", "slt"), "the storm will be cold in january")], seed=1_000_001),
]


def make(sample: Sample) -> Clip:
    rng = random.Random(f"{sample.name}/{sample.seed}")
    samples, segments = lay_out(rng, [speak(text, voice, fresh=True) for voice, text in sample.lines], 30.0)
    return finish(rng, samples, segments)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("samples"))
    out: Path = parser.parse_args().out
    out.mkdir(exist_ok=True)
    labels = []
    for sample in SAMPLES:
        clip = make(sample)
        write_clip(out / sample.name, clip)
        labels.append(label(sample.name, clip))
    (out / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in labels))


if __name__ == "__main__":
    main()
