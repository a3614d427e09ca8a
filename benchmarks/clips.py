"""A folder of short clips: all that goes on together, against one clip after another and against one command a file.

    python benchmarks/clips.py [--files 70] [--seconds 10] [--rounds 3] [--singles 5]

Each round runs all ways in turns, as processes of their own: the folder as it is, the folder with `--batch-size 1`, a
folder with a second of silence (what start-up takes: it is subtracted from both), and some of the clips one by one,
from which the time of all of them is reckoned. Figures are medians of wall seconds and of CPU seconds; "cores" is the
one through the other. The transcripts of both ways must be the same. On a machine that does other things the ratios of
CPU seconds still tell something, those of wall seconds do not.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

ROOT = Path(__file__).parents[1]
SENTENCES = sorted((ROOT / "tests/fixtures/speech").glob("*/transcribe-*.flac"))
STRIDE_S = 3.7  # from the start of one clip to that of the next, so that no two are alike


@dataclass(frozen=True)
class Cost:
    """What a run took."""

    wall_s: float
    cpu_s: float

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.wall_s - other.wall_s, self.cpu_s - other.cpu_s)

    def __mul__(self, n: float) -> Cost:
        return Cost(self.wall_s * n, self.cpu_s * n)


def make_inputs(folder: Path, n_files: int, seconds: float) -> None:
    """Clips of speech as it goes on and on, each from another place."""
    folder.mkdir()
    sounds, rates = zip(*(soundfile.read(path, dtype="int16") for path in SENTENCES), strict=True)
    [rate] = set(rates)
    speech = np.concatenate(sounds)
    for n in range(n_files):
        start = round(n * STRIDE_S * rate) % len(speech)
        soundfile.write(folder / f"{n:03}.wav", np.roll(speech, -start)[: round(seconds * rate)], rate)


def make_silence(folder: Path) -> None:
    folder.mkdir()
    soundfile.write(folder / "silence.wav", np.zeros(16_000, np.int16), 16_000)


def timed(inputs: Path, out: Path, *options: str) -> Cost:
    argv = [sys.executable, "-m", "moss_cli", "transcribe", str(inputs), "-o", f"{out}/", "-f", "json", "--force"]
    argv += ["--model", "tiny", "--device", "cpu", "--quiet", *options]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(argv, check=True, stderr=subprocess.DEVNULL)
    seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def said(out: Path) -> dict[str, Any]:
    found = {path.name: json.loads(path.read_text()) for path in sorted(out.glob("*.json"))}
    return {name: (one["text"], one["chunks"]) for name, one in found.items()}


def median(costs: Iterable[Cost]) -> Cost:
    walls, cpus = zip(*((cost.wall_s, cost.cpu_s) for cost in costs), strict=True)
    return Cost(statistics.median(walls), statistics.median(cpus))


def row(name: str, cost: Cost, times: float | None = None) -> None:
    ratio = "" if times is None else f"{times:6.2f} x"
    print(f"{name:<34} {cost.wall_s:7.2f} s wall {cost.cpu_s:7.2f} s CPU {cost.cpu_s / cost.wall_s:5.2f} cores {ratio}")


def measure(work: Path, n_files: int, n_rounds: int, n_singles: int) -> None:
    clips = sorted((work / "clips").iterdir())
    together, in_turn, startup, single = [], [], [], []
    for n in range(n_rounds):
        startup.append(timed(work / "silence", work / "out-silence"))
        together.append(timed(work / "clips", work / "out"))
        in_turn.append(timed(work / "clips", work / "out-1", "--batch-size", "1"))
        if said(work / "out") != said(work / "out-1") or len(said(work / "out")) != n_files:
            raise SystemExit("what is said depends on what else is answered")
        some = [clips[(n * n_singles + i) % n_files] for i in range(n_singles)]
        single += [timed(clip, work / "out-single") for clip in some]
    begun, all_together, one_by_one = median(startup), median(together), median(in_turn)
    commands = median(single) * n_files
    row("start-up", begun)
    row("all together", all_together)
    row("  without start-up", all_together - begun)
    row(
        "--batch-size 1, without start-up",
        one_by_one - begun,
        (one_by_one - begun).wall_s / (all_together - begun).wall_s,
    )
    row("one command a file", commands, commands.wall_s / all_together.wall_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=70)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--singles", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clips-") as folder:
        work = Path(folder)
        make_inputs(work / "clips", args.files, args.seconds)
        make_silence(work / "silence")
        measure(work, args.files, args.rounds, args.singles)


if __name__ == "__main__":
    main()
