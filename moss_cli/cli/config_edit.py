"""config.toml with one key changed, and all the rest as it was, comments included."""

from __future__ import annotations

from typing import Any

from moss_cli.cli.config import normalised
from moss_cli.errors import UsageError
from moss_cli.settings import config_path, key_lines


def with_value(text: str, command: str | None, key: str, value: Any) -> str:
    """The text of a valid config.toml with `key` set, for one command or for all."""
    import tomlkit

    document = _parsed(text)
    holder: Any = document
    if command is not None:
        table = next((name for name in document if _is_table(document, name, command)), None)
        if table is None:
            table = command
            document[table] = tomlkit.table()
        holder = document[table]
    written = [name for name in holder if normalised(name) == key and not hasattr(holder[name], "keys")]
    if written or command is not None:
        holder[written[0] if written else key] = value
        return tomlkit.dumps(document)
    return _with_first_level(text, f"{key} = {tomlkit.item(value).as_string()}")


def without(text: str, command: str | None, key: str | None) -> str | None:
    """The text without a key, or without a command's table (`key` None); None where it has no such thing."""
    import tomlkit

    document = _parsed(text)
    if key is None or command is not None:
        tables = [name for name in document if _is_table(document, name, command)]
        pairs = [(document, name) for name in tables]
        if key is not None:
            pairs = [(document[name], inner) for name in tables for inner in document[name] if normalised(inner) == key]
    else:
        pairs = [(document, name) for name in document if normalised(name) == key and not _has_keys(document, name)]
    for holder, name in pairs:
        del holder[name]
    return tomlkit.dumps(document) if pairs else None


def keys_in(text: str) -> list[str]:
    """The keys that are set, `seed` and `ask.seed`, and the tables there are."""
    return [".".join(path) for path in key_lines(text)]


def _parsed(text: str) -> Any:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        return tomlkit.parse(text)
    except TOMLKitError as error:
        raise UsageError(f"{config_path()} cannot be changed: {error}", hint="edit it by hand") from error


def _has_keys(document: Any, name: str) -> bool:
    return hasattr(document[name], "keys")


def _is_table(document: Any, name: str, command: str | None) -> bool:
    return command is not None and normalised(name) == normalised(command) and _has_keys(document, name)


def _with_first_level(text: str, line: str) -> str:
    """The text with a line behind the last key that is in no table, or else in front of the first table.

    tomlkit would put it behind the comments that belong to the first table.
    """
    lines = text.split("\n")
    line += "\r" if lines[0].endswith("\r") else ""
    places = key_lines(text)
    headers = {path[0]: first for path, (first, _) in places.items() if len(path) == 1 and _is_header(lines[first - 1])}
    ends = [last for path, (_, last) in places.items() if path[0] not in headers]
    if ends:
        return "\n".join([*lines[: max(ends)], line, *lines[max(ends) :]])
    if not headers:
        return f"{text.rstrip()}\n{line}\n" if text.strip() else f"{line}\n"
    at = min(headers.values()) - 1
    while at and lines[at - 1].lstrip().startswith("#"):
        at -= 1
    return "\n".join([*lines[:at], line, "", *lines[at:]])


def _is_header(line: str) -> bool:
    return line.lstrip().startswith("[")
