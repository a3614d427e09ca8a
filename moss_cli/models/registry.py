"""The catalogue of models, models.toml, and finding the one that a user asked for."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from moss_cli.errors import ModelError, UsageError
from moss_cli.models.entry import ModelEntry, read_models
from moss_cli.models.hub import cached, is_checkpoint
from moss_cli.settings import config_folder

EMBEDDED = "tiny"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)  # ORG/NAME


@dataclass(frozen=True)
class Registry:
    """All entries, and the name that is used when none is given."""

    default: str
    entries: dict[str, ModelEntry]


@dataclass(frozen=True)
class Resolved:
    """A model that is on this machine."""

    entry: ModelEntry
    folder: Path
    revision: str | None


def load_registry() -> Registry:
    """The packaged models.toml with the user's on top. Raises UsageError."""
    packaged = read_models(Path(__file__).with_name("models.toml"))
    user = read_models(config_folder() / "models.toml")
    return Registry(user.default or packaged.default or EMBEDDED, packaged.entries | user.entries)


def locate(entry: ModelEntry) -> Resolved | None:
    """An entry's checkpoint on this machine, if it is there. Never uses the network."""
    if entry.path is not None:
        folder = Path(entry.path)
        return Resolved(entry, folder, entry.revision) if is_checkpoint(folder) else None
    assert entry.hub is not None
    snapshot = cached(entry.hub, entry.revision)
    return Resolved(entry, snapshot, snapshot.name) if snapshot else None


def resolve(name: str | None) -> Resolved:
    """The model that a user asked for; None means the default of models.toml.

    A name of models.toml; else, with a `/` in it, an existing folder, else a hub id that is
    already on this machine. An explicit choice is never replaced by another. Raises ModelError.
    """
    if name == "":
        raise UsageError("the model name is empty")
    registry = load_registry()
    chosen = name or registry.default
    entry = registry.entries.get(chosen)
    if entry is None:
        return _resolve_path(chosen, registry)
    found = locate(entry)
    if found is None:
        raise _not_here(entry, explicit=name is not None)
    return found


def _resolve_path(name: str, registry: Registry) -> Resolved:
    if "/" not in name:
        names = ", ".join(registry.entries)
        hint = f"run `moss models list`; known models: {names}; to name a folder, write ./{name}"
        raise ModelError(f"no model named {name}", hint=hint)
    folder = Path(os.path.expanduser(name))  # noqa: PTH111 - Path.expanduser raises for a user who is not here
    if os.path.isdir(folder):  # noqa: PTH112 - Path.is_dir raises for a name that is too long
        return Resolved(ModelEntry(folder.resolve().name, path=str(folder)), folder, None)
    hub_id, _, revision = name.partition("@")
    if not is_hub_id(hub_id):
        raise ModelError(f"no checkpoint folder: {name}")
    entry = hub_entry(hub_id, revision or None, registry)
    if found := locate(entry):
        return found
    hint = f"download it with `moss models pull {shlex.quote(name)}`, or see `moss models list`"
    raise ModelError(f"{name} is neither a folder nor a hub model on this machine", hint=hint)


def is_hub_id(name: str) -> bool:
    """Whether a name is written as those of the hub are: ORG/NAME."""
    return HUB_ID.fullmatch(name) is not None


def hub_entry(hub_id: str, revision: str | None, registry: Registry) -> ModelEntry:
    """The entry of a hub model, with what models.toml knows of it; at its pinned revision unless another is named."""
    listed = next((entry for entry in registry.entries.values() if entry.hub == hub_id), None)
    if listed is None or revision not in (None, listed.revision):
        name = f"{hub_id}@{revision}" if revision else hub_id
        return replace(listed or ModelEntry(name, hub=hub_id), name=name, revision=revision)
    return listed


def _not_here(entry: ModelEntry, *, explicit: bool) -> ModelError:
    if entry.hub is None:
        return ModelError(f"model {entry.name}: no checkpoint in {entry.path}")
    size = f" ({entry.size / 1e9:.1f} GB)" if entry.size else ""
    what = f"model {entry.name}" if explicit else f"the default model, {entry.name},"
    hint = f"download it with `moss models pull {entry.name}`{size}, or try the embedded one with `--model {EMBEDDED}`"
    return ModelError(f"{what} is not on this machine", code="model_missing", hint=hint)
