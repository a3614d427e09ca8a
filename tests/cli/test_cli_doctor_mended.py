"""Each ✗ of `moss doctor` that can be brought about on a machine without a GPU, and the command that it prints.

The command is run by a shell; what that sets and writes is there when doctor looks again.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_run import Run

from moss_cli.models.registry import resolve
from moss_cli.settings import config_folder

Moss = Callable[..., Run]
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def a_healthy_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU, a cache with room, a shell without completion, `tiny` as the model, and `moss` on the PATH."""
    cache, program = tmp_path / "cache", tmp_path / "bin" / "moss"
    cache.mkdir()
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {sys.executable} -m moss_cli "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("moss_cli.doctor.software.DRIVER", tmp_path / "no driver")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    monkeypatch.setattr("moss_cli.engine.devices.free_bytes", lambda _: 30_000_000_000)
    monkeypatch.setenv("MOSS_MODEL", "tiny")
    monkeypatch.setenv("SHELL", "/bin/sh")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def report(moss: Moss) -> tuple[int, list[dict[str, str]]]:
    """The exit code, and the checks that are not ok."""
    run = moss("doctor", "-f", "json")
    return run.code, [check for check in json.loads(run.out)["checks"] if check["status"] != "ok"]


def mend(fix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a command in a shell, and take over what it has exported."""
    done = subprocess.run(["sh", "-c", f"{fix} && env -0"], capture_output=True, text=True, check=True)
    for line in done.stdout.rpartition("\n")[2].split("\0"):
        name, _, value = line.partition("=")
        if name and os.environ.get(name) != value and name not in ("_", "PWD", "OLDPWD", "SHLVL"):
            monkeypatch.setenv(name, value)


def a_cut_checkpoint(folder: Path, patch: pytest.MonkeyPatch) -> None:
    copy = shutil.copytree(resolve("tiny").folder, folder / "copy")
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    patch.setenv("MOSS_MODEL", f"{copy}/")


def a_full_memory(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """The largest model that fits is `tiny`."""
    copy = shutil.copytree(resolve("tiny").folder, folder / "big")
    entry = f'path = "{copy}"\nbytes = 90000000000\nmemory = {{ fp32 = 90000000000, bf16 = 80000000000 }}\n'
    (config_folder() / "models.toml").write_text(f"[models.big]\n{entry}")
    patch.setenv("MOSS_MODEL", "big")
    patch.setattr("moss_cli.engine.devices.free_bytes", lambda _: 3_000_000_000)


def a_broken_file(name: str, text: str, folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Mended by an editor that empties the file."""
    (config_folder() / name).write_text(text)
    editor = folder / "bin" / "editor"
    editor.write_text('#!/bin/sh\n: > "$1"\n')
    editor.chmod(0o755)
    patch.setenv("EDITOR", "editor")


FAULTS: dict[str, Callable[[Path, pytest.MonkeyPatch], None]] = {
    "a device that is not here": lambda folder, patch: patch.setenv("MOSS_DEVICE", "cuda"),
    "a model that nobody knows": lambda folder, patch: patch.setenv("MOSS_MODEL", "no-such"),
    "a folder whose weights are cut short": a_cut_checkpoint,
    "a model too large for the memory": a_full_memory,
    "a config.toml that is no TOML": lambda folder, patch: a_broken_file("config.toml", "what = \n", folder, patch),
    "a key that no option has": lambda folder, patch: a_broken_file("config.toml", "modle = 'tiny'\n", folder, patch),
    "a models.toml that is no TOML": lambda folder, patch: a_broken_file("models.toml", "what = \n", folder, patch),
    "a shell without completion": lambda folder, patch: patch.setenv("SHELL", "/usr/bin/fish"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_mended_by_the_command_that_is_printed(
    moss: Moss, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    _, before = report(moss)
    assert [check["name"] for check in before if check["status"] == "error"] == []
    FAULTS[fault](tmp_path, monkeypatch)
    _, found = report(moss)
    wrong = [check for check in found if check not in before]
    assert wrong and all(check["fix"] for check in wrong)
    for fix in dict.fromkeys(check["fix"] for check in wrong):
        mend(fix, monkeypatch)
    code, left = report(moss)
    assert (code, [check["name"] for check in left if check["status"] == "error"]) == (0, [])
    assert "completion" not in {check["name"] for check in left}


def test_a_cache_that_cannot_be_written_to(moss: Moss, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "/dev/null/hub")
    fix = next(check["fix"] for check in report(moss)[1] if check["name"] == "cache")
    assert fix == "export HF_HUB_CACHE=FOLDER"  # only the user knows which
    mend(fix.replace("FOLDER", str(tmp_path / "cache")), monkeypatch)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", os.environ["HF_HUB_CACHE"])
    assert [check for check in report(moss)[1] if check["name"] == "cache"] == []
