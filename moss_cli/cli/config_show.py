"""What every option is set to, and by what: for `moss config show`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moss_cli.cli.config import Setting, default_map, options_of, shared_keys
from moss_cli.cli.config_values import check_value
from moss_cli.errors import UsageError
from moss_cli.output.terminal import one_line
from moss_cli.output.wrap import wrapped
from moss_cli.settings import config_folder, config_path, key_lines, read_toml

COLUMNS = 80
_DEFAULT = re.compile(r"\[default: (.*)\]$")


@dataclass(frozen=True)
class Origin:
    """What set a value: a variable, a line of a file, or `default`. A file without a line is part of moss."""

    source: str
    variable: str | None = None
    file: Path | None = None
    line: int | None = None

    def __str__(self) -> str:
        if self.variable is not None:
            return self.variable
        return self.source if self.line is None else f"{self.source}, line {self.line}"


@dataclass(frozen=True)
class OptionValue:
    """An option's value, and where it comes from. `command`: it differs from what holds for all commands, or is
    known to this one alone. `unset`: what happens where there is no value."""

    command: str | None
    key: str
    value: Any
    origin: Origin
    unset: str | None = None

    @property
    def name(self) -> str:
        """`seed`, `ask.seed`"""
        return self.key if self.command is None else f"{self.command}.{self.key}"

    @property
    def shown(self) -> str:
        """The value as it is written on the command line."""
        if self.value is None:
            return f"({self.unset or 'none'})"
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        if isinstance(self.value, float):
            return f"{self.value:g}"
        return ", ".join(map(str, self.value)) if isinstance(self.value, list) else str(self.value)

    def document(self) -> dict[str, Any]:
        """For JSON."""
        facts = {"command": self.command, "option": self.key, "value": self.value, "source": self.origin.source}
        file = None if self.origin.file is None else str(self.origin.file)
        return facts | {"variable": self.origin.variable, "file": file, "line": self.origin.line}


def values_of_all(group: Any, settings: list[Setting]) -> list[OptionValue]:
    """What holds for all commands, each followed by where a command differs; then what single commands know alone.

    Raises UsageError for a variable with a value that cannot be.
    """
    options = options_of(group)
    shared = [one for one in settings if one.command is None]
    found: list[OptionValue] = []
    for key in shared_keys(options):
        owners = [name for name, own in options.items() if key in own and own[key].envvar]
        base = _value(group, owners[0], key, shared)
        found.append(OptionValue(None, key, base.value, base.origin, base.unset))
        for name in owners:
            own = _value(group, name, key, settings)
            if (own.value, own.origin) != (base.value, base.origin):
                found.append(own)
    alone = [(name, key) for name, own in options.items() for key, option in own.items() if not option.envvar]
    return found + [_value(group, name, key, settings) for name, key in alone]


def values_of(group: Any, command: str, settings: list[Setting]) -> list[OptionValue]:
    """What each option of a command is. Raises UsageError for a variable with a value that cannot be."""
    own = (_value(group, command, key, settings) for key in options_of(group)[command])
    return [OptionValue(None, one.key, one.value, one.origin, one.unset) for one in own]


def table(values: list[OptionValue]) -> str:
    """A line or more for each option: its name, what set it, its value."""
    rows = [(one_line(one.name), one_line(str(one.origin)), one.shown) for one in values]
    heads = ("option", "from", "value")
    first, second = (max(len(row[i]) for row in [heads, *rows]) + 2 for i in (0, 1))
    return "".join(f"{line}\n" for row in [heads, *rows] for line in _lines(row, first, second))


def _lines(row: tuple[str, str, str], first: int, second: int) -> Iterator[str]:
    name, origin, value = row
    width = max(20, COLUMNS - first - second)
    for number, part in enumerate(wrapped(value, width) or [""]):
        head = f"{name:<{first}}{origin:<{second}}" if number == 0 else " " * (first + second)
        yield (head + part).rstrip()


def _value(group: Any, name: str, key: str, settings: list[Setting]) -> OptionValue:
    import typer

    command = group.commands[name]
    option = options_of(group)[name][key]
    context = typer.Context(command, info_name=name, default_map=default_map(group, settings)[name])
    value, source = option.consume_value(context, {})  # the parser's own order of precedence
    origin = Origin("default")
    if source.name == "ENVIRONMENT":
        origin = Origin("variable", variable=option.envvar)
    elif source.name == "DEFAULT_MAP":
        origin = _place(name, key, settings)
    elif key == "model":
        value, origin = _default_model()
    label = option.envvar if source.name == "ENVIRONMENT" else key
    checked = None if value is None else _plain(check_value(command, option, label, _listed(option, value)))
    unset = _DEFAULT.search(option.help or "")
    return OptionValue(name, key, checked, origin, unset[1] if unset else None)


def _listed(option: Any, value: Any) -> Any:
    return list(value) if option.multiple and not isinstance(value, str) else value


def _plain(value: Any) -> Any:
    """Without the parser's types: the names of choices are texts."""
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, str) else value


def _place(command: str, key: str, settings: list[Setting]) -> Origin:
    """The line of config.toml that sets an option of a command: in its table, or else for all."""
    own = [one for one in settings if one.key == key and one.command in (None, command)]
    setting = max(own, key=lambda one: one.command is not None)
    path = config_path()
    line = key_lines(path.read_text(encoding="utf-8-sig"))[setting.path][0]
    return Origin(path.name, file=path, line=line)


def _default_model() -> tuple[str, Origin]:
    """The model that is used where none is chosen, and the models.toml that names it."""
    from moss_cli.models.registry import load_registry

    default = load_registry().default
    path = config_folder() / "models.toml"
    if "default" not in read_toml(path):
        return default, Origin("default")
    line = key_lines(path.read_text(encoding="utf-8-sig"))[("default",)][0]
    return default, Origin(path.name, file=path, line=line)


def check_command(group: Any, command: str) -> None:
    """Raise UsageError for what is no command, or one whose options have no place in config.toml."""
    from moss_cli.cli.command_line import run_hint
    from moss_cli.cli.usage import nearest_of

    known = [name for name, own in options_of(group).items() if own]
    if command not in known:
        nearest = nearest_of(command, known)
        hint = run_hint(f"moss config show {nearest}") if nearest else f"commands with options: {', '.join(known)}"
        raise UsageError(f"no such command with options: {one_line(command)}", hint=hint)
