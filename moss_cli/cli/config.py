"""config.toml as the defaults of the commands' options."""

from __future__ import annotations

from typing import Any

from moss_cli.cli.console import Console
from moss_cli.settings import user_defaults


def default_map(group: Any, console: Console) -> dict[str, Any]:
    """What click takes as `default_map`: what holds for all commands is given to each, its own table on top.

    A key that no command has is a warning: it may be meant for another version. Raises UsageError.
    """
    defaults = user_defaults()
    commands = {name: command for name, command in group.commands.items() if not hasattr(command, "commands")}
    options = {
        name: {p.name: p for p in command.params if p.param_type_name == "option"} for name, command in commands.items()
    }
    shared = {key: value for key, value in defaults.items() if not isinstance(value, dict)}
    tables = {key.replace("_", "-"): value for key, value in defaults.items() if isinstance(value, dict)}
    unknown = [key for key in shared if not any(key in names for names in options.values())]
    unknown += [name for name in tables if name not in commands]
    unknown += [f"{name}.{key}" for name in options for key in tables.get(name, {}) if key not in options[name]]
    for key in unknown:
        console.warning(f"config.toml: there is no option {key}")
    return {
        name: {
            key: [value] if options[name][key].multiple and isinstance(value, str) else value
            for key, value in {**shared, **tables.get(name, {})}.items()
            if key in options[name]
        }
        for name in commands
    }
