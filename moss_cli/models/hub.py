"""The Hugging Face hub's cache on this machine, which other tools share. Nothing here uses the network.

Source of its layout: huggingface_hub, "Understand caching": of each repository a folder with `blobs/`, the files by
their hashes, `snapshots/COMMIT/`, their names as links to these, and `refs/`, the commits that branches stand at.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

COMMIT = re.compile(r"[0-9a-f]{40}")
MAIN = "main"


def hub_cache() -> Path:
    """The folder in which hub tools keep what they downloaded (HF_HUB_CACHE, HF_HOME)."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def repository_folder(hub_id: str) -> Path:
    """Where the cache keeps a repository, which need not exist."""
    return hub_cache() / repository_name(hub_id)


def repository_name(hub_id: str) -> str:
    """What a model's repository is called there."""
    return "models--" + hub_id.replace("/", "--")


def is_checkpoint(folder: Path) -> bool:
    """Whether there is a checkpoint in `folder`, by the presence of its configuration."""
    return os.path.isfile(folder / "config.json")  # noqa: PTH113 - Path.is_file raises where it may not look


def cached(hub_id: str, revision: str | None) -> Path | None:
    """The folder of a whole checkpoint at a revision, None for the main one, if it is on this machine.

    One of which files are missing, since a download broke off, is not.
    """
    commit = commit_of(hub_id, revision)
    if commit is None:
        return None
    folder = repository_folder(hub_id) / "snapshots" / commit
    return folder if is_checkpoint(folder) and is_whole(folder) else None


def commit_of(hub_id: str, revision: str | None) -> str | None:
    """The commit of a branch or tag, None for the main one, when it was last downloaded; of a commit itself."""
    if revision is not None and COMMIT.fullmatch(revision):
        return revision
    try:
        commit = (repository_folder(hub_id) / "refs" / (revision or MAIN)).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return commit if COMMIT.fullmatch(commit) else None


def is_whole(folder: Path) -> bool:
    """Whether all weight files of a checkpoint folder are there, by its index or, without one, by their presence."""
    try:
        index = json.loads((folder / "model.safetensors.index.json").read_text(encoding="utf-8"))
        return all((folder / str(name)).is_file() for name in set(index["weight_map"].values()))
    except FileNotFoundError:
        return (folder / "model.safetensors").is_file()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def size_of(path: Path) -> int:
    """Bytes of a file, 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
