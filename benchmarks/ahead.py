"""Reading ahead: a folder of m4a files with the next one decoded in a thread, and with each read in its turn.

    python benchmarks/ahead.py [--files 8] [--seconds 60] [--rounds 3] [--rows tiny sleeping sleeping-no-vad]

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
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ.setdefault("OMP_NUM_THREADS", "1")

import av
import numpy as np
import soundfile
import soxr
import torch

from moss_cli.audio.results import SAMPLE_RATE
from moss_cli.engine.engine import Engine
from moss_cli.engine.generate import Generation, Request
from moss_cli.engine.model import AudioFeatures
from moss_cli.engine.prompt import TOKENS_PER_SECOND
from moss_cli.models.registry import resolve
from moss_cli.run import prefetch as ahead
from moss_cli.run.job import Job, Source
from moss_cli.run.runner import Runner
from moss_cli.tasks.transcribe import Transcribe

CLIPS = sorted((Path(__file__).parents[1] / "tests/fixtures/speech/training").glob("*.flac"))
RATE = 48_000
GPU_SPEED = 100.0  # times real time
ROWS = ("tiny", "sleeping", "sleeping-no-vad")


def make_inputs(folder: Path, n_files: int, seconds: float) -> list[Source]:
    """Stereo AAC, each a sentence over and over."""
    sources = []
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
        sources.append(Source(path, path.name))
    return sources


def hear_asleep(self: Engine, samples: np.ndarray) -> AudioFeatures:
    """In place of all the model's work on a piece."""
    seconds = len(samples) / SAMPLE_RATE
    time.sleep(seconds / GPU_SPEED)
    return AudioFeatures(torch.zeros(max(1, round(seconds * TOKENS_PER_SECOND)), 1), [])


def say_hello(self: Engine, requests: Sequence[Request], *_: object, **__: object) -> list[Generation]:
    return [Generation(self.tokenizer.encode("[0.00]hello[0.50]"), "stop") for _ in requests]


def timed(job: Job, sources: Sequence[Source], ahead_s: float) -> tuple[float, list[dict[str, Any]]]:
    """Seconds of a run, and what it says. The model is loaded anew, which decoding may overlap, too."""
    with patch.object(ahead, "AHEAD_S", ahead_s):
        began = time.monotonic()
        outcomes = list(Runner(job).run(sources))
        seconds = time.monotonic() - began
    return seconds, [outcome.envelope.model_dump() | {"usage": None} for outcome in outcomes]


def compare(row: str, sources: Sequence[Source], n_rounds: int) -> None:
    """Print a row. A first run warms up and does not count."""
    job = Job(Transcribe(), resolve("tiny"), device="cpu", vad=row != "sleeping-no-vad")
    runs: list[tuple[float, float]] = []
    with ExitStack() as stack:
        if row != "tiny":
            stack.enter_context(patch.object(Engine, "hear", hear_asleep))
            stack.enter_context(patch.object(Engine, "generate", say_hello))
        timed(job, sources[:1], 0.0)
        for _ in range(n_rounds):
            plain_s, plain = timed(job, sources, 0.0)
            ahead_s, said = timed(job, sources, ahead.AHEAD_S)
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
        sources = make_inputs(Path(folder), args.files, args.seconds)
        for row in args.rows:
            compare(row, sources, args.rounds)


if __name__ == "__main__":
    main()
