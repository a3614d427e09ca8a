"""Memory and time over hours of audio: the real command on the same sound for 1 minute, 18 minutes and 3 hours.

    python benchmarks/long_audio.py [--formats wav mp3 m4a] [--model tiny] [--command transcribe]

Every minute holds one sentence of the tests' clips and else faint noise, so that speech is as dense in all files. Each
figure is a ratio or a difference within this run: the peak of a process beside that over 1 minute of the same format
(at most 150 MB more), and the processor's time over ten times the audio (at most 11 times).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import av
import numpy as np
import soundfile
import soxr

ROOT = Path(__file__).parents[1]
CLIPS = sorted((ROOT / "tests" / "fixtures" / "speech" / "training").glob("*.flac"))
RATE = 44_100
MINUTES = (1, 18, 180)
FAINT = 3e-4  # RMS of the noise in which nobody speaks
MOST_MORE_MB, MOST_TIMES = 150.0, 11.0


@dataclass(frozen=True)
class Run:
    """`seconds` are those of the processor, user's and system's: the clock also counts what else the machine does."""

    seconds: float
    peak_mb: float


def minute(clip: Path, seed: int) -> np.ndarray:
    """[n] float32 at 44.1 kHz: faint noise, and the clip from the 20th second on."""
    sound = np.random.default_rng(seed).standard_normal(60 * RATE).astype(np.float32) * np.float32(FAINT)
    values, rate = soundfile.read(clip, dtype="float32")
    spoken = soxr.resample(values, rate, RATE)[: 30 * RATE]
    sound[20 * RATE : 20 * RATE + len(spoken)] += spoken
    return sound.clip(-0.99, 0.99)


def minutes(n_minutes: int) -> Iterator[np.ndarray]:
    shortest = sorted(CLIPS, key=lambda path: soundfile.info(path).duration)[:6]
    for seed, clip in enumerate(islice(cycle(shortest), n_minutes)):
        yield minute(clip, seed)


def make(path: Path, n_minutes: int) -> None:
    """A mono file, written minute by minute."""
    if path.suffix != ".m4a":
        with soundfile.SoundFile(path, "w", RATE, 1) as file:
            for sound in minutes(n_minutes):
                file.write(sound)
        return
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=RATE, layout="mono")
        at = 0
        for sound in minutes(n_minutes):
            for block in np.split(sound, range(1024, len(sound), 1024)):
                frame = av.AudioFrame.from_ndarray(block[None], "fltp", "mono")
                frame.sample_rate, frame.pts = RATE, at
                at += len(block)
                output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def run(path: Path, command: str, model: str) -> Run:
    """The command on one file, in a process of its own."""
    arguments = [sys.executable, "-m", "moss_cli", command, str(path), "--model", model, "-f", "json"]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{path.name}: the command ended with code {process.returncode}")
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return Run(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--formats", nargs="+", default=["wav", "mp3", "m4a"])
    parser.add_argument("--minutes", nargs="+", type=int, default=MINUTES)
    parser.add_argument("--command", default="transcribe")
    parser.add_argument("--model", default="tiny")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for suffix in args.formats:
            runs: dict[int, Run] = {}
            for n_minutes in args.minutes:
                path = Path(folder, f"{n_minutes}.{suffix}")
                # In a process of its own: what a child peaks at is told to be no less than what its parent did.
                subprocess.run([sys.executable, __file__, "--make", str(path), str(n_minutes)], check=True)
                runs[n_minutes] = run(path, args.command, args.model)
                path.unlink()
                told(suffix, n_minutes, runs)


def told(suffix: str, n_minutes: int, runs: dict[int, Run]) -> None:
    """One line on the last of the runs."""
    [*before, last] = runs.values()
    more_mb = last.peak_mb - next(iter(runs.values())).peak_mb
    line = f"{suffix:<4} {n_minutes:>4} min  {last.seconds:8.1f} s  {last.peak_mb:7.0f} MB  {more_mb:+6.0f} MB"
    if before:
        shorter = list(runs)[-2]
        times = (last.seconds / before[-1].seconds) / (n_minutes / shorter) * 10
        line += f"  {times:5.2f} x the time for 10 x the audio (beside {shorter} min)"
    verdict = "over" if more_mb > MOST_MORE_MB or (len(before) > 1 and times > MOST_TIMES) else "within"
    print(f"{line}  {verdict}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make"]:
        make(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
