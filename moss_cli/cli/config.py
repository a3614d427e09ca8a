"""config.toml as the defaults of the commands' options."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from moss_cli.cli.command_line import CommandLine
from moss_cli.cli.config_values import check_value
from moss_cli.cli.usage import nearest_of
from moss_cli.errors import UsageError
from moss_cli.output.terminal import one_line
from moss_cli.settings import config_path, key_lines, read_toml

Options = dict[str, dict[str, Any]]  # of each command, the options by their keys


@dataclass(frozen=True)
class Setting:
    """A value in config.toml: of one command's table, or for all commands. `path` is how its key is written."""

    command: str | None
    key: str
    value: Any
    path: tuple[str, ...]

    @property
    def name(self) -> str:
        """`seed`, `ask.seed`"""
        return self.key if self.command is None else f"{self.command}.{self.key}"

    def commands(self, options: Options) -> list[str]:
        """Those that it holds for. What holds for all commands is for the options that a variable can set, too."""
        if self.command is not None:
            return [self.command] if self.key in options.get(self.command, {}) else []
        return [name for name, own in options.items() if self.key in own and own[self.key].envvar]


def options_of(group: Any) -> Options:
    """The options of each command, by their keys in config.toml: their long names."""
    return {
        name: {normalised(max(p.opts, key=len)): p for p in command.params if p.param_type_name == "option"}
        for name, command in group.commands.items()
        if not hasattr(command, "commands")
    }


def normalised(name: str) -> str:
    """A name as it is compared: `--top-p` and `top_p` are `top-p`."""
    return name.lstrip("-").replace("_", "-")


def default_map(group: Any, settings: list[Setting]) -> dict[str, dict[str, Any]]:
    """What click takes as `default_map`: what holds for all commands is given to each, its own table on top."""
    options = options_of(group)
    given: dict[str, dict[str, Any]] = {name: {} for name in options}
    for setting in sorted(settings, key=lambda one: one.command is not None):
        for name in setting.commands(options):
            option = options[name][setting.key]
            given[name][option.name] = as_given(option, setting.value)
    return given


def as_given(option: Any, value: Any) -> Any:
    """A value as an option takes it: one text is a list of one, if the option is repeatable."""
    return [value] if option.multiple and not isinstance(value, list) else value


def read_settings(group: Any) -> list[Setting]:
    """What stands in config.toml. Raises UsageError, with the line, for what no option has or can be."""
    settings = list(_settings(read_toml(config_path())))
    options, seen = options_of(group), set[str]()
    for setting in settings:
        if setting.name in seen:
            raise wrong(setting.path, f"{setting.name} is set twice", hint="remove one of them")
        seen.add(setting.name)
        check_key(setting, options)
        for name in setting.commands(options):
            try:
                check_value(group.commands[name], options[name][setting.key], setting.name, setting.value)
            except UsageError as error:
                raise wrong(setting.path, error.message, hint=error.hint) from error
    return settings


def _settings(values: dict[str, Any]) -> Iterator[Setting]:
    for key, value in values.items():
        if not isinstance(value, dict):
            yield Setting(None, normalised(key), value, (key,))
            continue
        command = normalised(key)
        if not value:
            yield Setting(command, "", None, (key,))  # a table with nothing in it has a name that may be wrong
        for inner, set_to in value.items():
            yield Setting(command, normalised(inner), set_to, (key, inner))


def check_key(setting: Setting, options: Options) -> None:
    """Raise UsageError, with the line, for a key that no option has."""
    if setting.command is not None and setting.command not in options:
        path = setting.path[:1]
        raise wrong(path, f"there is no command {_shown(path)}", hint=_hint(path, setting.command, options))
    if setting.commands(options) or not setting.key:
        return
    owners = [name for name, own in options.items() if setting.key in own]
    message = f"there is no option {_shown(setting.path)}"
    if setting.command is None and owners:
        message = f"{setting.key} is not an option of all commands"
        hint = f"write it in the table [{owners[0]}]: run `moss config unset {setting.key}` and then "
        there = CommandLine(("config", "set", f"{owners[0]}.{setting.key}", *_words(setting.value)))
        raise wrong(setting.path, message, hint=f"{hint}`{there}`")
    known = shared_keys(options) if setting.command is None else list(options[setting.command])
    raise wrong(setting.path, message, hint=_hint(setting.path, setting.key, known))


def shared_keys(options: Options) -> list[str]:
    """The keys that hold for all commands, each once."""
    return list(dict.fromkeys(key for own in options.values() for key, option in own.items() if option.envvar))


def _hint(path: tuple[str, ...], name: str, known: Any) -> str:
    bare = all(re.fullmatch(r"[\w-]+", part) for part in path)  # in quotes a key can have dots
    remove = f"run `moss config unset {'.'.join(path)}` to remove it" if bare else "remove the line"
    nearest = nearest_of(name, known)
    return f"did you mean {nearest}? else {remove}" if nearest else remove


def _words(value: Any) -> list[str]:
    """A value as it is typed."""
    items = value if isinstance(value, list) else [value]
    return [str(item).lower() if isinstance(item, bool) else str(item) for item in items]


def _shown(path: tuple[str, ...]) -> str:
    return one_line(".".join(path))


def wrong(path: tuple[str, ...], message: str, *, hint: str | None) -> UsageError:
    """The error of a key in config.toml, with its file and line."""
    line = line_of(path)
    where = f"{config_path()}, line {line}" if line else str(config_path())
    return UsageError(f"{where}: {message}", hint=hint)


def line_of(path: tuple[str, ...]) -> int | None:
    """The line of config.toml in which a key stands."""
    lines = key_lines(config_path().read_text(encoding="utf-8-sig"))
    return lines[path][0] if path in lines else None
