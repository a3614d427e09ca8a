"""A folder of many short files with broken ones among them, a second run over it, and runs that share one.

    python benchmarks/folder_runs.py [--files 1000] [--broken 50] [--shared 100] [--runs 4]

The second run's work beyond start-up is its time less that of a run over a folder with one file that is done: each
is the median of three, in turns. CPU seconds stand beside them, for machines that do other things meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import soundfile

ROOT = Path(__file__).parents[1]
CLIP = ROOT / "tests/fixtures/speech/reserved/transcribe-1000101-0001.flac"


def make_inputs(folder: Path, n_files: int, n_broken: int) -> None:
    """A second of speech in each, from another place; the broken ones hold text."""
    samples, rate = soundfile.read(CLIP, dtype="int16")
    folder.mkdir()
    for n in range(n_files):
        path = folder / f"{n:04}.wav"
        if n_broken and n % (n_files // n_broken) == 0:
            path.write_text("no audio")
        else:
            start = n * 37 % (len(samples) - rate)
            soundfile.write(path, samples[start : start + rate], rate)


def command(inputs: Path, out: Path, report: Path) -> list[str]:
    argv = [sys.executable, "-m", "moss_cli", "transcribe", str(inputs), "-o", f"{out}/", "-f", "json"]
    return [*argv, "--model", "tiny", "--device", "cpu", "--quiet", "--report", str(report)]


def timed(argv: list[str]) -> tuple[int, float, float]:
    """Exit code, seconds, CPU seconds."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    code = subprocess.run(argv, stderr=subprocess.DEVNULL, check=False).returncode
    seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return code, seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def counts(report: Path) -> str:
    found = json.loads(report.read_text())["counts"]
    return ", ".join(f"{count} {status}" for status, count in found.items() if count)


def many(work: Path, n_files: int, n_broken: int) -> None:
    make_inputs(work / "in", n_files, n_broken)
    make_inputs(work / "one", 1, 0)
    report = work / "report.json"
    code, seconds, cpu_s = timed(command(work / "in", work / "out", report))
    print(f"first run over {n_files} files: code {code}, {counts(report)}, {seconds:.1f} s ({cpu_s:.1f} s of CPU)")
    timed(command(work / "one", work / "out-one", report))
    again, least = [], []
    for _ in range(3):
        least.append(timed(command(work / "one", work / "out-one", report))[1:])
        code, *seconds_each = timed(command(work / "in", work / "out", report))
        again.append(seconds_each)
    (wall_s, cpu_s), (least_s, least_cpu_s) = (
        [statistics.median(each) for each in zip(*runs, strict=True)] for runs in (again, least)
    )
    print(f"second run: code {code}, {counts(report)}, {wall_s:.2f} s ({cpu_s:.2f} s of CPU)")
    print(f"start-up: {least_s:.2f} s ({least_cpu_s:.2f} s of CPU)")
    print(f"work beyond start-up: {wall_s - least_s:.2f} s ({cpu_s - least_cpu_s:.2f} s of CPU)")


def shared(work: Path, n_files: int, n_runs: int) -> None:
    make_inputs(work / "shared", n_files, 0)
    reports = [work / f"report-{n}.json" for n in range(n_runs)]
    runs = [
        subprocess.Popen(command(work / "shared", work / "out-shared", report), stderr=subprocess.DEVNULL)
        for report in reports
    ]
    codes = [run.wait() for run in runs]
    inputs = [one for report in reports for one in json.loads(report.read_text())["inputs"]]
    made = Counter(one["path"] for one in inputs if one["status"] in ("done", "partial"))
    n_each = [counts(report) for report in reports]
    print(f"{n_runs} runs over {n_files} files: codes {codes}, {'; '.join(n_each)}")
    print(f"files done: {len(made)}, each {min(made.values())} to {max(made.values())} times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--broken", type=int, default=50)
    parser.add_argument("--shared", type=int, default=100)
    parser.add_argument("--runs", type=int, default=4)
    args = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory(prefix="folder-runs-") as folder:
        many(Path(folder), args.files, args.broken)
        shared(Path(folder), args.shared, args.runs)


if __name__ == "__main__":
    main()
