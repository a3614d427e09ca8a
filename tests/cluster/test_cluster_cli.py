"""`--ray` on the command line, and a real cluster of this machine alone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from moss_cli.cli.command_line import with_ray_address

CLIPS = sorted((Path(__file__).parents[1] / "fixtures" / "speech" / "reserved").glob("*.flac"))
ENOUGH_S = 300


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["in/", "--ray"], ["in/", "--ray=auto"]),
        (["--ray", "in/"], ["--ray=auto", "in/"]),
        (["--ray", "-o", "out/"], ["--ray=auto", "-o", "out/"]),
        (["--ray", "auto", "in/"], ["--ray", "auto", "in/"]),
        (["--ray", "local"], ["--ray", "local"]),
        (["--ray", "node-1.example:6379", "in/"], ["--ray", "node-1.example:6379", "in/"]),
        (["--ray", "[fe80::1]:6379"], ["--ray", "[fe80::1]:6379"]),
        (["--ray=10.0.0.1:1"], ["--ray=10.0.0.1:1"]),
        (["in/", "--", "--ray"], ["in/", "--", "--ray"]),
        (["--ray-collect"], ["--ray-collect"]),
    ],
)
def test_an_address_may_follow_ray_or_not(words: list[str], expected: list[str]) -> None:
    assert with_ray_address(words) == expected


def run(folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*argv), cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=ENOUGH_S
    )


def command(*argv: str) -> list[str]:
    return [sys.executable, "-m", "moss_cli", *argv]


def environment(folder: Path) -> dict[str, str]:
    return os.environ | {"MOSS_STATE_DIR": str(folder / "state"), "MOSS_MODEL": "tiny", "MOSS_DTYPE": "fp32"}


@pytest.mark.parametrize(
    ("argv", "lines"),
    [
        (
            ["a.wav", "--ray"],
            ["error: --ray needs a folder for the results", "hint: run `moss transcribe a.wav --ray -o out/`"],
        ),
        (
            ["a.wav", "--ray", "-o", "a.srt"],
            ["error: --ray needs a folder for the results", "hint: run `moss transcribe a.wav --ray -o out/`"],
        ),
        (
            ["a.wav", "-o", "out/", "--workers", "2"],
            ["error: --workers needs --ray", "hint: run `moss transcribe a.wav -o out/ --workers 2 --ray`"],
        ),
        (["-", "-o", "out/", "--ray"], ["error: --ray cannot read stdin", "hint: save it to a file first"]),
    ],
)
def test_what_does_not_go_together_with_ray_is_code_2(tmp_path: Path, argv: list[str], lines: list[str]) -> None:
    (tmp_path / "a.wav").write_bytes(b"")
    done = run(tmp_path, "transcribe", *argv)
    assert (done.returncode, done.stderr.replace("moss: ", "").splitlines()[-2:]) == (2, lines)


needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="the package ray is not installed")


@needs_ray
def test_no_cluster_is_one_line_with_what_to_do(tmp_path: Path) -> None:
    shutil.copy(CLIPS[0], tmp_path / "a.flac")
    done = run(tmp_path, "transcribe", "a.flac", "-o", "out/", "--ray", "ray://localhost:10001")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-2:] == [
        "moss: error: --ray takes no ray:// address",
        "hint: run moss on a node of the cluster, with --ray auto",
    ]


def results(folder: Path) -> dict[str, Any]:
    return {path.name: json.loads(path.read_text()) | {"usage": None} for path in sorted(folder.glob("*.json"))}


def workers_of(pid: int) -> list[int]:
    """The processes of Ray's workers whose titles say that they are ours."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            title = (folder / "cmdline").read_bytes() if folder.name.isdigit() else b""
            job = (folder / "environ").read_bytes() if title.startswith(b"ray::Worker") else b""
        except OSError:
            continue
        if b"MOSS_RAY_TEST=" + str(pid).encode() in job:
            found.append(int(folder.name))
    return found


@needs_ray
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the workers in /proc")
def test_a_real_cluster_gives_what_a_local_run_gives_though_a_worker_is_killed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for n in range(12):
        shutil.copy(CLIPS[n % len(CLIPS)], tmp_path / "in" / f"{n:02}.flac")
    assert run(tmp_path, "transcribe", "in/", "-o", "alone/", "-f", "json").returncode == 0
    argv = ["transcribe", "in/", "-o", "out/", "-f", "json", "--ray", "local", "--workers", "2", "-v"]
    own = environment(tmp_path) | {"MOSS_RAY_TEST": str(os.getpid())}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command(*argv), cwd=tmp_path, env=own, stderr=log)
    until, log_file = time.monotonic() + ENOUGH_S, tmp_path / "log"
    while "worker on" not in log_file.read_text() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    os.kill(workers_of(os.getpid())[0], signal.SIGKILL)  # it has inputs by now, and is loading the model
    assert process.wait(ENOUGH_S) == 0, log_file.read_text()
    assert "has died" in log_file.read_text()
    assert results(tmp_path / "out") == results(tmp_path / "alone")
    assert not list(tmp_path.glob("out/.moss/unfinished/*"))
