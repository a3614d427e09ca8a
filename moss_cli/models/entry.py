"""A model of models.toml, and reading such a file."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from moss_cli.errors import UsageError
from moss_cli.settings import key_lines, read_toml

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
KEYS = tuple(_KINDS)
_WORDS: dict[type, str] = {
    str: "text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    list: "a list of names",
    dict: "a table of numbers",
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
class ModelsFile:
    """What a models.toml says: the model that is used where none is named, if it says so, and its entries."""

    default: str | None
    entries: dict[str, ModelEntry]


def read_models(path: Path) -> ModelsFile:
    """A models.toml, or nothing where there is none. Raises UsageError, with the line, for what cannot be."""
    values = read_toml(path)
    reader = _EntryReader(path)
    reader.check_keys((), values, ("default", "models"))
    default, models = values.get("default"), values.get("models", {})
    if not isinstance(default, str | None):
        raise reader.wrong(("default",), "default is not a name")
    if not isinstance(models, dict):
        raise reader.wrong(("models",), "models is not a table", hint="write [models.NAME]")
    return ModelsFile(default, {name: reader.entry(name, table) for name, table in models.items()})


def told_entry(name: str, table: dict[str, Any], *, by: str) -> ModelEntry:
    """An entry that does not stand in a file. Raises UsageError, with who told it, for what cannot be."""
    return _EntryReader(Path(by)).entry(name, table)


@dataclass(frozen=True)
class _EntryReader:
    """Takes entries out of one file, and says in which line and key it is wrong."""

    path: Path

    def wrong(self, key: tuple[str, ...], message: str, *, hint: str | None = None) -> UsageError:
        lines = key_lines(self.path.read_text(encoding="utf-8-sig")) if self.path.is_file() else {}
        where = f"{self.path}, line {lines[key][0]}" if key in lines else str(self.path)
        return UsageError(f"{where}: {message}", hint=hint)

    def check_keys(self, above: tuple[str, ...], table: dict[str, Any], known: tuple[str, ...]) -> None:
        for key in table:
            if key not in known:
                nearest = get_close_matches(key.lower(), known, 1)
                hint = f"did you mean {nearest[0]}?" if nearest else f"known keys: {', '.join(known)}"
                raise self.wrong((*above, key), f"there is no key {'.'.join((*above, key))}", hint=hint)

    def entry(self, name: str, table: Any) -> ModelEntry:
        key = ("models", name)
        shown = ".".join(key)
        if not isinstance(table, dict):
            raise self.wrong(key, f"{shown} is not a table", hint=f"write [{shown}]")
        self.check_keys(key, table, KEYS)
        if sum(one in table for one in ("path", "hub", "url")) != 1:
            raise self.wrong(key, f"{shown} needs one of a path, a hub id and the url of a server")
        for one, value in table.items():
            self._check(key, one, value)
        return _entry(name, table, self.path.parent)

    def _check(self, above: tuple[str, ...], one: str, value: Any) -> None:
        """Raise UsageError for a value that a key cannot have."""
        key, what = (*above, one), ".".join((*above, one))
        if not _is_right(value, _KINDS[one]):
            raise self.wrong(key, f"{what} cannot be {value!r}", hint=f"it is {_WORDS[_KINDS[one][0]]}")
        for number in value.values() if isinstance(value, dict) else (value,):
            if isinstance(number, bool) or not isinstance(number, (int, float)):
                continue
            if one in _SECONDS and not SHORTEST_S <= number <= LONGEST_S:
                raise self.wrong(key, f"{what} must be from {SHORTEST_S:g} to {LONGEST_S:g} seconds")
            if one not in _SECONDS and not number <= _MOST_BYTES:
                raise self.wrong(key, f"{what} is more than there can be")


def _entry(name: str, table: dict[str, Any], base: Path) -> ModelEntry:
    where = table.get("path")
    return ModelEntry(
        name=name,
        title=table.get("title", ""),
        hub=table.get("hub"),
        url=table.get("url"),
        model=table.get("model"),
        revision=table.get("revision"),
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
        given=frozenset("size" if key == "bytes" else key for key in table),
    )


def _is_right(value: Any, kinds: tuple[type, ...]) -> bool:
    if isinstance(value, dict):
        return dict in kinds and all(_is_right(number, (int, float)) for number in value.values())
    if isinstance(value, list):
        return list in kinds and all(isinstance(item, str) for item in value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return isinstance(value, kinds) and value > 0
    return type(value) in kinds
