"""Where the 4-bit copies of models lie that `moss models quantize` makes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from moss_cli.models.registry import Resolved
from moss_cli.settings import cache_folder


def quantised_folder(model: Resolved) -> Path:
    """The folder for the copy of a model; another one for another checkpoint folder, and so for another revision."""
    place = hashlib.sha256(str(model.folder.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return cache_folder() / "quantised" / f"{model.entry.name.replace('/', '--')}-{place}"
