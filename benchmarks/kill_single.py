"""Runs over one recording killed at random moments: the end is that of an undisturbed run, and no piece is lost.

    python benchmarks/kill_single.py [--rounds 50] [--long 60] [--seed 0]

Each round starts a run whose result goes to stdout or into a file, and ends it by SIGKILL: after a random time, or
inside a system call that writes. Rounds go on with the same recording, each with a destination of its own, until it is
done, and then begin anew with an empty state folder.

Fails where what a killed run had written is not the beginning of an undisturbed run's, a journal holds a piece twice or
has lost one, a result differs (but for `usage`), a file is half-written, or a journal is left over.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from killed_runs import Rounds, dying_inside, make_inputs, read, start

from moss_cli.folders.journal import read_journal

DESTINATIONS = ("stdout txt", "stdout srt", "stdout csv", "file json", "file vtt")
N_CALLS = 40  # about as many system calls that write as a run makes


class Singles(Rounds):
    """Rounds on one recording. `kept`: the pieces in the journal after the last round."""

    kept: frozenset[str] = frozenset()

    def run(self, to: str, *, kill_after_s: float | None = None, fault: Callable[[], None] | None = None) -> int:
        """A run to a destination. Its exit code, or minus the signal that it died of."""
        where, fmt = to.split()
        argv = ["transcribe", str(self.work / "in/long.wav"), "--model", "tiny", "--device", "cpu", "--dtype", "fp32"]
        argv += ["--chunk", "8", "--batch-size", "2", "--quiet"]
        argv += ["-f", fmt] if where == "stdout" else ["-o", str(self.work / f"out.{fmt}")]
        return self.wait(start(argv, self.work / "log", self.to_stdout(fault)), kill_after_s=kill_after_s)

    def to_stdout(self, fault: Callable[[], None] | None) -> Callable[[], None]:
        def prepare() -> None:
            descriptor = os.open(self.work / "stdout", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            os.dup2(descriptor, 1)
            if fault is not None:
                fault()

        return prepare

    def made(self, to: str) -> Any:
        """What stands at a destination; None where nothing does."""
        where, fmt = to.split()
        path = self.work / ("stdout" if where == "stdout" else f"out.{fmt}")
        if not path.exists():
            return None
        return read(path) if fmt == "json" else path.read_bytes()

    def undisturbed(self) -> None:
        for to in DESTINATIONS:
            began = time.monotonic()
            code = self.run(to)
            self.run_s = time.monotonic() - began
            self.expect(code in (0, 3), f"the undisturbed run to {to} ended with {code}")
            self.reference[to] = self.made(to)
        self.forget()

    def forget(self) -> None:
        for path in self.work.glob("out.*"):
            path.unlink()
        self.kept = frozenset()

    def round(self) -> None:
        to = self.random.choice(DESTINATIONS)
        if self.random.random() < 0.6:
            kind, code = "at a random time", self.run(to, kill_after_s=self.random.uniform(0.2, 1.0) * self.run_s)
        else:
            fault = dying_inside(self.random.randint(1, N_CALLS), after=self.random.random() < 0.5)
            kind, code = "inside a write", self.run(to, fault=fault)
        self.counts[f"{kind}: {'killed' if code == -signal.SIGKILL else f'ended with {code}'}"] += 1
        self.counts["begun with pieces kept"] += bool(self.kept)
        made = self.made(to)
        if code == -signal.SIGKILL:
            if to.startswith("stdout"):
                self.expect(self.reference[to].startswith(made or b""), f"{to}: not the beginning of the result")
            else:
                self.expect(made in (None, self.reference[to]), f"{to}: a file that is not the result")
            self.check_journal()
        else:
            self.expect(code in (0, 3), f"a run ended with {code}: {(self.work / 'log').read_text()}")
            self.expect(made == self.reference[to], f"{to}: the result differs")
            self.expect(not self.journals(), f"left over: {self.journals()}")
            self.counts["finished"] += 1
            self.forget()

    def journals(self) -> list[Path]:
        return sorted((self.work / "state/unfinished").glob("*.jsonl"))

    def check_journal(self) -> None:
        """Each piece is there once, and all are that were there after the last round: none was decoded again."""
        journals = self.journals()
        self.expect(len(journals) < 2, "there are two journals of one work")
        if not journals:  # deleted just before the end; or none was begun
            self.kept = frozenset()
            return
        names = [json.loads(line)["piece"] for line in journals[0].read_bytes().split(b"\n")[1:-1]]
        self.expect(len(names) == len(set(names)), f"a piece was answered twice: {names}")
        whole = frozenset(read_journal(journals[0])[1])
        self.expect(self.kept <= whole, f"pieces are lost: {self.kept - whole}")
        self.counts["pieces found kept"] += len(whole)
        self.kept = whole


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--long", type=float, default=60.0, help="seconds of the recording")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kill-single-") as folder:
        os.environ["MOSS_STATE_DIR"] = f"{folder}/state"
        singles = Singles(Path(folder), args.seed)
        make_inputs(singles.work / "in", 0, args.long)
        singles.undisturbed()
        print(f"undisturbed: {singles.run_s:.1f} s", flush=True)
        for _ in range(args.rounds):
            singles.round()
        print(f"{args.rounds} rounds")
        singles.print_counts()
    return 1 if singles.faults else 0


if __name__ == "__main__":
    sys.exit(main())
