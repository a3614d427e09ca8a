"""The file that was meant by a name that no file has, and what is no file at all."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from difflib import get_close_matches
from fnmatch import fnmatch
from pathlib import Path
from urllib.parse import unquote, urlsplit

from moss_cli.audio.find import is_audio_name
from moss_cli.cli.command_line import CommandLine, run_hint
from moss_cli.errors import UsageError
from moss_cli.output.terminal import one_line

MOST_NAMES = 5000  # of a folder that are compared; chosen: a tenth of a second
_LIKENESS = 0.7  # from which a name is suggested; chosen
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://.+")


def check_url(argument: str, typed: CommandLine) -> None:
    """Raise UsageError for a URL, with the command that fetches it."""
    if not _URL.fullmatch(argument) or os.path.lexists(argument):
        return
    message = f"{one_line(argument)} is a URL, and moss reads files"
    parts = urlsplit(argument)
    if parts.scheme.lower() == "file":
        path = unquote(parts.path)
        raise UsageError(message, hint=run_hint(typed.replaced(argument, path), f"give the file: {one_line(path)}"))
    is_file = is_audio_name(Path(parts.path))
    fetch = "curl -fsSL" if is_file else "yt-dlp -q -f bestaudio -o -"
    rest = typed.replaced(argument, "-") if argument in typed.words else "moss transcribe -"
    raise UsageError(message, hint=run_hint(f"{fetch} {shlex.quote(argument)} | {rest}"))


def near_file_hint(path: Path, typed: CommandLine) -> str | None:
    """What to do where there is no file `path`; None where nothing like it is there."""
    name = os.fspath(path)
    if re.search(r"[*?\[]", name):
        return _pattern_hint(path, typed)
    if (joined := _in_pieces(name, typed)) is not None:
        return run_hint(joined)
    near = next(_near(path), None)
    if near is None:
        return None
    return run_hint(typed.replaced(name, near)) if name in typed.words else f"did you mean {one_line(near)}?"


def _pattern_hint(path: Path, typed: CommandLine) -> str | None:
    """What to do where a shell found nothing for a pattern, or did not look."""
    names = [Path(name).name for name in _recordings(path.parent)]
    if any(fnmatch(name, path.name) for name in names):
        return run_hint(typed.replaced(str(path), str(path.parent)).added("--include", path.name))
    return run_hint(typed.replaced(str(path), str(path.parent))) if names else None


def _in_pieces(name: str, typed: CommandLine) -> CommandLine | None:
    """The command line with a name in one piece that a shell has taken for several."""
    for start, first in enumerate(typed.words):
        for end in range(start + 2, min(start + 10, len(typed.words)) + 1):
            whole = " ".join(typed.words[start:end])
            if name in typed.words[start:end] and not first.startswith("-") and os.path.isfile(whole):  # noqa: PTH113
                return CommandLine((*typed.words[:start], whole, *typed.words[end:]))
    return None


def _recordings(folder: Path) -> list[str]:
    """The names of the recordings in a folder; none where it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry, _ in zip(entries, range(MOST_NAMES), strict=False) if entry.is_file()]
    except (OSError, ValueError):
        return []
    return sorted(name for name in names if is_audio_name(Path(name)))


def _near(path: Path) -> Iterator[str]:
    """Names of files like `path`, the likeliest first."""
    home = os.path.expanduser(path)  # noqa: PTH111 - Path.expanduser raises for a user who is not here
    if home != os.fspath(path) and os.path.exists(home):  # noqa: PTH110
        yield home
    recordings = _recordings(path.parent)
    of_one_stem = [name for name in recordings if Path(name).stem.casefold() == path.stem.casefold()]
    folder = "" if str(path.parent) == "." else f"{path.parent}/"
    for name in (*of_one_stem, *get_close_matches(path.name, recordings, 3, _LIKENESS)):
        yield folder + name
