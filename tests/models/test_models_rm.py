"""`moss models rm`: what it removes, what it leaves, and whom it asks."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import snapshot_download
from loopback_hub import LoopbackHub

from moss_cli.models.download import pull
from moss_cli.models.hub import cached
from moss_cli.models.pulled import read_record
from moss_cli.models.quantised import quantised_folder
from moss_cli.models.registry import resolve
from moss_cli.models.remove import removal_of, remove
from moss_cli.settings import config_folder

Moss = Callable[..., Any]
FILES = {"config.json": b"{}", "model.safetensors": bytes(200_000), "merges.txt": b"a b"}


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() or path.is_symlink())


def test_all_of_a_model_goes(hub: LoopbackHub, cache: Path) -> None:
    commit = hub.add("a/b", FILES)
    pull("a/b", None)
    removal = removal_of("a/b", commit)
    assert removal is not None
    assert (removal.size, removal.is_ours, removal.whole) == (sum(map(len, FILES.values())), True, True)
    remove(removal)
    assert files_below(cache) == []
    assert read_record("a/b", commit) is None
    assert removal_of("a/b", commit) is None


def test_what_another_revision_needs_stays(hub: LoopbackHub, cache: Path) -> None:
    old = hub.add("a/b", FILES)
    pull("a/b", None)
    new = hub.add("a/b", FILES | {"merges.txt": b"c d"})
    pull("a/b", None)
    removal = removal_of("a/b", old)
    assert removal is not None
    assert (removal.size, removal.whole) == (len(b"a b"), False)
    remove(removal)
    folder = cached("a/b", None)
    assert folder is not None and folder.name == new
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES | {"merges.txt": b"c d"}
    assert cached("a/b", old) is None
    last = removal_of("a/b", new)
    assert last is not None
    remove(last)
    assert files_below(cache) == []


def test_a_file_of_ones_own_that_a_link_leads_to_stays(hub: LoopbackHub, tmp_path: Path) -> None:
    commit = hub.add("a/b", FILES)
    folder = pull("a/b", None).folder
    own = tmp_path / "own.safetensors"
    own.write_bytes(FILES["model.safetensors"])
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(own)
    removal = removal_of("a/b", commit)
    assert removal is not None
    remove(removal)
    assert own.read_bytes() == FILES["model.safetensors"]


def test_a_download_that_was_not_finished_can_be_removed(hub: LoopbackHub, moss: Moss, cache: Path) -> None:
    hub.add("a/b", FILES)
    hub.trouble("model.safetensors", cut_at=100_000)
    hub.trouble("model.safetensors", times=9, status=403, code="GatedRepo")
    assert moss("pull", "a/b").code == 5
    assert any(name.endswith(".incomplete") for name in files_below(cache))
    run = moss("rm", "a/b", "--yes")
    assert (run.code, run.err) == (0, ["moss: removed a/b, 100 kB"])
    assert files_below(cache) == []


def test_what_another_tool_pulled_is_said_to_be(hub: LoopbackHub, moss: Moss, cache: Path) -> None:
    hub.add("a/b", FILES)
    snapshot_download("a/b", cache_dir=cache, endpoint=hub.url)
    run = moss("rm", "a/b", "--yes")
    assert run.err == [
        "moss: a/b was downloaded by another tool, which may still need it",
        "moss: removed a/b, 200 kB",
    ]
    assert set(files_below(cache)) <= {"CACHEDIR.TAG"}  # which not every version of the hub's library makes


def test_the_4_bit_copy_goes_with_it(hub: LoopbackHub, moss: Moss) -> None:
    hub.add("a/b", FILES)
    pull("a/b", None)
    copy = quantised_folder(resolve("a/b"))
    copy.mkdir(parents=True)
    (copy / "model.safetensors").write_bytes(bytes(3_000_000))
    run = moss("rm", "a/b", "--yes")
    assert run.err == ["moss: removed a/b and its 4-bit copy, 3.2 MB"]
    assert not copy.exists()


def test_without_a_terminal_it_takes_a_yes(hub: LoopbackHub, moss: Moss) -> None:
    hub.add("a/b", FILES)
    folder = pull("a/b", None).folder
    run = moss("rm", "a/b")
    assert (run.code, run.out) == (2, "")
    assert run.err == [
        "moss: error: removing a model asks first, and there is no terminal to ask on",
        "hint: run `moss models rm a/b --yes`",
    ]
    assert (folder / "config.json").is_file()


@pytest.mark.parametrize(
    ("name", "code", "line"),
    [
        ("tiny", 2, "moss: error: tiny comes with moss and is not removed"),
        ("4b-instruct", 5, "moss: error: 4b-instruct is not on this machine"),
        ("c/d", 5, "moss: error: c/d is not on this machine"),
        ("mine", 2, "moss: error: mine lies in a folder of your own, FOLDER/here, which moss does not remove"),
    ],
)
def test_what_is_not_removed(moss: Moss, name: str, code: int, line: str) -> None:
    (config_folder() / "models.toml").write_text('[models.mine]\npath = "here"\n')
    run = moss("rm", name, "--yes")
    assert (run.code, run.err[0]) == (code, line.replace("FOLDER", str(config_folder())))


@pytest.mark.parametrize(("answer", "code", "is_left"), [("n", 1, True), ("", 1, True), ("y", 0, False)])
def test_on_a_terminal_it_asks(hub: LoopbackHub, tmp_path: Path, answer: str, code: int, is_left: bool) -> None:
    hub.add("a/b", FILES)
    folder = pull("a/b", None).folder
    leader, follower = pty.openpty()
    line = [sys.executable, "-m", "moss_cli", "models", "rm", "a/b"]
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "NO_COLOR": "1"}
    process = subprocess.Popen(line, stdin=follower, stderr=follower, stdout=subprocess.PIPE, env=environ)
    os.write(leader, f"{answer}\n".encode())
    assert process.communicate()[0] == b""
    os.close(follower)
    shown = os.read(leader, 10_000).decode()
    os.close(leader)
    assert "remove a/b, 200 kB, from " in shown.replace("\r\n", "") and "[y/N]" in shown
    assert shown.rstrip().endswith("moss: nothing was removed" if is_left else "moss: removed a/b, 200 kB")
    assert (process.returncode, (folder / "config.json").exists()) == (code, is_left)


@pytest.mark.parametrize("command", [["pull"], ["verify"], ["rm", "--yes"]])
def test_of_a_model_of_a_server_there_is_nothing_here(moss: Moss, command: list[str]) -> None:
    (config_folder() / "models.toml").write_text('[models.far]\nurl = "http://127.0.0.1:9/v1"\n')
    run = moss(*command, "far")
    assert (run.code, run.out) == (2, "")
    assert run.err == ["moss: error: far is a model of the server http://127.0.0.1:9/v1, and none of this machine"]
