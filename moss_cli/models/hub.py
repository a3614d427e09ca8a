"""Checkpoints of the Hugging Face hub: those in its cache on this machine, and downloading others into it."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from moss_cli.errors import ModelError

# Weights, configuration and tokenizer; never code, never pickles.
_WANTED = ["*.json", "*.safetensors", "merges.txt", "*.jinja", "README.md", "LICENSE*"]


def is_checkpoint(folder: Path) -> bool:
    """Whether there is a checkpoint in `folder`, by the presence of its configuration."""
    return os.path.isfile(folder / "config.json")  # noqa: PTH113 - Path.is_file raises where it may not look


def hub_cache() -> Path:
    """The folder in which hub tools keep what they downloaded (HF_HUB_CACHE, HF_HOME)."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def cached(hub_id: str, revision: str | None) -> Path | None:
    """The checkpoint folder of a revision, None for the main one, if it is on this machine. Never uses the network.

    Source of the layout: huggingface_hub, "Understand caching".
    """
    root = hub_cache() / ("models--" + hub_id.replace("/", "--"))
    if revision is None:
        try:
            revision = (root / "refs" / "main").read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return None
    folder = root / "snapshots" / revision
    return folder if is_checkpoint(folder) else None


def download(hub_id: str, revision: str | None, *, tqdm_class: type[Any] | None = None) -> Path:
    """Download a checkpoint into the hub's cache, going on where an earlier try broke off, and return its folder.

    `tqdm_class` shows the progress, as huggingface_hub uses it; None: nothing does. Raises ModelError.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

    disable_progress_bars()  # its own, those of single files among them
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it logs every retry
    try:
        folder = snapshot_download(
            hub_id, revision=revision, allow_patterns=_WANTED, cache_dir=hub_cache(), tqdm_class=tqdm_class
        )
    except (OSError, ValueError, RuntimeError) as error:  # what the library and its transport raise
        reason = " ".join(str(error).split()) or type(error).__name__
        hint = "run the same command again to resume the download"
        raise ModelError(f"{hub_id} could not be downloaded: {reason}", hint=hint, code="fetch_failed") from error
    return Path(folder)
