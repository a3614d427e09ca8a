"""How much is fetched twice by a pull that is killed, at random moments, and started again until it completes.

A hub on this machine gives the embedded model, its weights in shards, no faster than a usual line; `moss models pull`
runs as a process of its own and is killed (SIGKILL) once the hub has sent a random number of bytes, from none to a
third of the model. Each download is then completed, and `moss models verify` has to pass. What is asked for must begin
where the file on the disk ends; what was sent twice was under way when the process died.

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
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "models")]

from loopback_hub import LARGE, LoopbackHub, Trouble, git_sha1, serving, sha256  # noqa: E402

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
    draw, files = random.Random(arguments.seed), sharded()
    size = sum(map(len, files.values()))
    with serving() as hub, tempfile.TemporaryDirectory() as work:
        hub.add("a/b", files)
        environ = environment(hub, Path(work))
        n_downloads = n_killed = n_again = n_behind = 0
        while n_killed < arguments.kills:
            result = download(hub, files, environ, draw, arguments.kills - n_killed)
            n_downloads, n_killed = n_downloads + 1, n_killed + result.n_kills
            n_again, n_behind = n_again + result.n_sent - size, n_behind + result.n_behind
            print(command(environ, "verify", "a/b").strip(), flush=True)
            command(environ, "rm", "a/b", "--yes")
    print(f"{n_killed} kills in {n_downloads} downloads of {size} bytes, all completed and verified")
    print(f"{n_behind} bytes asked for were on the disk; {n_again} were sent twice, {n_again // n_killed} a kill")


@dataclass(frozen=True)
class Download:
    """A model that was pulled, in as many tries as it took. n_sent: bytes of files that the hub sent, in all; n_behind:
    of them, those that were on the disk already."""

    n_kills: int
    n_sent: int
    n_behind: int


def environment(hub: LoopbackHub, work: Path) -> dict[str, str]:
    folders = {name: str(work / name) for name in ("MOSS_STATE_DIR", "MOSS_CACHE_DIR", "MOSS_CONFIG_DIR")}
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    here = {"HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(work / "hub"), "NO_PROXY": "127.0.0.1,localhost"}
    return os.environ | folders | here | {"PYTHONPATH": path}


def download(
    hub: LoopbackHub, files: dict[str, bytes], environ: dict[str, str], draw: random.Random, most_kills: int
) -> Download:
    """Pull until it completes, killed up to so many times."""
    hub.requests.clear()
    hub.troubles = [Trouble(name, times=10**6, slow_s=SLOW_S) for name in files]
    size, n_kills, n_behind = sum(map(len, files.values())), 0, 0
    while True:
        before, n_requests = sizes(files, Path(environ["HF_HUB_CACHE"])), len(hub.requests)
        process = subprocess.Popen([sys.executable, "-m", "moss_cli", "models", "pull", "a/b"], env=environ, **QUIET)
        was_killed = n_kills < most_kills and killed(process, hub, hub.n_bytes + draw.randrange(size // 3))
        if not was_killed and process.wait():
            raise SystemExit(f"pull ended with {process.returncode}")
        asked = [one for one in hub.requests[n_requests:] if one.name]
        n_behind += sum(max(0, before[one.name] - one.start) for one in asked)
        n_kills += was_killed
        if not was_killed:
            return Download(n_kills, sum(one.n_sent for one in hub.requests), n_behind)


def sizes(files: dict[str, bytes], cache: Path) -> dict[str, int]:
    """How much of each file is on the disk."""
    blobs = cache / "models--a--b" / "blobs"
    found = {}
    for name, content in files.items():
        digest = sha256(content) if len(content) >= LARGE else git_sha1(content)
        paths = (blobs / digest, blobs / f"{digest}.incomplete")
        found[name] = max((path.stat().st_size for path in paths if path.exists()), default=0)
    return found


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


if __name__ == "__main__":
    main()
