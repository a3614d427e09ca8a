"""Loading a checkpoint in bf16, in 4 bits and from a quantised copy: seconds and memory, cold and warm.

    python benchmarks/make_checkpoint.py 4b /tmp/4b
    moss models quantize /tmp/4b -o /tmp/4b-4bit
    python benchmarks/loading.py /tmp/4b [--quantised /tmp/4b-4bit] [--rounds 3] [--caches cold warm] [--device cpu]

Each load is a process of its own, and they take turns. "cold": the system has dropped the files' pages before; "warm":
it has read them before. Memory is anonymous (what no file backs), at the most while loading and while decoding a few
tokens then, without what the process had before; its ratio is to the bytes of the weights as they are held.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

N_TOKENS = 3  # decoded after loading


@dataclass(frozen=True)
class Loading:
    """What is loaded: a row of the table."""

    name: str
    folder: Path
    dtype: str


def load_once(folder: Path, dtype: str, device: str) -> dict[str, Any]:
    """Load and decode a little, in this process."""
    from moss_cli.bench.counting import held_bytes
    from moss_cli.bench.measure import answer, random_prompt
    from moss_cli.bench.memory import PeakMemory
    from moss_cli.bench.subject import load_folder
    from moss_cli.engine.decoding import Decoding
    from moss_cli.engine.devices import pick_device

    subject = load_folder(folder.name, folder, device=device, dtype=dtype)
    with PeakMemory(pick_device(device)) as peak:
        prompt = random_prompt(subject.model, None, 16, seed=0)
        _, times = answer(Decoding(subject.model, frozenset(), n_slots=1), [prompt], N_TOKENS)
    loading, running = subject.load_memory, peak.use
    before = loading.before or 0
    return {
        "seconds": subject.load_s,
        "token_s": times[-1],
        "weights": held_bytes(subject.model),
        "loading": (loading.anonymous or 0) - before,
        "running": (running.anonymous or 0) - before,
    }


def prepare(folder: Path, cache: str) -> None:
    """Have the system hold the files' pages, or drop them."""
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb", buffering=0) as file:
            if cache == "cold":
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            else:
                buffer = bytearray(1 << 24)
                while file.readinto(buffer):
                    pass


def in_a_process(loading: Loading, device: str) -> dict[str, Any]:
    """`load_once` in a new process."""
    command = [sys.executable, __file__, str(loading.folder), "--once", loading.dtype, "--device", device]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def compare(loadings: Sequence[Loading], cache: str, n_rounds: int, device: str) -> None:
    """Print a row for each, medians of the rounds, and the time beside the first's."""
    runs: dict[str, list[dict[str, Any]]] = {one.name: [] for one in loadings}
    for _ in range(n_rounds):
        for one in loadings:
            prepare(one.folder, cache)
            runs[one.name].append(in_a_process(one, device))
    base = statistics.median(run["seconds"] for run in runs[loadings[0].name])
    for name, figures in runs.items():
        seconds = statistics.median(run["seconds"] for run in figures)
        weights = figures[0]["weights"]
        loading, running = (max(run[key] for run in figures) / weights for key in ("loading", "running"))
        token_s = statistics.median(run["token_s"] for run in figures)
        print(
            f"{cache:<5} {name:<10} {seconds:7.2f} s {seconds / base:6.2f} x   {weights / 1e9:6.2f} GB"
            f"   loading {loading:5.2f} x   running {running:5.2f} x   {1000 * token_s:8.1f} ms a token",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--quantised", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--caches", nargs="+", choices=("cold", "warm"), default=("cold", "warm"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--once", metavar="DTYPE", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.once:
        print(json.dumps(load_once(args.checkpoint, args.once, args.device)))
        return
    loadings = [Loading("bf16", args.checkpoint, "bf16"), Loading("4bit", args.checkpoint, "4bit")]
    if args.quantised:
        loadings.append(Loading("quantised", args.quantised, "4bit"))
    print("cache what          time          of       weights    memory, of the weights")
    for cache in args.caches:
        compare(loadings, cache, args.rounds, args.device)


if __name__ == "__main__":
    main()
