"""The hub of these tests is one to huggingface_hub's own client."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_url, snapshot_download
from loopback_hub import LoopbackHub, git_sha1, sha256

FILES = {"config.json": b"{}", "model.safetensors": bytes(range(256)) * 1000}


def test_the_library_downloads_from_it(hub: LoopbackHub, cache: Path) -> None:
    commit = hub.add("a/b", FILES)
    folder = Path(snapshot_download("a/b", cache_dir=cache, endpoint=hub.url))
    assert (folder.name, {path.name: path.read_bytes() for path in folder.iterdir()}) == (commit, FILES)
    blobs = {path.name for path in (cache / "models--a--b/blobs").iterdir()}
    assert blobs == {git_sha1(FILES["config.json"]), sha256(FILES["model.safetensors"])}


def test_large_files_are_kept_elsewhere_and_named_by_their_sha256(hub: LoopbackHub) -> None:
    commit = hub.add("a/b", FILES)
    info = HfApi(endpoint=hub.url).model_info("a/b", files_metadata=True)
    small, large = info.siblings or ()
    assert (small.blob_id, small.size, small.lfs) == (git_sha1(b"{}"), 2, None)
    assert large.lfs is not None and (large.lfs.sha256, large.lfs.size) == (sha256(FILES[large.rfilename]), 256_000)
    url = f"{hub.url}/a/b/resolve/{commit}/model.safetensors"
    assert hf_hub_url("a/b", "model.safetensors", revision=commit).endswith(f"/a/b/resolve/{commit}/model.safetensors")
    about = get_hf_file_metadata(url)
    assert (about.commit_hash, about.etag, about.size) == (commit, sha256(FILES["model.safetensors"]), 256_000)
    assert about.location.startswith("http://localhost:")
