"""Folder runs killed at random moments: what stands afterwards is what an undisturbed run gives.

    python benchmarks/kill_rounds.py [--rounds 200] [--clips 12] [--long 90] [--seed 0]

Each round starts a run over a folder of short clips, a broken file and a long one, and ends it by SIGKILL: after a
random time, or inside a system call that writes (half of what is to be written is), or it meets a full file system.
When a folder is done, everything is compared with an undisturbed run and the next folder is begun. While runs are at
work, every file that appears under its final name is read at once. As root on Linux the output folder is a small tmpfs
that really fills up; elsewhere the write that has no room is a made-up one.

Fails where an output differs (but for `usage`), was half-written, or was made twice, a finished piece was kept
twice, anything is left over, or a full file system is not exit code 1 with one error.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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
KINDS = ("at a random time", "at a random time", "inside a write", "full")
TMPFS_BYTES = 1 << 20
LONGEST_RUN_S = 300.0


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


def without_room(n_bytes: int) -> Callable[[], None]:
    """Patches `os.write`: of what is written to files, so many bytes find room."""

    def patch() -> None:
        left = n_bytes

        def write(descriptor: int, data: bytes) -> int:
            nonlocal left
            if descriptor <= 2:
                return int(ORIGINALS["write"](descriptor, data))
            if left <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            n_written = int(ORIGINALS["write"](descriptor, bytes(data)[:left]))
            left -= n_written
            return n_written

        os.write = write  # type: ignore[assignment]

    return patch


ORIGINALS = {name: getattr(os, name) for name in SYSCALLS}


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """A tmpfs at `folder`, or an ordinary folder where none can be had. Whether it is one."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={TMPFS_BYTES}", "tmpfs", str(folder)]
    mounted = False
    if sys.platform == "linux" and os.geteuid() == 0:
        mounted = subprocess.run(["mount", *options], capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Rounds:
    """The rounds so far, and what went wrong."""

    work: Path
    seed: int
    faults: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.reference: dict[str, Any] = {}
        self.run_s = 0.0
        self.n_calls = 0

    def argv(self, out: Path) -> list[str]:
        argv = ["transcribe", str(self.work / "in"), "-o", f"{out}/", "-f", "json", "-f", "srt", "--model", "tiny"]
        return [*argv, "--device", "cpu", "--dtype", "fp32", "--chunk", "8", "--batch-size", "2", "--quiet"]

    def undisturbed(self) -> None:
        """What everything is compared with, and how long it takes."""
        began = time.monotonic()
        code = self.wait(start(self.argv(self.work / "ref"), self.work / "log"))
        self.run_s = time.monotonic() - began
        self.expect(code == 3, f"the undisturbed run ended with {code}, not with 3 for the broken file")
        self.reference = {name: read(path) for name, path in results(self.work / "ref").items()}
        self.n_calls = 6 * len(self.reference) + 10  # about as many as there are

    def expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.faults.append(otherwise)
            print(f"FAULT: {otherwise}", flush=True)

    def wait(self, pid: int, out: Path | None = None, *, kill_after_s: float | None = None) -> int:
        """Wait for a run, reading what appears in `out`. Its exit code, or minus the signal that it died of."""
        began, seen = time.monotonic(), dict[Path, tuple[int, int]]()
        killed = False
        while True:
            found, status = os.waitpid(pid, os.WNOHANG)
            if out is not None:
                self.read_new(out, seen)
            if found:
                return os.waitstatus_to_exitcode(status)
            elapsed_s = time.monotonic() - began
            if not killed and elapsed_s > (LONGEST_RUN_S if kill_after_s is None else kill_after_s):
                self.expect(kill_after_s is not None, "a run did not end")
                os.kill(pid, signal.SIGKILL)
                killed = True
            time.sleep(0.002)

    def read_new(self, out: Path, seen: dict[Path, tuple[int, int]]) -> None:
        """Compare files that have appeared since the last look."""
        for name, path in results(out).items():
            with suppress(FileNotFoundError):
                status = path.stat()
                if seen.get(path) != (status.st_ino, status.st_mtime_ns):
                    seen[path] = (status.st_ino, status.st_mtime_ns)
                    self.counts["looks"] += 1
                    self.expect(read(path) == self.reference.get(name), f"{name} is not what it should be")

    def folder(self, n_rounds: int) -> int:
        """Rounds on one output folder until it is done. How many there were."""
        with small_disk(self.work / "disk") as is_small:
            out, n_done, done = self.work / "disk" / "out", 0, dict[str, tuple[int, int]]()
            while n_done < n_rounds:
                code = self.round(out, is_small=is_small)
                n_done += 1
                self.check_not_again(out, done)
                if code == 3:
                    break
            code = self.wait(start(self.argv(out), self.work / "log"), out)
            self.expect(code == 3, f"the last run ended with {code}: {self.said()}")
            self.check_not_again(out, done)
            self.check_whole(out)
        return n_done

    def round(self, out: Path, *, is_small: bool) -> int:
        kind = self.random.choice(KINDS)
        had_journal = any(out.glob(".moss/unfinished/*"))
        if kind == "at a random time":
            code = self.wait(
                start(self.argv(out), self.work / "log"), out, kill_after_s=self.random.uniform(0, self.run_s)
            )
        elif kind == "inside a write":
            fault = dying_inside(self.random.randint(1, self.n_calls), after=self.random.random() < 0.5)
            code = self.wait(start(self.argv(out), self.work / "log", fault), out)
        else:
            code = self.full(out, self.random.randint(0, 30_000), is_small=is_small)
        ended = "killed" if code == -signal.SIGKILL else "found no room" if code == 1 else f"ended with {code}"
        self.counts[f"{kind}: {ended}"] += 1
        if code == -signal.SIGKILL and any(out.glob(".moss/unfinished/*")):
            self.counts["killed with a file unfinished"] += 1
        self.counts["begun with a file unfinished"] += had_journal
        self.check_journals(out)
        return code

    def full(self, out: Path, n_bytes: int, *, is_small: bool) -> int:
        """A run for whose results there is hardly any room."""
        if is_small:
            ballast = out.parent / "ballast"
            free = shutil.disk_usage(out.parent).free
            ballast.write_bytes(bytes(max(0, free - n_bytes)))
            code = self.wait(start(self.argv(out), self.work / "log"), out)
            ballast.unlink()
        else:
            code = self.wait(start(self.argv(out), self.work / "log", without_room(n_bytes)), out)
        if code != 3:
            errors = [line for line in self.said() if line.startswith("moss: error: ") and "broken.flac" not in line]
            is_clear = len(errors) == 1 and "no space left on device" in errors[0]
            self.expect(code == 1 and is_clear, f"a full file system gave {code}: {self.said()}")
        return code

    def said(self) -> list[str]:
        return (self.work / "log").read_text().splitlines()

    def check_not_again(self, out: Path, done: dict[str, tuple[int, int]]) -> None:
        """Files of inputs that were finished stay the same files."""
        now = {name: (path.stat().st_ino, path.stat().st_mtime_ns) for name, path in results(out).items()}
        for name, was in done.items():
            self.expect(now.get(name) == was, f"{name} was written again")
        done |= {n: key for n, key in now.items() if n[:-4] + "json" in now and n.replace(".json", ".srt") in now}

    def check_journals(self, out: Path) -> None:
        for journal in out.glob(".moss/unfinished/*"):
            lines = journal.read_bytes().split(b"\n")[1:-1]
            names = Counter(json.loads(line)["piece"] for line in lines)
            self.counts["pieces found kept"] += len(names)
            self.expect(not names or max(names.values()) == 1, "a piece was answered twice")

    def check_whole(self, out: Path) -> None:
        found = {name: read(path) for name, path in results(out).items()}
        self.expect(found == self.reference, f"results differ: {sorted(found)}")
        left = [str(path.relative_to(out)) for path in out.rglob("*") if path.is_file() and is_left_over(path)]
        self.expect(not left, f"left over: {left}")


def results(out: Path) -> dict[str, Path]:
    """What stands under a final name."""
    return {path.name: path for path in out.glob("*") if path.suffix in (".json", ".srt")}


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


def is_left_over(path: Path) -> bool:
    return path.suffix == ".tmp" or path.parent.name in ("unfinished", "runs")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--long", type=float, default=90.0, help="seconds of the long file")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kill-rounds-") as folder:
        rounds = Rounds(Path(folder), args.seed)
        make_inputs(rounds.work / "in", args.clips, args.long)
        rounds.undisturbed()
        print(f"undisturbed: {len(rounds.reference)} files in {rounds.run_s:.1f} s", flush=True)
        n_done = n_folders = 0
        while n_done < args.rounds:
            n_done += rounds.folder(args.rounds - n_done)
            n_folders += 1
            print(f"{n_done} rounds, {n_folders} folders, {len(rounds.faults)} faults", flush=True)
        print(f"{n_done} rounds on {n_folders} folders, each compared with the undisturbed run at its end")
        for what, count in sorted(rounds.counts.items()):
            print(f"{count:6} {what}")
        print(f"{len(rounds.faults)} faults")
    return 1 if rounds.faults else 0


if __name__ == "__main__":
    sys.exit(main())
