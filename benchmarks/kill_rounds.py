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
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from killed_runs import ORIGINALS, Rounds, dying_inside, make_inputs, read, start

KINDS = ("at a random time", "at a random time", "inside a write", "full")
TMPFS_BYTES = 1 << 20


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


class Folders(Rounds):
    """Rounds on output folders."""

    n_calls = 0

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

    def wait_and_read(self, pid: int, out: Path, *, kill_after_s: float | None = None) -> int:
        """Wait for a run, reading what appears in `out`. Its exit code, or minus the signal that it died of."""
        seen = dict[Path, tuple[int, int]]()
        return self.wait(pid, lambda: self.read_new(out, seen), kill_after_s=kill_after_s)

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
            code = self.wait_and_read(start(self.argv(out), self.work / "log"), out)
            self.expect(code == 3, f"the last run ended with {code}: {self.said()}")
            self.check_not_again(out, done)
            self.check_whole(out)
        return n_done

    def round(self, out: Path, *, is_small: bool) -> int:
        kind = self.random.choice(KINDS)
        had_journal = any(out.glob(".moss/unfinished/*"))
        if kind == "at a random time":
            after_s = self.random.uniform(0, self.run_s)
            code = self.wait_and_read(start(self.argv(out), self.work / "log"), out, kill_after_s=after_s)
        elif kind == "inside a write":
            fault = dying_inside(self.random.randint(1, self.n_calls), after=self.random.random() < 0.5)
            code = self.wait_and_read(start(self.argv(out), self.work / "log", fault), out)
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
            code = self.wait_and_read(start(self.argv(out), self.work / "log"), out)
            ballast.unlink()
        else:
            code = self.wait_and_read(start(self.argv(out), self.work / "log", without_room(n_bytes)), out)
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
        rounds = Folders(Path(folder), args.seed)
        make_inputs(rounds.work / "in", args.clips, args.long)
        rounds.undisturbed()
        print(f"undisturbed: {len(rounds.reference)} files in {rounds.run_s:.1f} s", flush=True)
        n_done = n_folders = 0
        while n_done < args.rounds:
            n_done += rounds.folder(args.rounds - n_done)
            n_folders += 1
            print(f"{n_done} rounds, {n_folders} folders, {len(rounds.faults)} faults", flush=True)
        print(f"{n_done} rounds on {n_folders} folders, each compared with the undisturbed run at its end")
        rounds.print_counts()
    return 1 if rounds.faults else 0


if __name__ == "__main__":
    sys.exit(main())
