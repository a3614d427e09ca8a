"""Where options come from: flag, then MOSS_* variable, then config.toml, then the default.

typer reads flags and variables; this module finds and reads TOML files, and parses times.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from moss_cli.errors import UsageError

ENV_PREFIX = "MOSS_"

_CLOCK = re.compile(r"(?:(?:(\d{1,9}):)?([0-5]?\d):)?(\d{1,9}(?:\.\d+)?)", re.ASCII)
_UNITS = re.compile(r"(?:(\d{1,9}(?:\.\d+)?)h)?(?:(\d{1,9}(?:\.\d+)?)m)?(?:(\d{1,9}(?:\.\d+)?)s)?", re.ASCII)


def parse_time(text: str) -> float:
    """Seconds of `90`, `1:30`, `00:01:30.5` or `1m30s`. Raises UsageError."""
    text = text.strip().lower()
    if text and (match := _CLOCK.fullmatch(text)):
        hours, minutes, seconds = match.groups()
        if minutes is None or float(seconds) < 60:
            return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds)
    if text and (match := _UNITS.fullmatch(text)):
        hours, minutes, seconds = (float(part or 0) for part in match.groups())
        return hours * 3600 + minutes * 60 + seconds
    raise UsageError(f"{text!r} is not a time", hint="write 90, 1:30, 00:01:30.5 or 1m30s")


def config_folder() -> Path:
    """The user's config folder; MOSS_CONFIG_DIR names another."""
    if named := os.environ.get(ENV_PREFIX + "CONFIG_DIR"):
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_config_dir("moss", appauthor=False))


def state_folder() -> Path:
    """The user's folder for what is measured or remembered from run to run; MOSS_STATE_DIR names another."""
    if named := os.environ.get(ENV_PREFIX + "STATE_DIR"):
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_state_dir("moss", appauthor=False))


def cache_folder() -> Path:
    """The user's cache folder; MOSS_CACHE_DIR names another."""
    if named := os.environ.get(ENV_PREFIX + "CACHE_DIR"):
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_cache_dir("moss", appauthor=False))


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file, or nothing where there is none. Raises UsageError for one that cannot be read."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin a file with a byte order mark
        values = tomllib.loads(text)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text", hint="save it as UTF-8") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        reason = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "it is nested too deeply"
        raise UsageError(f"{path} is not valid TOML: {reason}") from error
    _check_texts(path, values, "")
    return values


def _check_texts(path: Path, value: Any, key: str) -> None:
    """Raise UsageError for text that no name of a file, option or model can be: it holds a NUL."""
    if isinstance(value, str) and "\0" in value:
        raise UsageError(f"{path}: {key} cannot hold a NUL character")
    if isinstance(value, dict):
        for name, inner in value.items():
            _check_texts(path, name, "a name")
            _check_texts(path, inner, f"{key}.{name}" if key else name)
    if isinstance(value, list):
        for inner in value:
            _check_texts(path, inner, key)


def config_path() -> Path:
    """The user's config.toml, which need not exist."""
    return config_folder() / "config.toml"


def key_lines(text: str) -> dict[tuple[str, ...], tuple[int, int]]:
    """First and last line, counted from 1, of each key of a TOML document, under its path: `("ask", "seed")`.

    No parser says where a key stands, but the lines down to some key are a document themselves, without those below.
    """
    found: dict[tuple[str, ...], tuple[int, int]] = {}
    lines, first = text.replace("\r\n", "\n").split("\n"), 1
    for last in range(1, len(lines) + 1):
        try:
            values = tomllib.loads("\n".join(lines[:last]))
        except tomllib.TOMLDecodeError:
            continue  # within a value of several lines
        for path in _paths(values, ()):
            found.setdefault(path, (first, last))
        first = last + 1
    return found


def _paths(values: dict[str, Any], above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for key, value in values.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from _paths(value, (*above, key))
