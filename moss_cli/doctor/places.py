"""The cache and the configuration."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from moss_cli.doctor.check import Check, listed
from moss_cli.errors import amount
from moss_cli.models.entry import ModelEntry
from moss_cli.models.hub import hub_cache
from moss_cli.models.registry import load_registry, locate
from moss_cli.settings import ENV_PREFIX, cache_folder, config_folder, config_path, read_toml

OTHER_CACHE = "export HF_HUB_CACHE=FOLDER"  # where there is room, which only the user knows


def check_cache(
    default: ModelEntry | None, *, free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free
) -> Check:
    """Where downloads go, and whether the default model still has room there if it is not here yet."""
    folder = hub_cache()
    there = nearest_folder(folder)
    n_free = free(there)
    facts = {"folder": str(folder), "free_bytes": n_free, "quantised": str(cache_folder() / "quantised")}
    text = f"{folder}, {amount(n_free)} free"
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Check("cache", "error", f"{folder} cannot be written to", OTHER_CACHE, facts)
    needed = default.size if default and default.hub and locate(default) is None else None
    if needed and needed > n_free:
        missing = f"{default.name if default else ''} takes {amount(needed)}, {amount(needed - n_free)} more"
        return Check("cache", "error", f"{text}; {missing}", OTHER_CACHE, facts)
    return Check("cache", "ok", text, facts=facts)


def nearest_folder(path: Path) -> Path:
    """The path, or the first above it that exists."""
    return next((one for one in (path, *path.parents) if one.exists()), Path("/"))


def read_as_toml() -> object:
    """What stands in config.toml, whatever it means. Raises UsageError for what is no TOML."""
    return read_toml(config_path())


def check_config(environ: Mapping[str, str] = os.environ, *, read: Callable[[], object] = read_as_toml) -> Check:
    """Which files and variables set something, and whether the files can be read; config.toml by `read`, which raises
    what is wrong with it."""
    there = [config_folder() / name for name in ("config.toml", "models.toml")]
    files = [str(path) for path in there if path.exists()]
    variables = sorted(name for name in environ if name.startswith(ENV_PREFIX))
    text = f"{listed(files)}; variables: {listed(variables)}" if files else f"no files in {config_folder()}"
    if not files and variables:
        text += f"; variables: {listed(variables)}"
    facts = {"folder": str(config_folder()), "files": files, "variables": variables}
    for path, take in zip(there, (read, load_registry), strict=True):
        try:
            take()
        except Exception as error:  # noqa: BLE001 - told here whatever it is
            return Check("config", "error", str(error), edit(path), facts)
    return Check("config", "ok", text, facts=facts)


def edit(path: Path) -> str:
    """The command that opens a file in the user's editor."""
    return f"${{EDITOR:-vi}} {shlex.quote(str(path))}"
