"""`moss models pull`, from a hub on this machine."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loopback_hub import LoopbackHub, sha256

from moss_cli.models.download import pull
from moss_cli.models.hub import cached
from moss_cli.models.registry import resolve
from moss_cli.settings import config_folder

Moss = Callable[..., Any]
PACKAGE = Path(__file__).parents[2]
SIZE = "13.4 MB"


def root(cache: Path) -> Path:
    return cache / "models--a--b"


def test_any_hub_model_in_the_format_is_pulled_and_then_used_by_its_id(
    hub: LoopbackHub, cache: Path, moss: Moss, tiny_files: dict[str, bytes]
) -> None:
    commit = hub.add("a/b", tiny_files)
    run = moss("pull", "a/b")
    folder = root(cache) / "snapshots" / commit
    assert (run.code, run.out) == (0, f"{folder}\n")
    assert run.err == [
        f"moss: downloading a/b: {SIZE}",
        f"moss: a/b is here: {SIZE}, each file as the hub has it",
        "moss: use it with `--model a/b`",
    ]
    assert resolve("a/b").folder == folder
    assert moss("path", "a/b").out == f"{folder}\n"
    assert moss("verify", "a/b").out == f"a/b: {len(tiny_files)} files, {SIZE}, all as the hub has them\n"


def test_a_revision_is_pulled_and_used_by_its_name(
    hub: LoopbackHub, cache: Path, moss: Moss, tiny_files: dict[str, bytes]
) -> None:
    commit = hub.add("a/b", tiny_files)
    hub.add("a/b", tiny_files | {"README.md": b"newer"})
    run = moss("pull", f"a/b@{commit}")
    assert (run.code, run.err[-1]) == (0, f"moss: use it with `--model a/b@{commit}`")
    assert resolve(f"a/b@{commit}").folder == root(cache) / "snapshots" / commit
    assert moss("path", "a/b").code == 5


def test_a_model_of_models_toml_is_pulled_at_its_revision(
    hub: LoopbackHub, moss: Moss, tiny_files: dict[str, bytes]
) -> None:
    commit = hub.add("a/b", tiny_files)
    hub.add("a/b", {"config.json": b"{}", "model.safetensors": b"newer"})
    (config_folder() / "models.toml").write_text(f'[models.mine]\nhub = "a/b"\nrevision = "{commit}"\n')
    run = moss("pull", "mine")
    assert (run.code, run.out) == (0, f"{resolve('mine').folder}\n")
    assert resolve("a/b").entry.name == "mine"
    again = moss("pull", "mine")
    assert (again.code, again.out) == (0, run.out)
    assert again.err == [f"moss: checking mine: {SIZE}", "moss: mine is here already"]


def test_what_is_damaged_is_named_and_only_that_is_pulled_again(
    hub: LoopbackHub, moss: Moss, tiny_files: dict[str, bytes]
) -> None:
    hub.add("a/b", tiny_files)
    folder = Path(moss("pull", "a/b").out.strip())
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[5_000_000] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    (folder / "merges.txt").unlink()
    checked = moss("verify", "a/b")
    assert checked.code == 5
    assert sorted(checked.out.splitlines()) == [
        "merges.txt  missing",
        "model.safetensors  damaged: its content is not what the hub has",
    ]
    assert checked.err[1:] == [
        "moss: error: a/b: 2 files are not as the hub has them",
        "hint: run `moss models pull a/b`, which downloads what is wrong again",
    ]
    hub.requests.clear()
    mended = moss("pull", "a/b")
    assert mended.code == 0
    assert "moss: mended: model.safetensors  damaged: its content is not what the hub has" in mended.err
    assert [one.name for one in hub.requests if one.name] == ["model.safetensors"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == tiny_files
    assert moss("verify", "a/b").code == 0


def test_what_is_no_moss_model_is_said_with_how_to_remove_it(
    hub: LoopbackHub, moss: Moss, tiny_files: dict[str, bytes]
) -> None:
    config = json.loads(tiny_files["config.json"])
    hub.add("a/b", tiny_files | {"config.json": json.dumps(config | {"model_type": "llama"}).encode()})
    run = moss("pull", "a/b")
    reason = "config.json: model_type 'llama' is not known to this version (only 'moss_audio')"
    assert (run.code, run.out) == (5, "")
    assert run.err[-2:] == [
        f"moss: error: a/b is no model that moss can run: {reason}",
        "hint: `moss models rm a/b` removes it",
    ]
    assert moss("rm", "a/b", "--yes").code == 0


def test_without_the_hub_what_is_here_and_whole_is_enough(
    hub: LoopbackHub, moss: Moss, tiny_files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("a/b", tiny_files)
    first = moss("pull", "a/b")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    run = moss("pull", "a/b")
    assert (run.code, run.out) == (0, first.out)
    assert run.err[1:] == [
        "moss: the variable HF_HUB_OFFLINE forbids downloads; what is here is whole",
        "moss: a/b is here already",
    ]
    gone = moss("pull", "4b-instruct")
    assert (gone.code, gone.out) == (5, "")
    assert gone.err == [
        "moss: error: the variable HF_HUB_OFFLINE forbids downloads",
        "hint: unset it, and run the same command again",
    ]


@pytest.mark.parametrize(
    ("name", "code", "lines"),
    [
        ("4b-instrukt", 5, ["moss: error: no model named 4b-instrukt", "hint: run `moss models pull 4b-instruct`"]),
        (
            "4b-instruct@main",
            2,
            [
                "moss: error: the revision of 4b-instruct is set in models.toml",
                "hint: run `moss models pull OpenMOSS-Team/MOSS-Audio-4B-Instruct@main`",
            ],
        ),
        ("a/b@", 2, ["moss: error: a/b@ names no revision", "hint: run `moss models pull a/b`"]),
        (
            "c/d",
            5,
            [
                "moss: error: HOST has no model c/d, or does not show it to you",
                "hint: check the name; what is private needs HF_TOKEN",
            ],
        ),
    ],
)
def test_what_cannot_be_pulled_is_said(hub: LoopbackHub, moss: Moss, name: str, code: int, lines: list[str]) -> None:
    run = moss("pull", name)
    host = hub.url.removeprefix("http://")
    assert (run.code, run.out, run.err) == (code, "", [line.replace("HOST", host) for line in lines])


def test_the_embedded_model_needs_no_download(moss: Moss) -> None:
    run = moss("pull", "tiny")
    assert (run.code, run.out) == (0, f"{resolve('tiny').folder}\n")
    assert run.err == ["moss: tiny is a local model; there is nothing to download"]


def test_a_disk_that_is_full_leaves_nothing_that_looks_whole_and_the_rest_comes_later(
    hub: LoopbackHub, cache: Path, tiny_files: dict[str, bytes]
) -> None:
    """The limit is one on the size of files, which the system reports as it does a full disk."""
    hub.add("a/b", tiny_files)
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, resource.RLIM_INFINITY)); "
        "from moss_cli.cli.main import run; sys.exit(run(sys.argv[1:]))"
    )
    line = [sys.executable, "-c", code, "models", "pull", "a/b"]
    done = subprocess.run(line, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(PACKAGE)})
    said = done.stderr.splitlines()[-2]
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"moss: error: the disk is full: a/b needs 8\.[45] MB more in .*", said)
    assert cached("a/b", None) is None
    part = root(cache) / "blobs" / f"{sha256(tiny_files['model.safetensors'])}.incomplete"
    assert part.stat().st_size == 5_000_000
    pull("a/b", None)
    assert hub.came("model.safetensors")[-1].start == 5_000_000


@pytest.mark.parametrize("seed", range(3))
def test_a_pull_that_is_killed_goes_on_where_it_was(
    hub: LoopbackHub, cache: Path, moss: Moss, tiny_files: dict[str, bytes], seed: int
) -> None:
    """benchmarks/killed_pulls.py does it fifty times."""
    hub.add("a/b", tiny_files)
    for name in tiny_files:
        hub.trouble(name, times=99, slow_s=0.002)
    line = [sys.executable, "-m", "moss_cli", "models", "pull", "a/b"]
    environ = os.environ | {"PYTHONPATH": str(PACKAGE)}
    killed_at = random.Random(seed).randrange(len(tiny_files["model.safetensors"]))
    process = subprocess.Popen(line, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while hub.n_bytes < killed_at and process.poll() is None:
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert cached("a/b", None) is None
    kept = sum(path.stat().st_size for path in (root(cache) / "blobs").glob("*")) if root(cache).exists() else 0
    before = len(hub.requests)
    assert moss("pull", "a/b").code == 0
    again = sum(one.n_sent for one in hub.requests[before:])
    assert again == sum(map(len, tiny_files.values())) - kept
    assert moss("verify", "a/b").code == 0
