"""The catalogue of models, models.toml, and finding the one that a user asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moss_cli.errors import ModelError, UsageError
from moss_cli.models.address import is_server, parse_server
from moss_cli.models.hub import cached, is_checkpoint
from moss_cli.settings import config_folder, read_toml

if TYPE_CHECKING:
    from moss_cli.models.served import Served

EMBEDDED = "tiny"

_KINDS: dict[str, tuple[type, ...]] = {
    "title": (str,),
    "hub": (str,),
    "revision": (str,),
    "path": (str,),
    "url": (str,),
    "model": (str,),
    "bytes": (int,),
    "memory": (dict,),
    "languages": (list,),
    "tasks": (list,),
    "thinking": (bool,),
    "thinks_over": (list,),
    "demo": (bool,),
    "text_only": (bool,),
    "max_seconds": (int, float),
    "piece_seconds": (dict,),
}


# Of a piece: no shorter than --chunk may be, and within a day, the longest input unless --max-duration says otherwise.
SHORTEST_S, LONGEST_S = 1.0, 86_400.0
_SECONDS = ("max_seconds", "piece_seconds")
_MOST_BYTES = 2**63 - 1


@dataclass(frozen=True)
class ModelEntry:
    """One entry of models.toml.

    `size`: bytes of the weight files. `memory`: bytes they take once loaded, by dtype. `thinking`: whether it thinks
    before it answers, None where that is not known; `thinks_over`: the tasks for which it does, if not all.
    `text_only`: whether it can be asked without audio. `max_seconds`: the longest clip that it is given at once;
    `piece_seconds`: the same by task, where that is shorter. `url`: of the server that answers for it, and `model` its
    name there. `given`: the names of the fields that models.toml sets.
    """

    name: str
    title: str = ""
    hub: str | None = None
    revision: str | None = None
    path: str | None = None
    url: str | None = None
    model: str | None = None
    size: int | None = None
    memory: dict[str, int] = field(default_factory=dict)
    languages: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()  # that it was trained for; none: all
    thinking: bool | None = None
    thinks_over: tuple[str, ...] = ()  # none: all
    demo: bool = False
    text_only: bool = True
    max_seconds: float = 600.0
    piece_seconds: dict[str, float] = field(default_factory=dict)
    given: frozenset[str] = frozenset()

    def knows(self, task: str) -> bool:
        """Whether it was trained for a task."""
        return not self.tasks or task in self.tasks

    def may_think(self, task: str) -> bool:
        """Whether it may think before it answers a task's questions, where the user leaves that to it."""
        return self.thinking is not False and (not self.thinks_over or task in self.thinks_over)

    def longest_s(self, task: str) -> float:
        """The longest piece of a recording that it is given for a task, unless the user chooses."""
        return min(self.max_seconds, self.piece_seconds.get(task, self.max_seconds))


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
    packaged = Path(__file__).with_name("models.toml")
    user = config_folder() / "models.toml"
    default, entries = "", {}
    for path, base in ((packaged, packaged.parent), (user, user.parent)):
        values = read_toml(path)
        default = values.get("default", default)
        if not isinstance(default, str):
            raise UsageError(f"{path}: default is not a name")
        models = values.get("models", {})
        if not isinstance(models, dict):
            raise UsageError(f"{path}: models is not a table")
        for name, table in models.items():
            entries[name] = _entry(name, table, path, base)
    return Registry(default, entries)


def _entry(name: str, table: Any, file: Path, base: Path) -> ModelEntry:
    if not isinstance(table, dict):
        raise UsageError(f"{file}: models.{name} is not a table")
    if sum(key in table for key in ("path", "hub", "url")) != 1:
        raise UsageError(f"{file}: models.{name} needs one of a path, a hub id and the url of a server")
    for key, kinds in _KINDS.items():
        if key in table and not _is_right(table[key], kinds):
            raise UsageError(f"{file}: models.{name}.{key} cannot be {table[key]!r}")
        numbers = table.get(key, ())
        for number in numbers.values() if isinstance(numbers, dict) else (numbers,):
            _check_number(number, f"{file}: models.{name}.{key}", in_seconds=key in _SECONDS)
    where = table.get("path")
    return ModelEntry(
        name=name,
        title=table.get("title", ""),
        hub=table.get("hub"),
        revision=table.get("revision"),
        url=table.get("url"),
        model=table.get("model"),
        path=None if where is None else str(base / os.path.expanduser(where)),  # noqa: PTH111 - see _resolve_path
        size=table.get("bytes"),
        memory=table.get("memory", {}),
        languages=tuple(table.get("languages", ())),
        tasks=tuple(table.get("tasks", ())),
        thinking=table.get("thinking", False),
        thinks_over=tuple(table.get("thinks_over", ())),
        demo=table.get("demo", False),
        text_only=table.get("text_only", True),
        max_seconds=float(table.get("max_seconds", 600)),
        piece_seconds=table.get("piece_seconds", {}),
        given=frozenset("size" if key == "bytes" else key for key in table if key in _KINDS),
    )


def _check_number(number: Any, what: str, *, in_seconds: bool) -> None:
    """Raise UsageError for a number that no length or amount of bytes can be."""
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        return
    if in_seconds and not SHORTEST_S <= number <= LONGEST_S:
        raise UsageError(f"{what} must be from {SHORTEST_S:g} to {LONGEST_S:g} seconds")
    if not in_seconds and not number <= _MOST_BYTES:
        raise UsageError(f"{what} is more than there can be")


def _is_right(value: Any, kinds: tuple[type, ...]) -> bool:
    if isinstance(value, dict):
        return dict in kinds and all(_is_right(number, (int, float)) for number in value.values())
    if isinstance(value, list):
        return list in kinds and all(isinstance(item, str) for item in value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return isinstance(value, kinds) and value > 0
    return type(value) in kinds


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
        known = {key: value for key, value in table.items() if key in _KINDS and key not in ("path", "hub", "model")}
        try:
            told = _entry(served.id, {**known, "url": served.server.url}, Path(served.server.url), Path())
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
    parts = name.split("/")
    if len(parts) == 2 and all(parts) and not name.startswith((".", "~")):
        entry = next((e for e in registry.entries.values() if e.hub == name), ModelEntry(name, hub=name))
        if found := locate(entry):
            return found
        raise ModelError(f"{name} is neither a folder nor a hub model on this machine", hint="see `moss models list`")
    raise ModelError(f"no checkpoint folder: {name}")


def _not_here(entry: ModelEntry, *, explicit: bool) -> ModelError:
    if entry.hub is None:
        return ModelError(f"model {entry.name}: no checkpoint in {entry.path}")
    size = f" ({entry.size / 1e9:.1f} GB)" if entry.size else ""
    what = f"model {entry.name}" if explicit else f"the default model, {entry.name},"
    hint = f"download it with `moss models pull {entry.name}`{size}, or try the embedded one with `--model {EMBEDDED}`"
    return ModelError(f"{what} is not on this machine", code="model_missing", hint=hint)
