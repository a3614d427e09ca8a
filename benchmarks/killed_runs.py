"""What benchmarks that kill runs share: inputs, runs in a child process, and deaths inside a system call."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from moss_cli.cli.main import run as moss

ROOT = Path(__file__).parents[1]
CLIPS = sorted((ROOT / "tests/fixtures/speech/reserved").glob("*.flac"))
SYSCALLS = ("write", "fsync", "rename", "link", "unlink", "ftruncate", "mkdir")
ORIGINALS = {name: getattr(os, name) for name in SYSCALLS}
LONGEST_RUN_S = 300.0


@dataclass
class Rounds:
    """Rounds so far, and what went wrong. `reference`: what undisturbed runs made, which is what all are to make."""

    work: Path
    seed: int
    faults: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    reference: dict[str, Any] = field(default_factory=dict)
    run_s: float = 0.0  # how long an undisturbed run takes

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.faults.append(otherwise)
            print(f"FAULT: {otherwise}", flush=True)

    def wait(self, pid: int, look: Callable[[], None] = lambda: None, *, kill_after_s: float | None = None) -> int:
        """Wait for a run, and `look` meanwhile. Its exit code, or minus the signal that it died of."""
        began, killed = time.monotonic(), False
        while True:
            found, status = os.waitpid(pid, os.WNOHANG)
            look()
            if found:
                return os.waitstatus_to_exitcode(status)
            limit_s = LONGEST_RUN_S if kill_after_s is None else kill_after_s
            if not killed and time.monotonic() - began > limit_s:
                self.expect(kill_after_s is not None, "a run did not end")
                os.kill(pid, signal.SIGKILL)
                killed = True
            time.sleep(0.002)

    def print_counts(self) -> None:
        for what, count in sorted(self.counts.items()):
            print(f"{count:6} {what}")
        print(f"{len(self.faults)} faults")


def make_inputs(folder: Path, n_clips: int, long_s: float) -> None:
    """Short clips, one that is broken, and a long one made of clips."""
    folder.mkdir()
    for n in range(n_clips):
        shutil.copy(CLIPS[n % len(CLIPS)], folder / f"clip {n:03}.flac")
    (folder / "broken.flac").write_bytes(b"fLaC" + bytes(500))
    pieces, rate, n_samples = [], 0, 0
    for clip in CLIPS * 100:
        if rate and n_samples >= long_s * rate:
            break
        samples, rate = soundfile.read(clip, dtype="float32")
        pieces += [samples, np.zeros(rate // 2, np.float32)]
        n_samples += len(samples) + rate // 2
    soundfile.write(folder / "long.wav", np.concatenate(pieces), rate)


def start(argv: list[str], log: Path, fault: Callable[[], None] | None = None) -> int:
    """`moss` in a child of this process, which has everything imported; its id."""
    pid = os.fork()
    if pid:
        return pid
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(descriptor, 2)
    torch.set_num_threads(1)
    if fault is not None:
        fault()
    code = 70
    try:
        code = moss(argv)
    finally:
        os._exit(code)


def dying_inside(n_calls: int, *, after: bool) -> Callable[[], None]:
    """Patches the system calls that change files: the n-th kills the process, before or after it or half-way."""

    def patch() -> None:
        calls = iter(range(1, sys.maxsize))

        def patched(original: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **named: Any) -> Any:
                counts = original is not ORIGINALS["write"] or arguments[0] > 2
                if counts and next(calls) == n_calls:
                    if original is ORIGINALS["write"]:
                        original(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                    elif after:
                        original(*arguments, **named)
                    os.kill(os.getpid(), signal.SIGKILL)
                return original(*arguments, **named)

            return call

        for name in SYSCALLS:
            setattr(os, name, patched(ORIGINALS[name]))

    return patch


def read(path: Path) -> Any:
    """A result but for `usage`; None where it is not whole."""
    data = path.read_bytes()
    if path.suffix == ".srt":
        return data
    try:
        document = json.loads(data)
    except ValueError:
        return None
    document.pop("usage")
    return json.dumps(document)
