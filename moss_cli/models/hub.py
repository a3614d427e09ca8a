"""Checkpoints of the Hugging Face hub: those in its cache on this machine, and downloading others into it."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

from moss_cli.errors import ModelError

# Weights, configuration and tokenizer; never code, never pickles.
_WANTED = ["*.json", "*.safetensors", "merges.txt", "*.jinja", "README.md", "LICENSE*"]

_PATIENCE_S = 10.0  # for the hub's first answer; chosen


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


def is_whole(folder: Path) -> bool:
    """Whether all weight files of a checkpoint folder are there, by its index or, without one, by their presence."""
    try:
        index = json.loads((folder / "model.safetensors.index.json").read_text(encoding="utf-8"))
        return all((folder / str(name)).is_file() for name in set(index["weight_map"].values()))
    except FileNotFoundError:
        return (folder / "model.safetensors").is_file()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def check_hub(hub_id: str, revision: str | None) -> None:
    """Ask the hub for a checkpoint, once and not for long, before it is downloaded. Raises ModelError."""
    from huggingface_hub import HfApi

    try:
        HfApi().model_info(hub_id, revision=revision, timeout=_PATIENCE_S)
    except Exception as error:
        raise _hub_error(hub_id, error) from error


def _hub_error(hub_id: str, error: Exception) -> ModelError:
    """What is wrong between this machine and the hub, and what to do about it."""
    from huggingface_hub import errors
    from huggingface_hub.constants import ENDPOINT

    host = ENDPOINT.partition("://")[2]
    if isinstance(error, errors.OfflineModeIsEnabled):
        message, hint = "the variable HF_HUB_OFFLINE forbids downloads", "unset it, and run the same command again"
    elif isinstance(error, errors.GatedRepoError):
        message, hint = f"{hub_id} is open only to those who asked for it", "ask on its page, and set HF_TOKEN"
    elif isinstance(error, errors.RevisionNotFoundError):
        message, hint = f"{host} has no such revision of {hub_id}", "check the revision in models.toml"
    elif isinstance(error, errors.RepositoryNotFoundError):
        message, hint = f"{host} has no model {hub_id}", "check the hub id in models.toml"
    elif isinstance(error, errors.HfHubHTTPError):
        message, hint = f"{host} did not give {hub_id}: {_reason(error)}", "run the same command again later"
    else:
        message = f"{host} cannot be reached: {_reason(error)}"
        hint = "check the network and run the same command again, or copy a checkpoint here and use --model FOLDER/"
    return ModelError(message, hint=hint, code="fetch_failed")


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()).partition("] ")
    return (text[2] or text[0] or type(error).__name__).lower()


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
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        hint = "run the same command again to resume the download"
        raise ModelError(f"{hub_id} could not be downloaded: {reason}", hint=hint, code="fetch_failed") from error
    return Path(folder)
