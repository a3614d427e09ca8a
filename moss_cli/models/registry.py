"""The catalogue of models, models.toml, and finding the one that a user asked for."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from moss_cli.errors import ModelError, UsageError
from moss_cli.models.address import is_server, parse_server
from moss_cli.models.entry import KEYS, ModelEntry, read_models, told_entry
from moss_cli.models.hub import cached, is_checkpoint
from moss_cli.settings import config_folder

if TYPE_CHECKING:
    from moss_cli.models.served import Served

EMBEDDED = "tiny"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)  # ORG/NAME


@dataclass(frozen=True)
class Registry:
    """All entries, and the name that is used when none is given."""

    default: str
    entries: dict[str, ModelEntry]


@dataclass(frozen=True)
class Resolved:
    """A model that is on this machine, or that a server answers for: then there is no checkpoint."""

    entry: ModelEntry
    checkpoint: Path | None
    revision: str | None
    served: Served | None = None

    @property
    def folder(self) -> Path:
        """The folder of the checkpoint. Raises UsageError where only a server has one."""
        if self.checkpoint is None:
            message = f"the weights of {self.entry.name} are on a server, and this needs them here"
            raise UsageError(message, hint=f"choose a model of this machine, for example `--model {EMBEDDED}`")
        return self.checkpoint


def load_registry() -> Registry:
    """The packaged models.toml with the user's on top. Raises UsageError."""
    packaged = read_models(Path(__file__).with_name("models.toml"))
    user = read_models(config_folder() / "models.toml")
    return Registry(user.default or packaged.default or EMBEDDED, packaged.entries | user.entries)


def locate(entry: ModelEntry) -> Resolved | None:
    """An entry's checkpoint on this machine, if it is there. Never uses the network."""
    if entry.url is not None:
        return None
    if entry.path is not None:
        folder = Path(entry.path)
        return Resolved(entry, folder, entry.revision) if is_checkpoint(folder) else None
    assert entry.hub is not None
    snapshot = cached(entry.hub, entry.revision)
    return Resolved(entry, snapshot, snapshot.name) if snapshot else None


def resolve(name: str | None) -> Resolved:
    """The model that a user asked for; None means the default of models.toml.

    A name of models.toml; else the address of a server, which is asked what it has; else, with a `/` in it, an existing
    folder, else a hub id that is already on this machine. An explicit choice is never replaced by another. Raises
    ModelError, and UsageError for an address that is none.
    """
    if name == "":
        raise UsageError("the model name is empty")
    registry = load_registry()
    chosen = name or registry.default
    entry = registry.entries.get(chosen)
    if entry is not None and entry.url is not None:
        return _resolve_server(entry.url, registry, entry)
    if entry is None and is_server(chosen):
        return _resolve_server(chosen, registry)
    if entry is None:
        return _resolve_path(chosen, registry)
    found = locate(entry)
    if found is None:
        raise _not_here(entry, explicit=name is not None)
    return found


def _resolve_server(address: str, registry: Registry, entry: ModelEntry | None = None) -> Resolved:
    """What a server has, described by itself or, where it is a released model, as in models.toml; what `entry` says of
    it goes first."""
    from moss_cli.models.served import find_served

    server, named = parse_server(address)
    served = find_served(server, entry.model if entry is not None and entry.model else named)
    described = _described(served, registry)
    if entry is not None:
        described = replace(described, **{key: getattr(entry, key) for key in entry.given - {"url", "model"}})
    revision = served.told.get("revision")
    described = replace(described, name=served.name, url=server.url, model=served.id)
    return Resolved(described, None, revision if isinstance(revision, str) else None, served)


def _described(served: Served, registry: Registry) -> ModelEntry:
    table = served.told.get("entry")
    if served.is_moss and isinstance(table, dict):
        known = {key: value for key, value in table.items() if key in KEYS and key not in ("path", "hub", "model")}
        try:
            told = told_entry(served.id, {**known, "url": served.server.url}, by=served.server.url)
            return replace(told, thinking=known.get("thinking"))
        except UsageError as error:
            raise ModelError(f"{served.server.url} says what cannot be of its model: {error.message}") from error
    names = {name.rsplit("/", 1)[-1].lower() for name in (served.id, served.root) if name}
    released = (one for one in registry.entries.values() if one.hub and one.hub.rsplit("/", 1)[-1].lower() in names)
    return replace(next(released, ModelEntry(served.id)), hub=None, revision=None, path=None)


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
