"""The Dockerfile: what it copies is there, and what it sets is read. `.ci/dockerfile` does its steps."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from moss_cli.settings import cache_folder, config_folder, state_folder

ROOT = Path(__file__).parents[1]
TEXT = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
LET_THROUGH = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
COPIED = [source for line in re.findall(r"^COPY (.*)$", TEXT, re.MULTILINE) for source in line.split()[:-1]]


def test_what_is_copied_is_there_and_reaches_docker() -> None:
    assert [one for one in COPIED if not (ROOT / one).exists()] == []
    assert set(COPIED) == LET_THROUGH


def test_the_wheel_finds_in_what_is_copied_all_that_it_is_made_of() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    shared = re.findall(r'^"([^"]+)" = "share/', project, re.MULTILINE)
    needed = {"README.md", "LICENSE", "moss_cli", *(path.partition("/")[0] for path in shared)}
    assert shared and needed <= set(COPIED)


def test_the_folders_are_in_the_volume(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = dict(re.findall(r"(\w+)=(/\S+)", re.search(r"^ENV (.*)$", TEXT, re.MULTILINE)[1]))  # type: ignore[index]
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for folder in (cache_folder(), state_folder(), config_folder(), Path(environment["HF_HOME"])):
        assert folder.is_relative_to("/models")


def test_it_runs_as_a_user_who_is_not_root() -> None:
    assert re.search(r"^USER 1000$", TEXT, re.MULTILINE)
    assert "ENTRYPOINT" in TEXT and TEXT.index("\nUSER") < TEXT.index("\nENTRYPOINT")
