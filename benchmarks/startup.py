"""Ratios measured side by side in one run: what `--help` costs beside a two-command Typer program,
and how long one transcription takes beside the clip's own length, on one core, loading included.

    python benchmarks/startup.py [--rounds 15]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import soundfile

ROOT = Path(__file__).parents[1]
TWO_COMMANDS = """
import typer
app = typer.Typer()
@app.command()
def one(name: str) -> None: "The first."
@app.command()
def two(name: str) -> None: "The second."
app()
"""
MOSS = [sys.executable, "-m", "moss_cli"]


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    return time.perf_counter() - start


def help_ratios(rounds: int) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".py") as program:
        program.write(TWO_COMMANDS)
        program.flush()
        commands = {
            "two-command Typer program": [sys.executable, program.name, "--help"],
            "moss --help": [*MOSS, "--help"],
            "moss transcribe --help": [*MOSS, "transcribe", "--help"],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(rounds):  # in turns, so that a busy moment of the machine hits all alike
            for name, command in commands.items():
                times[name].append(seconds(command))
    base = statistics.median(times["two-command Typer program"])
    for name, values in times.items():
        middle = statistics.median(values)
        print(f"{name:<28} {1000 * middle:7.0f} ms  {middle / base:5.2f} x")


def real_time_ratio(rounds: int) -> None:
    clip = ROOT / "samples" / "meeting.wav"
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    duration = soundfile.info(clip).duration
    times = [seconds([*MOSS, "transcribe", str(clip), "--model", "tiny"]) for _ in range(rounds)]
    middle = statistics.median(times)
    print(
        f"{'transcribe on one core':<28} {middle:7.2f} s   {middle / duration:5.2f} x real time ({duration:.1f} s clip)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    help_ratios(rounds)
    real_time_ratio(max(1, rounds // 5))


if __name__ == "__main__":
    main()
