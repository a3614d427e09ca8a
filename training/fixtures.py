"""Make the clips of tests/fixtures, and find clips that a model answers rightly.

    python -m training.fixtures speech --out tests/fixtures/speech
    python -m training.fixtures tasks --out tests/fixtures/tasks --model tiny
    python -m training.fixtures samples --model tiny

`speech` is a small part of what `training.evaluate` measures. `tasks` has, of the other six commands, clips of
different kinds that the model answers rightly, with the command's arguments and its result, which the tests expect
from then on. `samples` tells which clips training.samples could take. FLAC at 16 kHz, so that the tests need no
renderer; seeds differ from those of the evaluation.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from training.commands import answers, command_lines
from training.examples import SAMPLE_RATE, Example
from training.measures.right import PERFECT, is_right
from training.render import FIRST_TEST_SEED, Wanted, clips, label, write_labels
from training.samples import SEED as SAMPLES_SEED

Row = dict[str, Any]

SHORT: dict[str, Any] = {"n_sentences": (1, 3), "max_s": 12.0}
SPEECH = [
    ("training", "transcribe", FIRST_TEST_SEED + 100, 16, Wanted("training", **SHORT)),
    ("reserved", "transcribe", FIRST_TEST_SEED + 101, 12, Wanted("reserved", **SHORT)),
    ("empty", "empty", FIRST_TEST_SEED + 102, 8, Wanted(max_s=6.0)),
]
TASKS_SEED = FIRST_TEST_SEED + 200
LONGEST_S = {"summarize": 20.0, "music": 12.0, "ask": 12.0}  # else 10
KIND: dict[str, Callable[[Row], str]] = {  # of which there is to be one clip each
    "describe-speaker": lambda row: str(row["result"]["accent"]),
    "emotion": lambda row: str(row["result"]["overall"]),
    "scene": lambda row: str(row["result"]["setting"]),
    "music": lambda row: str(row["result"]["style"]),
    "ask": lambda row: str(row["settings"]["kind"]),
    "summarize": lambda row: str(row["style"]),
}


def write_flac(path: Path, example: Example) -> None:
    soundfile.write(path, np.clip(example.samples, -1, 1), SAMPLE_RATE, subtype="PCM_16")


def speech(out: Path) -> None:
    for folder, task, seed, count, wanted in SPEECH:
        (out / folder).mkdir(parents=True, exist_ok=True)
        labels = []
        for name, example in clips(task, seed, count, wanted):
            name = Path(name).with_suffix(".flac").name
            write_flac(out / folder / name, example)
            labels.append(label(name, example))
        write_labels(out / folder, labels)


def right(task: str, seed: int, count: int, model: str, folder: Path) -> Iterator[tuple[Row, Row, list[str]]]:
    """The labels of the clips in `folder` that a model answers rightly, with its envelopes and the command's own
    arguments. A question in two steps is asked with --think."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for name, example in clips(task, seed, count):
        if example.duration_s <= LONGEST_S.get(task, 10.0):
            name = Path(name).with_suffix(".flac").name
            write_flac(folder / name, example)
            rows.append(label(name, example))
    lines = [line for row in rows for line in command_lines(task, folder, [row], _options(row))]
    envelopes = answers(lines, model)
    for row, line in zip(rows, lines, strict=True):
        envelope = envelopes.get(row["file"], {})
        if is_right(task, row, envelope):
            yield row, envelope, [word for word in line if word != str(folder / row["file"])]


def _options(row: Mapping[str, Any]) -> list[str]:
    return ["--think"] if row["settings"].get("two_step") else []


def tasks(out: Path, model: str, count: int, each: int) -> None:
    """Write clips and expected.jsonl for every task, and say how many of how many were right."""
    for task in PERFECT:
        folder = out / task
        found = list(right(task, TASKS_SEED, count, model, folder))
        chosen: dict[str, Row] = {}
        for row, envelope, arguments in found:
            if len(chosen) < each and KIND[task](row) not in chosen:
                expected = {"file": row["file"], "arguments": arguments, "result": envelope["result"]}
                chosen[KIND[task](row)] = expected
        for path in folder.glob("*.flac"):
            if path.name not in {row["file"] for row in chosen.values()}:
                path.unlink()
        (folder / "expected.jsonl").write_text("".join(json.dumps(row) + "\n" for row in chosen.values()))
        print(f"{task}: {len(found)} right of the short ones among {count}, {len(chosen)} kept")


def samples(model: str, count: int) -> None:
    """Print the numbers of the clips that training.samples could take."""
    for task in PERFECT:
        with tempfile.TemporaryDirectory() as folder:
            for row, envelope, _ in right(task, SAMPLES_SEED, count, model, Path(folder)):
                number = int(Path(row["file"]).stem.split("-")[-1])
                rate = row["settings"]["sample_rate"]
                print(f"{task} {number}: {row['duration']} s, {rate} Hz, {' '.join(envelope['text'].split())}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["speech", "tasks", "samples"])
    parser.add_argument("--out", type=Path, help="folder for speech and tasks")
    parser.add_argument("--model", default="tiny", help="a name, or a checkpoint folder")
    parser.add_argument("--count", type=int, default=30, help="clips to try, of each task")
    parser.add_argument("--each", type=int, default=4, help="clips to keep, of each task")
    args = parser.parse_args()
    if args.what == "samples":
        samples(args.model, args.count)
    elif args.out is None:
        parser.error("--out is needed")
    elif args.what == "speech":
        speech(args.out)
    else:
        tasks(args.out, args.model, args.count, args.each)


if __name__ == "__main__":
    main()
