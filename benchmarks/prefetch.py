"""Reading ahead: a folder of m4a files with the next one decoded in a thread, and with each read in its turn.

    python benchmarks/prefetch.py [--files 8] [--seconds 60] [--rounds 3] [--rows tiny sleeping sleeping-no-vad]

The two ways take turns in one process; a row has their medians and the ratio, and what they say must be the same.
"tiny" is the embedded model on the processor, with one thread unless OMP_NUM_THREADS says otherwise: a second core is
free for decoding. "sleeping" is no model: it stands for a GPU, which leaves the processor alone, and sleeps for a
hundredth of the audio it is given. "sleeping-no-vad" does so without the search for speech, which is not done ahead.
On a machine that does other things the ratio tells nothing.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ.setdefault("OMP_NUM_THREADS", "1")

import av
import numpy as np
import soundfile
import soxr

from moss_cli.audio.results import SAMPLE_RATE, Samples
from moss_cli.backends.opening import open_backend
from moss_cli.backends.protocol import Answered, BackendInfo, Event, Reply, Request
from moss_cli.models.registry import resolve
from moss_cli.run import prefetch
from moss_cli.run.inputs import Input
from moss_cli.run.job import Job
from moss_cli.run.runner import Runner
from moss_cli.tasks.transcribe import Transcribe

CLIPS = sorted((Path(__file__).parents[1] / "tests/fixtures/speech/training").glob("*.flac"))
RATE = 48_000
GPU_SPEED = 100.0  # times real time
ROWS = ("tiny", "sleeping", "sleeping-no-vad")


def make_inputs(folder: Path, n_files: int, seconds: float) -> list[Input]:
    """Stereo AAC, each a sentence over and over."""
    inputs = []
    for n in range(n_files):
        values, rate = soundfile.read(CLIPS[n % len(CLIPS)], dtype="float32")
        sound = np.resize(soxr.resample(values, rate, RATE), round(seconds * RATE)).clip(-0.99, 0.99)
        path = folder / f"{n:02}.m4a"
        with av.open(str(path), "w", format="mp4") as output:
            stream = output.add_stream("aac", rate=RATE, layout="stereo")
            for at in range(0, len(sound), 1024):
                frame = av.AudioFrame.from_ndarray(np.stack([sound[at : at + 1024]] * 2), "fltp", "stereo")
                frame.sample_rate, frame.pts = RATE, at
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        inputs.append(Input(path))
    return inputs


@dataclass(frozen=True)
class Slept:
    """A clip that nobody has listened to."""

    duration_s: float


class SleepingBackend:
    """Sleeps in the place of all the model's work on a chunk, and says hello."""

    info, n_together, listens_beside = BackendInfo("none", "none"), 8, False

    def __init__(self) -> None:
        self._n_asked = 0
        self._waiting: list[int] = []

    def fits(self, prompt: str) -> bool:
        return True

    def listen(self, clips: Sequence[Samples]) -> list[Slept]:
        heard = [Slept(len(samples) / SAMPLE_RATE) for samples in clips]
        time.sleep(sum(clip.duration_s for clip in heard) / GPU_SPEED)
        return heard

    def submit(self, request: Request) -> int:
        self._n_asked += 1
        self._waiting.append(self._n_asked)
        return self._n_asked

    def step(self) -> list[Event]:
        done, self._waiting = self._waiting, []
        return [Answered(ticket, Reply("[0.00]hello[0.50]")) for ticket in done]

    def cancel(self, ticket: int) -> None:
        self._waiting.remove(ticket)

    def close(self) -> None:
        self._waiting.clear()


def timed(job: Job, inputs: Sequence[Input], ahead_s: float, opens: Any) -> tuple[float, list[dict[str, Any]]]:
    """Seconds of a run, and what it says. The model is loaded anew, which decoding may overlap, too."""
    with patch.object(prefetch, "AHEAD_S", ahead_s):
        began = time.monotonic()
        outcomes = list(Runner(job, open_backend=opens).run(inputs))
        seconds = time.monotonic() - began
    return seconds, [outcome.envelope.model_dump() | {"usage": None} for outcome in outcomes]


def compare(row: str, inputs: Sequence[Input], n_rounds: int) -> None:
    """Print a row. A first run warms up and does not count."""
    job = Job(Transcribe(), resolve("tiny"), device="cpu", vad=row != "sleeping-no-vad")
    runs: list[tuple[float, float]] = []
    opens = open_backend if row == "tiny" else lambda model, **options: SleepingBackend()
    timed(job, inputs[:1], 0.0, opens)
    for _ in range(n_rounds):
        plain_s, plain = timed(job, inputs, 0.0, opens)
        ahead_s, said = timed(job, inputs, prefetch.AHEAD_S, opens)
        if said != plain:
            raise SystemExit(f"{row}: reading ahead changed what is said")
        runs.append((plain_s, ahead_s))
    plain_s, ahead_s = (statistics.median(each) for each in zip(*runs, strict=True))
    each = ", ".join(f"{one[1] / one[0]:.2f}" for one in runs)
    print(f"{row:<16} in turn {plain_s:6.2f} s   ahead {ahead_s:6.2f} s   ratio {ahead_s / plain_s:.2f}   ({each})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ahead-") as folder:
        inputs = make_inputs(Path(folder), args.files, args.seconds)
        for row in args.rows:
            compare(row, inputs, args.rounds)


if __name__ == "__main__":
    main()
