"""The cache, the configuration, completion."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mending import is_command

from moss_cli.doctor.completion import check_completion
from moss_cli.doctor.places import check_cache, check_config, nearest_folder
from moss_cli.models.entry import ModelEntry

ROOT = Path(__file__).parents[2]
BIG = ModelEntry("big", hub="someone/big", size=10_000_000_000)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub" / "cache"))
    return tmp_path / "hub" / "cache"


def test_a_cache_with_room_for_the_default_model(cache: Path) -> None:
    check = check_cache(BIG, free=lambda _: 10_000_000_000)
    assert (check.status, check.text) == ("ok", f"{cache}, 10.0 GB free")
    assert check.facts["folder"] == str(cache)


def test_too_little_room_for_the_default_model_says_how_much_is_missing(cache: Path) -> None:
    check = check_cache(BIG, free=lambda _: 7_500_000_000)
    assert (check.status, check.text) == ("error", f"{cache}, 7.5 GB free; big takes 10.0 GB, 2.5 GB more")
    assert is_command(check.fix)


def test_a_model_that_is_here_needs_no_more_room(cache: Path) -> None:
    (cache / "models--someone--big" / "refs").mkdir(parents=True)
    commit = "abc0" * 10
    (cache / "models--someone--big" / "refs" / "main").write_text(commit)
    snapshot = cache / "models--someone--big" / "snapshots" / commit
    snapshot.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (snapshot / name).write_text("{}")
    assert check_cache(BIG, free=lambda _: 1).status == "ok"


def test_a_cache_that_cannot_be_made_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "/dev/null/hub")
    check = check_cache(BIG)
    assert (check.status, check.text) == ("error", "/dev/null/hub cannot be written to")
    assert is_command(check.fix)


def test_a_folder_that_is_not_there_yet_lies_on_the_disk_of_the_first_above_it(tmp_path: Path) -> None:
    assert nearest_folder(tmp_path / "a" / "b") == tmp_path
    assert nearest_folder(tmp_path) == tmp_path


def test_the_files_and_variables_in_force() -> None:
    folder = Path(os.environ["MOSS_CONFIG_DIR"])
    assert check_config({}).text == f"no files in {folder}"
    assert check_config({"MOSS_MODEL": "tiny", "HOME": "/"}).text == f"no files in {folder}; variables: MOSS_MODEL"
    (folder / "config.toml").write_text('model = "tiny"\n')
    check = check_config({"MOSS_DTYPE": "4bit"})
    assert (check.status, check.text) == ("ok", f"{folder / 'config.toml'}; variables: MOSS_DTYPE")
    assert check.facts["files"] == [str(folder / "config.toml")]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("config.toml", "model = \n", "is not valid TOML"),
        ("models.toml", "[models.x]\npath = 1\n", "models.x.path cannot be 1"),
    ],
)
def test_a_file_that_is_wrong_is_an_error_and_opened_to_mend_it(name: str, text: str, reason: str) -> None:
    path = Path(os.environ["MOSS_CONFIG_DIR"]) / name
    path.write_text(text)
    check = check_config({})
    assert check.status == "error" and reason in check.text
    assert check.fix == f"${{EDITOR:-vi}} {path}" and is_command(check.fix)


@pytest.mark.parametrize(
    ("shell", "place"),
    [
        ("bash", ".local/share/bash-completion/completions/moss"),
        ("zsh", ".zfunc/_moss"),
        ("fish", ".config/fish/completions/moss.fish"),
    ],
)
def test_completion_that_is_missing_is_installed_by_the_command(tmp_path: Path, shell: str, place: str) -> None:
    tmp_path = tmp_path / "a home"
    environ = {"SHELL": f"/usr/bin/{shell}", "XDG_DATA_DIRS": str(tmp_path / "none"), "HOME": str(tmp_path)}
    environ |= {"PATH": os.environ["PATH"]}
    check = check_completion(environ, tmp_path)
    assert (check.status, check.text) == ("warning", f"not installed for {shell}")
    assert is_command(check.fix) and check.fix is not None
    assert check.fix == f"moss completions install {shell}"
    moss = tmp_path / "bin" / "moss"
    moss.parent.mkdir(parents=True)
    moss.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m moss_cli "$@"\n')
    moss.chmod(0o755)
    path = f"{moss.parent}:{os.environ['PATH']}"
    subprocess.run(["sh", "-c", check.fix], check=True, env={**os.environ, "PATH": path, "HOME": str(tmp_path)})
    mended = check_completion(environ, tmp_path)
    if shell != "fish" and shutil.which(shell):  # the shell says itself that it does not load what is there
        assert (mended.status, mended.text) == ("warning", f"{shell}: new shells do not load {tmp_path / place}")
        assert mended.fix is not None and mended.fix.startswith("echo ")
        subprocess.run(["sh", "-c", mended.fix], check=True, env={"PATH": path, "HOME": str(tmp_path)})
        mended = check_completion(environ, tmp_path)
    assert (mended.status, mended.text) == ("ok", f"{shell}: {tmp_path / place}")
    assert "_MOSS_COMPLETE" in (tmp_path / place).read_text()


@pytest.mark.parametrize(
    ("shell", "place"),
    [
        ("bash", "bash-completion/completions/moss"),
        ("zsh", "zsh/site-functions/_moss"),
        ("fish", "fish/vendor_completions.d/moss.fish"),
    ],
)
def test_completion_of_the_system_counts(tmp_path: Path, shell: str, place: str) -> None:
    script = tmp_path / "share" / place
    script.parent.mkdir(parents=True)
    script.touch()
    environ = {"SHELL": shell, "XDG_DATA_DIRS": f"/nowhere:{tmp_path / 'share'}"}
    assert check_completion(environ, tmp_path).facts == {"shell": shell, "script": str(script)}


def test_a_shell_without_completion_scripts_is_no_fault(tmp_path: Path) -> None:
    assert check_completion({"SHELL": "/bin/dash"}, tmp_path).status == "ok"
    assert check_completion({}, tmp_path).text == "not looked for: the shell is not known, not bash, zsh or fish"
