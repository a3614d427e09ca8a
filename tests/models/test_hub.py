"""Downloading a checkpoint, and one bar over it; the hub itself is played by the test."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from moss_cli.cli.download_bar import download_bar
from moss_cli.errors import ModelError
from moss_cli.models.hub import cached, download, hub_cache

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def checkpoint(hub_id: str, commit: str) -> Path:
    """A checkpoint in the hub's cache."""
    folder = hub_cache() / ("models--" + hub_id.replace("/", "--")) / "snapshots" / commit
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))


def test_a_revision_is_found_by_its_commit_and_the_main_one_by_its_reference(tmp_path: Path) -> None:
    folder = checkpoint("a/b", COMMIT)
    assert cached("a/b", COMMIT) == folder
    assert cached("a/b", "f" * 40) is None
    assert cached("a/b", None) is None
    (tmp_path / "models--a--b/refs").mkdir()
    (tmp_path / "models--a--b/refs/main").write_text(COMMIT + "\n")
    assert cached("a/b", None) == folder
    (folder / "config.json").unlink()
    assert cached("a/b", None) is None


def test_weights_and_what_goes_with_them_are_downloaded_and_no_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def snapshot_download(repo_id: str, **options: Any) -> str:
        asked.update(options, repo_id=repo_id)
        return str(tmp_path / "there")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    assert download("a/b", COMMIT) == tmp_path / "there"
    assert (asked["repo_id"], asked["revision"], asked["cache_dir"]) == ("a/b", COMMIT, tmp_path)
    assert asked["tqdm_class"] is None
    assert not {"*.py", "*.bin", "*.pt", "*"} & set(asked["allow_patterns"])


def test_a_download_that_fails_can_be_continued(monkeypatch: pytest.MonkeyPatch) -> None:
    def snapshot_download(repo_id: str, **options: Any) -> str:
        raise ConnectionError("no route\n  to host")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    with pytest.raises(ModelError) as caught:
        download("a/b", None)
    assert caught.value.message == "a/b could not be downloaded: no route to host"
    assert (caught.value.code, caught.value.exit_code) == ("fetch_failed", 5)
    assert caught.value.hint == "run the same command again to resume the download"


def test_one_bar_follows_the_count_of_bytes_that_is_furthest() -> None:
    stream = io.StringIO()
    with download_bar("mine", 1000, stream) as tqdm_class:
        transfer = tqdm_class(desc="Downloading", total=0, initial=0, unit="B", unit_scale=True, bar_format="x")
        written = tqdm_class(desc="Reconstructing", total=0, initial=0, unit="B", unit_scale=True)
        [bar] = [one for one in tqdm_class._instances if one.desc == "mine"]  # type: ignore[attr-defined]
        assert (bar.n, bar.total) == (0, 1000)
        with tqdm_class(desc="Fetching 2 files", total=2) as files:
            written.total = transfer.total = 4000
            written.refresh()
            for n_bytes in (500, 1500):
                transfer.update(n_bytes)
            written.update(600)
            files.update(1)
            assert (bar.n, bar.total) == (2000, 4000)
            written.update(3000)
            files.update(1)
        assert bar.n == 3600
        transfer.set_description_str("Download complete")
    assert "mine:" in stream.getvalue()
    assert not {word for word in ("Downloading", "Reconstructing", "Fetching", "complete") if word in stream.getvalue()}
    assert stream.getvalue().rstrip("\r").rsplit("\r", 1)[-1].strip() == ""  # gone at the end


def test_a_download_of_unknown_size_has_a_bar_too() -> None:
    stream = io.StringIO()
    with download_bar("mine", None, stream) as tqdm_class:
        tqdm_class(unit="B").update(10)
        list(tqdm_class([1, 2], desc="files"))
    assert "mine: 0.00B" in stream.getvalue()
