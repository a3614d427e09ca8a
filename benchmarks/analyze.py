"""Several tasks in one pass: all seven about one clip together, and one after another.

    python benchmarks/analyze.py [--seconds 120] [--rounds 3] [--tasks transcribe,emotion]

`tiny` answers, on the processor, loaded once: loads do not count, and neither does a first run of each. The two ways
take turns in one process; what they say must be the same. A row has the seconds of each task alone, of all of them
together, and the ratio. On a machine that does other things the seconds tell little, the ratio more.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

from moss_cli.audio.results import SAMPLE_RATE
from moss_cli.backends.opening import open_backend
from moss_cli.backends.protocol import Backend
from moss_cli.models.registry import resolve
from moss_cli.run.inputs import Input
from moss_cli.run.job import Job, Work
from moss_cli.run.journal import NoJournal
from moss_cli.run.runner import Runner
from moss_cli.tasks.catalogue import TASKS, entry

SAMPLES = sorted((Path(__file__).parents[1] / "moss_cli/samples").glob("*.wav"))
QUESTION = "What is said?"


def make_input(path: Path, seconds: float) -> Input:
    """The samples of the package one after another, over and over, with pauses."""
    clips: list[np.ndarray] = []
    while sum(map(len, clips)) < seconds * SAMPLE_RATE:
        for one in SAMPLES:
            values, rate = soundfile.read(one, dtype="float32")
            clips += [soxr.resample(values, rate, SAMPLE_RATE), np.zeros(SAMPLE_RATE // 2, np.float32)]
    soundfile.write(path, np.concatenate(clips)[: round(seconds * SAMPLE_RATE)].clip(-0.99, 0.99), SAMPLE_RATE)
    return Input(path)


def make_job(task: str) -> Job:
    made = entry(task).load()
    return Job(made(QUESTION) if task == "ask" else made(), resolve("tiny"), device="cpu")  # type: ignore[call-arg]


def timed(jobs: Sequence[Job], one: Input, backend: Backend) -> tuple[float, dict[str, dict[str, Any]]]:
    """Seconds for these jobs together, and what each says."""
    runner = Runner(jobs[0], also=jobs[1:], open_backend=lambda model, **options: backend)
    began = time.monotonic()
    found = list(runner.run_all([Work(one, {job.task.name: NoJournal() for job in jobs})]))
    seconds = time.monotonic() - began
    return seconds, {each.envelope.task: each.envelope.model_dump() | {"usage": None} for each in found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tasks", default=",".join(TASKS))
    args = parser.parse_args()
    jobs = [make_job(task) for task in args.tasks.split(",")]
    backend = open_backend(jobs[0].model, device="cpu", dtype="fp32", n_together=None, has_forms=True)
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        one = make_input(Path(folder) / "a.wav", args.seconds)
        for number in range(args.rounds + 1):
            alone = [timed([job], one, backend) for job in jobs]
            together_s, said = timed(jobs, one, backend)
            for _, found in alone:
                for task, envelope in found.items():
                    if envelope != said[task]:
                        raise SystemExit(f"{task} says something else together with the others")
            alone_s = sum(seconds for seconds, _ in alone)
            each = ", ".join(f"{job.task.name} {seconds:.2f}" for job, (seconds, _) in zip(jobs, alone, strict=True))
            if number:
                ratios.append(together_s / alone_s)
                print(f"alone {alone_s:6.2f} s ({each})   together {together_s:6.2f} s   ratio {ratios[-1]:.2f}")
    print(f"ratio {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
