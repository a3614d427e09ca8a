"""A folder on a Ray cluster of two nodes, one of which is killed in the middle: all outputs are those of a local run.

    python benchmarks/ray_cluster.py [--files 60] [--rounds 1]

Starts two nodes on this machine, each a `ray start` of its own with one CPU. Each round runs `moss transcribe` with
`tiny` in fp32 over the folder four times: alone; on the cluster, with one node killed by SIGKILL when a third of the
files is done; the same with `--ray-collect`; and with the driver killed when a third is done, and started again. It
compares every output with that of the run alone (but for `usage`), prints the seconds of each, and fails if anything
differs, is missing or is left over.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
CLIPS = sorted((ROOT / "tests/fixtures/speech/reserved").glob("*.flac"))
PORT = 6411
ADDRESS = f"127.0.0.1:{PORT}"
START = ("ray", "start", "--block", "--num-cpus=1", "--object-store-memory=200000000", "--disable-usage-stats")
LONGEST_S = 400.0


def environment(folder: Path) -> dict[str, str]:
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    own = {"PYTHONPATH": paths, "PATH": path, "MOSS_STATE_DIR": str(folder / "state"), "RAY_DEDUP_LOGS": "0"}
    return os.environ | own


class Nodes:
    """Two nodes with a CPU each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._head = self._start("--head", f"--port={PORT}", "--include-dashboard=false")
        self.second = self._start(f"--address={ADDRESS}")

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"ray-{arguments[0].strip('-')[:4]}.log").open("ab") as log:
            node = subprocess.Popen(
                [*START, *arguments], stdout=log, stderr=log, env=environment(self._folder), start_new_session=True
            )
        time.sleep(8)
        if node.poll() is not None:
            raise SystemExit(f"a node could not be started: {' '.join(arguments)}")
        return node

    def kill_second(self) -> None:
        kill_group(self.second)

    def restart_second(self) -> None:
        self.second = self._start(f"--address={ADDRESS}")

    def stop(self) -> None:
        for node in (self.second, self._head):
            kill_group(node)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def cluster(folder: Path) -> Iterator[Nodes]:
    nodes = Nodes(folder)
    try:
        yield nodes
    finally:
        nodes.stop()


def moss(folder: Path, out: str, *arguments: str) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-m", "moss_cli", "transcribe", "in/", "-o", f"{out}/", "-f", "json", "-f", "srt"]
    argv += ["--model", "tiny", "--dtype", "fp32", *arguments]
    with (folder / f"{out}.log").open("ab") as log:
        return subprocess.Popen(argv, cwd=folder, stderr=log, env=environment(folder))


def n_done(folder: Path, out: str) -> int:
    return len(list((folder / out).glob("*.srt")))


def wait_until(n: int, folder: Path, out: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + LONGEST_S
    while n_done(folder, out) < n and process.poll() is None and time.monotonic() < until:
        time.sleep(0.05)


def finish(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(LONGEST_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise SystemExit("a run hangs") from None


def outputs(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix == ".json":
            found[path.name] = json.loads(path.read_text()) | {"usage": None}
        elif path.name != ".moss":
            found[path.name] = path.read_bytes()
    found["unfinished"] = [path.name for path in (folder / ".moss").glob("unfinished/*")]
    return found


def check(folder: Path, out: str, code: int) -> None:
    if code:
        raise SystemExit(f"{out}: exit code {code}\n{(folder / f'{out}.log').read_text()}")
    expected, found = outputs(folder / "local"), outputs(folder / out)
    wrong = [name for name in expected | found if expected.get(name) != found.get(name)]
    if wrong:
        raise SystemExit(f"{out}: {len(wrong)} outputs differ, {wrong[:3]}")


def run_round(folder: Path, nodes: Nodes, n_files: int) -> None:
    for out in ("local", "shared", "collected", "again"):
        shutil.rmtree(folder / out, ignore_errors=True)
    started = time.monotonic()
    check(folder, "local", finish(moss(folder, "local")))
    print(f"alone                                   {time.monotonic() - started:6.1f} s", flush=True)
    for out, extra in (("shared", ()), ("collected", ("--ray-collect",))):
        started = time.monotonic()
        process = moss(folder, out, "--ray", ADDRESS, *extra)
        wait_until(n_files // 3, folder, out, process)
        n_before = n_done(folder, out)
        nodes.kill_second()
        check(folder, out, finish(process))
        if "has died" not in (folder / f"{out}.log").read_text():
            raise SystemExit(f"{out}: no worker died")
        what = f"{out}, a node killed after {n_before} of {n_files}"
        print(f"{what:<40}{time.monotonic() - started:6.1f} s", flush=True)
        nodes.restart_second()
    started = time.monotonic()
    process = moss(folder, "again", "--ray", ADDRESS)
    wait_until(n_files // 3, folder, "again", process)
    n_before = n_done(folder, "again")
    process.kill()
    process.wait()
    check(folder, "again", finish(moss(folder, "again", "--ray", ADDRESS)))
    print(f"{f'driver killed after {n_before} of {n_files}':<40}{time.monotonic() - started:6.1f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="moss-ray-") as name:
        folder = Path(name)
        (folder / "in").mkdir()
        for n in range(args.files):
            shutil.copy(CLIPS[n % len(CLIPS)], folder / "in" / f"clip {n:03}.flac")
        with cluster(folder) as nodes:
            for n in range(args.rounds):
                print(f"round {n + 1}", flush=True)
                run_round(folder, nodes, args.files)
    print("all outputs are those of the local run")


if __name__ == "__main__":
    main()
