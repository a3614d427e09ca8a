"""How much is fetched twice by a pull that is killed, at random moments, and started again until it completes.

A hub on this machine gives the embedded model, its weights in shards, no faster than a usual line; `moss models pull`
runs as a process of its own and is killed (SIGKILL) once the hub has sent a random number of bytes, from none to a
third of the model. Each download is then completed, and `moss models verify` has to pass.

    python benchmarks/killed_pulls.py [--kills 50] [--seed 0]
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "models")]

from loopback_hub import LoopbackHub, serving  # noqa: E402

from moss_cli.engine.checkpoint import read_header  # noqa: E402

TINY = ROOT / "moss_cli" / "weights" / "tiny"
N_SHARDS = 6
SLOW_S = 0.02  # for each 16 kB of a file: a second or more for each shard


def sharded() -> dict[str, bytes]:
    """The embedded model's files, its tensors shared out among several files, with an index."""
    import json

    from safetensors.torch import load_file, save

    weights = load_file(TINY / "model.safetensors")
    names = sorted(read_header(TINY / "model.safetensors"))
    files = {path.name: path.read_bytes() for path in TINY.iterdir() if path.suffix != ".safetensors"}
    weight_map = {}
    for k in range(N_SHARDS):
        name = f"model-{k + 1:05}-of-{N_SHARDS:05}.safetensors"
        shard = {one: weights[one].contiguous() for one in names[k::N_SHARDS]}
        files[name] = save(shard)
        weight_map.update(dict.fromkeys(shard, name))
    files["model.safetensors.index.json"] = json.dumps({"weight_map": weight_map}).encode()
    return files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    files = sharded()
    size = sum(map(len, files.values()))
    with serving() as hub, tempfile.TemporaryDirectory() as work:
        hub.add("a/b", files)
        environ = environment(hub, Path(work))
        n_runs = n_killed = refetched = worst = 0
        while n_killed < arguments.kills:
            refetched_now, n_kills = pulls(hub, environ, draw, arguments.kills - n_killed, size)
            n_runs, n_killed, refetched = n_runs + 1, n_killed + n_kills, refetched + refetched_now
            worst = max(worst, refetched_now / max(n_kills, 1))
            check(environ)
            command(environ, "rm", "a/b", "--yes")
    print(f"{n_killed} kills in {n_runs} downloads of {size} bytes; {refetched} bytes were sent twice")
    print(f"at most {worst:.0f} a kill on average of a download; verify passed after each")


def environment(hub: LoopbackHub, work: Path) -> dict[str, str]:
    folders = {name: str(work / name) for name in ("MOSS_STATE_DIR", "MOSS_CACHE_DIR", "MOSS_CONFIG_DIR")}
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    here = {"HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(work / "hub"), "NO_PROXY": "127.0.0.1,localhost"}
    return os.environ | folders | here | {"PYTHONPATH": path}


def pulls(
    hub: LoopbackHub, environ: dict[str, str], draw: random.Random, most_kills: int, size: int
) -> tuple[int, int]:
    """Pull until it completes, killed up to so many times; bytes that were sent beyond the model's size, and kills."""
    hub.requests.clear()
    hub.troubles.clear()
    for name in {file for files in hub.models["a/b"].values() for file in files}:
        hub.trouble(name, times=10**6, slow_s=SLOW_S)
    n_kills = 0
    while True:
        process = subprocess.Popen([sys.executable, "-m", "moss_cli", "models", "pull", "a/b"], env=environ, **QUIET)
        if n_kills < most_kills and killed(process, hub, hub.n_bytes + draw.randrange(size // 3)):
            n_kills += 1
        elif process.wait():
            raise SystemExit(f"pull ended with {process.returncode}")
        else:
            break
    time.sleep(0.5)  # until the hub has noticed who is gone
    return sum(one.n_sent for one in hub.requests) - size, n_kills


def killed(process: subprocess.Popen[bytes], hub: LoopbackHub, at_bytes: int) -> bool:
    """Kill a pull once the hub has sent so many bytes; whether it came to that."""
    while process.poll() is None:
        if hub.n_bytes >= at_bytes:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return True
        time.sleep(0.005)
    return False


QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def command(environ: dict[str, str], *words: str) -> str:
    line = [sys.executable, "-m", "moss_cli", "models", *words]
    return subprocess.run(line, env=environ, check=True, capture_output=True, text=True).stdout


def check(environ: dict[str, str]) -> None:
    print(command(environ, "verify", "a/b").strip())


if __name__ == "__main__":
    main()
