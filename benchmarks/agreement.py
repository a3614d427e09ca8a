"""How many answers of the embedded model agree with those in fp32 where it computes in another dtype, on test clips.

    python benchmarks/agreement.py [--dtypes bf16 4bit] [--count 50] [--out build/evaluation]

The clips are those of `training.evaluate`. Two answers agree if they say the same in the same words and their times
are at most 0.05 s apart; how many are the same to the last digit stands beside that. Rendering the clips needs
espeak-ng and flite.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from training.commands import answers, command_lines
from training.evaluate import SEED, Study

TASKS = ("transcribe", "ask", "emotion", "scene", "describe-speaker")
CLOSE_S = 0.05  # chosen: a word is seldom shorter than twice that


def agree(one: Any, other: Any) -> bool:
    """Whether two results say the same, but for times that are a little apart."""
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= CLOSE_S
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(agree(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(agree, one, other))
    return bool(one == other)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dtypes", nargs="+", default=["bf16", "4bit"])
    parser.add_argument("--tasks", nargs="+", default=TASKS)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--out", type=Path, default=Path("build/evaluation"))
    args = parser.parse_args()
    study = Study("tiny", args.count, args.out)
    n_clips, n_agreeing = 0, dict.fromkeys(args.dtypes, 0)
    for task in args.tasks:
        clips = study.clips(task, SEED)
        said = {}
        for dtype in ("fp32", *args.dtypes):
            lines = command_lines(task, clips.folder, clips.labels, ("--dtype", dtype, "--device", "cpu"))
            said[dtype] = {name: one["result"] for name, one in answers(lines, "tiny").items()}
        expected = said["fp32"]
        n_clips += len(expected)
        for dtype in args.dtypes:
            n_agree = sum(agree(said[dtype][name], result) for name, result in expected.items())
            n_same = sum(said[dtype][name] == result for name, result in expected.items())
            n_agreeing[dtype] += n_agree
            print(f"{task:<18}{dtype:<6}{n_agree:>4} of {len(expected)} agree, {n_same} are the same", flush=True)
    for dtype, n_agree in n_agreeing.items():
        print(f"{'all':<18}{dtype:<6}{n_agree:>4} of {n_clips} agree: {n_agree / n_clips:.1%}")


if __name__ == "__main__":
    main()
