"""Render labelled clips from a seed: wav files and labels.jsonl, the same bytes for the same seed.

    python -m training.render --task transcribe --seed 1000000 --count 50 --out DIR

Seeds from 1,000,000 up are never trained on, and use the sentence patterns kept for testing.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from training.clips import Clip, empty_clip, speech_clip
from training.voices import SAMPLE_RATE

FIRST_TEST_SEED = 1_000_000


@dataclass(frozen=True)
class Wanted:
    """What kind of clips of a task's domain."""

    voices: str = "training"  # or "reserved"
    n_sentences: tuple[int, int] = (1, 4)
    max_s: float = 30.0


def speech(rng: random.Random, seed: int, wanted: Wanted) -> Clip:
    """A clip with speech."""
    return speech_clip(
        rng,
        reserved_voices=wanted.voices == "reserved",
        reserved_patterns=seed >= FIRST_TEST_SEED,
        n_sentences=wanted.n_sentences,
        max_s=wanted.max_s,
    )


def empty(rng: random.Random, seed: int, wanted: Wanted) -> Clip:
    """A clip without."""
    return empty_clip(rng, wanted.max_s)


TASKS: dict[str, Callable[[random.Random, int, Wanted], Clip]] = {"transcribe": speech, "empty": empty}


def clips(task: str, seed: int, count: int, wanted: Wanted) -> Iterator[tuple[str, Clip]]:
    """Names and clips; each depends on the seed and its own number alone."""
    for i in range(count):
        yield f"{task}-{seed}-{i:04d}.wav", TASKS[task](random.Random(f"{task}/{seed}/{i}"), seed, wanted)


def label(name: str, clip: Clip) -> dict[str, object]:
    """What is true of a clip: what was said, and when."""
    return {
        "file": name,
        "duration": round(clip.duration_s, 3),
        "text": " ".join(s.text for s in clip.segments),
        "segments": [
            {
                "start": round(s.start, 3),
                "end": round(s.end, 3),
                "text": s.text,
                "word_starts": [round(t, 3) for t in s.word_starts],
            }
            for s in clip.segments
        ],
        "settings": clip.settings,
    }


def write_clip(path: Path, clip: Clip) -> None:
    """16-bit wav at the clip's own sample rate."""
    rate = int(str(clip.settings["sample_rate"]))
    samples = clip.samples if rate == SAMPLE_RATE else soxr.resample(clip.samples, SAMPLE_RATE, rate)
    soundfile.write(path, np.clip(samples, -1, 1), rate, subtype="PCM_16")


def render(out: Path, task: str, seed: int, count: int, wanted: Wanted) -> list[dict[str, object]]:
    """Write clips and labels to a folder; the labels come back."""
    out.mkdir(parents=True, exist_ok=True)
    labels = []
    for name, clip in clips(task, seed, count, wanted):
        write_clip(out / name, clip)
        labels.append(label(name, clip))
    (out / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in labels))
    return labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", choices=TASKS, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--voices", choices=["training", "reserved"], default="training")
    parser.add_argument("--sentences", type=int, nargs=2, default=(1, 4), metavar=("FEWEST", "MOST"))
    parser.add_argument("--max-seconds", type=float, default=30.0)
    args = parser.parse_args()
    wanted = Wanted(args.voices, tuple(args.sentences), args.max_seconds)
    render(args.out, args.task, args.seed, args.count, wanted)


if __name__ == "__main__":
    main()
