"""Make the clips of tests/fixtures/speech: a small part of what `training.evaluate` measures.

    python -m training.fixtures --out tests/fixtures/speech

FLAC at 16 kHz, so that the tests need no renderer. Seeds differ from those of the evaluation.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import soundfile

from training.evaluate import SHORT
from training.render import FIRST_TEST_SEED, Wanted, clips, label
from training.voices import SAMPLE_RATE

SETS = [
    ("training", "transcribe", FIRST_TEST_SEED + 100, 16, Wanted("training", **SHORT)),
    ("reserved", "transcribe", FIRST_TEST_SEED + 101, 12, Wanted("reserved", **SHORT)),
    ("empty", "empty", FIRST_TEST_SEED + 102, 8, Wanted(max_s=6.0)),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    out: Path = parser.parse_args().out
    for folder, task, seed, count, wanted in SETS:
        (out / folder).mkdir(parents=True, exist_ok=True)
        labels = []
        for name, clip in clips(task, seed, count, wanted):
            name = Path(name).with_suffix(".flac").name
            soundfile.write(out / folder / name, np.clip(clip.samples, -1, 1), SAMPLE_RATE, subtype="PCM_16")
            labels.append(label(name, clip))
        (out / folder / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in labels))


if __name__ == "__main__":
    main()
