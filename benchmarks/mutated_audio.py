"""Mutated files in one process: how long the slowest took, how much memory, and what native libraries said.

Every format of `differential_audio.py` is written once, two seconds long. Each file is one of those with bits flipped,
numbers of its header set to extremes, stretches zeroed, repeated, left out or replaced, or its end cut off. A crash
ends the script. What takes over 10 s, raises anything but a `MossError`, gives samples that are not finite or far more
than its bytes could hold, or writes to stderr is listed.

With `--through-command N`, N such files lie in a folder that one `moss transcribe` reads. It has to end with a report
that names each of them, without a traceback, a line on stderr that is not its own, 10 s in which it finishes no file,
or more than 1 GB of memory.

    python benchmarks/mutated_audio.py [--files 3000] [--seed 0] [--through-command N]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from differential_audio import FORMATS, write

from moss_cli.audio.decode import load
from moss_cli.errors import MossError

LIMIT_S, LIMIT_MB = 10, 1024
_MOST_DURATION_S = 86_400.0
_HEADER_BYTES = 300
_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The bytes with one to four changes."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        first = chance.randrange(max(len(changed), 1))
        length = chance.choice((1, 4, 100, 1000, len(changed) // 5))
        match chance.randrange(7):
            case 0:
                for _ in range(chance.choice((1, 3, 30))):
                    changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
            case 1:
                at, width = chance.randrange(min(_HEADER_BYTES, len(changed))), chance.choice((1, 2, 4))
                value = chance.choice(_EXTREMES) & ((1 << 8 * width) - 1)
                changed[at : at + width] = value.to_bytes(width, chance.choice(("little", "big")))
            case 2:
                changed[first : first + length] = bytes(len(changed[first : first + length]))
            case 3:
                changed[first:first] = changed[first : first + length]
            case 4:
                del changed[first : first + length]
            case 5:
                changed[first : first + length] = chance.randbytes(len(changed[first : first + length]))
            case _:
                del changed[first:]
        if not changed:
            return b"\0"
    return bytes(changed)


def _outcome(path: Path) -> str:
    try:
        audio = load(path, max_duration_s=_MOST_DURATION_S)
    except MossError as error:
        return f"refused: {error.code}"
    if not np.isfinite(audio.samples).all():
        return "FAULT: samples that are not finite"
    if audio.duration_s > 300 + 60 * path.stat().st_size / 1000:
        return f"FAULT: {audio.duration_s:.0f} s out of {path.stat().st_size} bytes"
    return "whole" if audio.complete else "partial"


def _slow(*_: object) -> None:
    raise TimeoutError


def _examined(path: Path, log: int) -> tuple[str, float, str]:
    """What came of a file, in how many seconds, and what was written to stderr meanwhile."""
    os.ftruncate(log, 0)
    begun = time.process_time()  # the clock also counts what else the machine does
    signal.setitimer(signal.ITIMER_PROF, 6 * LIMIT_S)
    try:
        outcome = _outcome(path)
    except Exception as error:  # noqa: BLE001 - each is a fault to list
        outcome = f"FAULT: {type(error).__name__}: {error}"
    signal.setitimer(signal.ITIMER_PROF, 0)
    return outcome, time.process_time() - begun, os.pread(log, 200, 0).decode(errors="replace").strip()


def _originals(folder: Path) -> dict[str, bytes]:
    """A file of two seconds in each format."""
    originals = {}
    for name, form in FORMATS.items():
        path = folder / f"original.{form.suffix}"
        write(path, form, n_seconds=2)
        originals[name] = path.read_bytes()
    return originals


def _longest_wait(process: subprocess.Popen[bytes], out: Path, log: Path) -> float:
    """The longest time in seconds in which a run neither wrote a result nor said anything, until it ended."""
    before, since, longest_s = -1, time.monotonic(), 0.0
    while process.poll() is None:
        done = len(list(out.glob("*.json"))) + log.stat().st_size
        if done != before:
            before, since = done, time.monotonic()
        longest_s = max(longest_s, time.monotonic() - since)
        if longest_s > 6 * LIMIT_S:
            process.kill()
        time.sleep(0.1)
    return longest_s


def _through_command(n_files: int, chance: random.Random, work: Path) -> None:
    originals = _originals(work)
    inputs, out, report, log = work / "in", work / "out", work / "report.json", work / "log"
    inputs.mkdir()
    for number in range(n_files):
        name = chance.choice(list(originals))
        (inputs / f"{number:05}.{FORMATS[name].suffix}").write_bytes(mutated(originals[name], chance))
    argv = [sys.executable, "-m", "moss_cli", "transcribe", str(inputs), "-o", f"{out}/", "-f", "json"]
    begun = time.monotonic()
    with log.open("wb") as stderr:
        process = subprocess.Popen([*argv, "--model", "tiny", "--report", str(report)], stderr=stderr)
        longest_s = _longest_wait(process, out, log)
    took_s = time.monotonic() - begun
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    foreign = [
        said for said in log.read_text(errors="replace").splitlines() if not said.startswith(("moss: ", "hint: "))
    ]
    listed = json.loads(report.read_bytes())["inputs"] if report.exists() else []
    counts = Counter(str(each["status"]) for each in listed)
    print(f"{n_files} files: exit code {process.returncode}, " + ", ".join(f"{n} {what}" for what, n in counts.items()))
    print(f"{took_s:.1f} s, {longest_s:.1f} s at most without a result, peak {peak_mb:.0f} MB of {LIMIT_MB}")
    print(f"{n_files - len(listed)} files not in the report, {len(foreign)} lines on stderr that are not moss's own")
    print("\n".join(f"- {said}" for said in foreign))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--files", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--through-command", type=int, metavar="N", help="N files in one run of `moss transcribe`")
    parser.add_argument("--keep", type=Path, help="folder for the files that show a fault")
    options = parser.parse_args()
    if options.through_command:
        with tempfile.TemporaryDirectory() as folder:
            _through_command(options.through_command, random.Random(options.seed), Path(folder))
        return
    signal.signal(signal.SIGPROF, _slow)
    chance, counts, faults, slowest = random.Random(options.seed), Counter[str](), [], (0.0, "")
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as spool:
        originals = _originals(Path(folder))
        os.dup2(spool.fileno(), 2)
        for number in range(options.files):
            name = chance.choice(list(originals))
            path = Path(folder) / f"mutated.{FORMATS[name].suffix}"
            path.write_bytes(mutated(originals[name], chance))
            outcome, took_s, said = _examined(path, 2)
            slowest = max(slowest, (took_s, name))
            counts[outcome.split(":")[0]] += 1
            if outcome.startswith("FAULT") or took_s > LIMIT_S or said:
                faults.append(f"{name} {number}: {outcome}, {took_s:.1f} s {said}")
                if options.keep:
                    options.keep.mkdir(exist_ok=True)
                    (options.keep / f"{number}.{FORMATS[name].suffix}").write_bytes(path.read_bytes())
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{options.files} files: " + ", ".join(f"{n} {what}" for what, n in sorted(counts.items())))
    print(f"slowest {slowest[0]:.2f} s ({slowest[1]}), peak {peak_mb:.0f} MB of {LIMIT_MB}, {len(faults)} faults")
    print("\n".join(f"- {fault}" for fault in faults))


if __name__ == "__main__":
    main()
