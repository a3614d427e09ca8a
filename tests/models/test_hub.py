"""Finding checkpoints in the hub's cache."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from moss_cli.models.hub import cached, hub_cache, is_whole

COMMIT = "0123456789abcdef0123456789abcdef01234567"

pytestmark = pytest.mark.usefixtures("cache")


def checkpoint(hub_id: str, commit: str) -> Path:
    """A checkpoint in the hub's cache."""
    folder = hub_cache() / ("models--" + hub_id.replace("/", "--")) / "snapshots" / commit
    folder.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_text("{}")
    return folder


def test_a_revision_is_found_by_its_commit_and_a_branch_by_its_reference(cache: Path) -> None:
    folder = checkpoint("a/b", COMMIT)
    assert cached("a/b", COMMIT) == folder
    assert cached("a/b", "f" * 40) is None
    assert cached("a/b", None) is cached("a/b", "v1") is None
    (cache / "models--a--b/refs").mkdir()
    (cache / "models--a--b/refs/main").write_text(COMMIT + "\n")
    assert cached("a/b", None) == cached("a/b", "main") == folder
    assert cached("a/b", "v1") is None


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_checkpoint_that_was_not_pulled_to_its_end_is_not_here(missing: str) -> None:
    (checkpoint("a/b", COMMIT) / missing).unlink()
    assert cached("a/b", COMMIT) is None


@pytest.mark.parametrize("reference", ["../x", "", "x" * 40, "0123"])
def test_a_reference_that_names_no_commit_leads_nowhere(cache: Path, reference: str) -> None:
    checkpoint("a/b", COMMIT)
    (cache / "models--a--b/refs").mkdir()
    (cache / "models--a--b/refs/main").write_text(reference)
    assert cached("a/b", None) is None
    assert cached("a/b", "../refs/main") is None


def test_a_checkpoint_is_whole_when_all_files_of_its_index_are_there(tmp_path: Path) -> None:
    assert not is_whole(tmp_path)
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / "model-1.safetensors").touch()
    assert not is_whole(tmp_path)
    (tmp_path / "model-2.safetensors").touch()
    assert is_whole(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text("[]")
    assert not is_whole(tmp_path)
    (tmp_path / "model.safetensors.index.json").unlink()
    (tmp_path / "model.safetensors").touch()
    assert is_whole(tmp_path)
