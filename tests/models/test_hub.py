"""Downloading a checkpoint, and one bar over it; the hub itself is played by the test."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from moss_cli.cli.download_bar import download_bar
from moss_cli.errors import ModelError
from moss_cli.models.hub import cached, check_hub, download, hub_cache, is_whole

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


HERE = "check the network and run the same command again, or copy a checkpoint here and use --model FOLDER/"


@pytest.mark.parametrize(
    ("error", "message", "hint"),
    [
        (ConnectionError("[Errno -2] Name or service not known"), "cannot be reached: name or service not known", HERE),
        (TimeoutError(), "cannot be reached: timeouterror", HERE),
    ],
)
def test_a_hub_that_cannot_be_reached_is_said_at_once_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, error: Exception, message: str, hint: str
) -> None:
    waited: list[float] = []

    def model_info(self: object, repo_id: str, *, revision: str | None, timeout: float) -> object:
        waited.append(timeout)
        raise error

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", model_info)
    with pytest.raises(ModelError) as caught:
        check_hub("a/b", COMMIT)
    assert (caught.value.message, caught.value.hint) == (f"huggingface.co {message}", hint)
    assert (caught.value.code, caught.value.exit_code, waited) == ("fetch_failed", 5, [10.0])


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("OfflineModeIsEnabled", "the variable HF_HUB_OFFLINE forbids downloads"),
        ("GatedRepoError", "a/b is open only to those who asked for it"),
        ("RepositoryNotFoundError", "huggingface.co has no model a/b"),
        ("RevisionNotFoundError", "huggingface.co has no such revision of a/b"),
    ],
)
def test_what_the_hub_refuses_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch, kind: str, message: str) -> None:
    from huggingface_hub import errors

    error_type = getattr(errors, kind)
    error = error_type.__new__(error_type)

    def model_info(self: object, repo_id: str, **options: Any) -> object:
        raise error

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", model_info)
    with pytest.raises(ModelError) as caught:
        check_hub("a/b", COMMIT)
    assert caught.value.message == message
    assert caught.value.hint is not None


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
