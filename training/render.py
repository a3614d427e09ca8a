"""Render labelled clips from a seed: wav files and labels.jsonl, the same bytes for the same seed.

    python -m training.render --task scene --seed 1000000 --count 50 --out DIR

Seeds from 1,000,000 up are never trained on, and use what training/DOMAIN.md says is kept for testing. Voices of
the speech domain, which is measured with both, are chosen with --voices.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from tqdm import tqdm

from training.clips import Clip, empty_clip, speech_clip
from training.examples import SAMPLE_RATE, Example

FIRST_TEST_SEED = 1_000_000


@dataclass(frozen=True)
class Wanted:
    """What kind of clips of the speech domain."""

    voices: str = "training"  # or "reserved"
    n_sentences: tuple[int, int] = (1, 4)
    max_s: float = 30.0


Draw = Callable[[random.Random], Example]


def _speech(reserved: bool, wanted: Wanted) -> Draw:
    return lambda rng: as_example(
        speech_clip(
            rng,
            reserved_voices=wanted.voices == "reserved",
            reserved_patterns=reserved,
            n_sentences=wanted.n_sentences,
            max_s=wanted.max_s,
        )
    )


def _empty(reserved: bool, wanted: Wanted) -> Draw:
    return lambda rng: as_example(empty_clip(rng, wanted.max_s))


def as_example(clip: Clip) -> Example:
    """A clip of the speech domain as those of the others."""
    return Example(clip.samples, clip.truth, ())


def _of(domain: str) -> Callable[[bool, Wanted], Draw]:
    """The clips of a module of training.domains, imported where they are drawn: together they take a second."""

    def draw(reserved: bool, wanted: Wanted) -> Draw:
        module = import_module(f"training.domains.{domain}")
        parts = module.Rendered()
        return lambda rng: module.example(rng, parts, reserved=reserved)

    return draw


TASKS: dict[str, Callable[[bool, Wanted], Draw]] = {
    "transcribe": _speech,
    "empty": _empty,
    "describe-speaker": _of("voices"),
    "emotion": _of("emotions"),
    "scene": _of("scenes"),
    "music": _of("music"),
    "ask": _of("questions"),
    "summarize": _of("meetings"),
    "mixed": _of("mixed"),
}


def clips(task: str, seed: int, count: int, wanted: Wanted | None = None) -> Iterator[tuple[str, Example]]:
    """Names and clips; each depends on the seed and its own number alone."""
    for i in range(count):
        yield f"{task}-{seed}-{i:04d}.wav", clip(task, seed, i, wanted)


def clip(task: str, seed: int, i: int, wanted: Wanted | None = None) -> Example:
    """The clip of that number."""
    return TASKS[task](seed >= FIRST_TEST_SEED, wanted or Wanted())(random.Random(f"{task}/{seed}/{i}"))


def label(name: str, example: Example) -> dict[str, Any]:
    """What is true of a clip, as a row of labels.jsonl."""
    return {"file": name, "duration": round(example.duration_s, 3), **example.truth}


def write_clip(path: Path, example: Example) -> None:
    """16-bit wav at the clip's own sample rate."""
    rate = int(example.truth["settings"]["sample_rate"])
    samples = example.samples if rate == SAMPLE_RATE else soxr.resample(example.samples, SAMPLE_RATE, rate)
    soundfile.write(path, np.clip(samples, -1, 1), rate, subtype="PCM_16")


def write_labels(folder: Path, labels: list[dict[str, Any]]) -> None:
    (folder / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in labels))


def render(out: Path, task: str, seed: int, count: int, wanted: Wanted | None = None) -> list[dict[str, Any]]:
    """Write clips, and when all are there their labels, to a folder; the labels come back."""
    out.mkdir(parents=True, exist_ok=True)
    labels = []
    for name, example in tqdm(clips(task, seed, count, wanted), task, count, unit="clip", leave=False, disable=None):
        write_clip(out / name, example)
        labels.append(label(name, example))
    write_labels(out, labels)
    return labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", choices=TASKS, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--out", type=Path, required=True)
    speech = parser.add_argument_group("transcribe and empty")
    speech.add_argument("--voices", choices=["training", "reserved"], default="training")
    speech.add_argument("--sentences", type=int, nargs=2, default=(1, 4), metavar=("FEWEST", "MOST"))
    speech.add_argument("--max-seconds", type=float, default=30.0)
    args = parser.parse_args()
    wanted = Wanted(args.voices, tuple(args.sentences), args.max_seconds)
    render(args.out, args.task, args.seed, args.count, wanted)


if __name__ == "__main__":
    main()
