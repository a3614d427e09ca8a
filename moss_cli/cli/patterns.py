"""What --include and --exclude choose of a folder."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from moss_cli.audio.find import Skip
from moss_cli.errors import UsageError
from moss_cli.output.terminal import one_line


def skip_by(include: Sequence[str], exclude: Sequence[str]) -> Skip:
    """What --include and --exclude leave out of a folder; --exclude wins."""
    wanted = [_compiled("--include", pattern) for pattern in include]
    unwanted = [_compiled("--exclude", pattern) for pattern in exclude]

    def skip(relative: str, is_folder: bool) -> bool:
        path = unicodedata.normalize("NFC", relative) + ("/" if is_folder else "")
        if any(pattern.fullmatch(path) for pattern in unwanted):
            return True
        return bool(wanted) and not is_folder and not any(pattern.fullmatch(path) for pattern in wanted)

    return skip


def _compiled(option: str, pattern: str) -> re.Pattern[str]:
    """A pattern as .gitignore has them: without a slash within, it is for names at any depth; a folder's is for
    all that lies below it. Raises UsageError."""
    pattern = unicodedata.normalize("NFC", pattern).removeprefix(".") if pattern.startswith("./") else pattern
    segments = unicodedata.normalize("NFC", pattern).removesuffix("/").removeprefix("/").split("/")
    if not any(segments):
        raise UsageError(f"{option} {one_line(pattern)!r} matches nothing", hint="'*.mp3', 'calls/**' or 'old/', say")
    anywhere = "" if "/" in pattern.removesuffix("/") else "(?:.*/)?"
    if segments[-1] == "**":
        segments, below = segments[:-1], ".*"
    else:
        below = "/.*" if pattern.endswith("/") else "(?:/.*)?"
    body = "".join("(?:[^/]+/)*" if one == "**" else _segment(one) + "/" for one in segments)
    body = body if below == ".*" else body.removesuffix("/")
    try:
        return re.compile(anywhere + body + below, re.DOTALL)
    except re.error as error:
        raise UsageError(f"{option} {one_line(pattern)!r} is not a pattern: {error.msg}") from error


_TOKEN = re.compile(r"\\(?P<escaped>.)|\[(?P<negated>[!^]?)(?P<set>\]?[^\]]+|\])\]|(?P<other>.)", re.DOTALL)


def _segment(glob: str) -> str:
    """One part of a pattern as a regular expression: `*`, `?`, `[a-z]`, `[!a-z]`; a backslash takes their meaning."""
    runs = [""]  # what stands between the stars
    for token in _TOKEN.finditer(glob):
        if token["other"] == "*":
            runs.append("")
        elif token["set"] is not None:
            members = re.sub(r"[]\\[&|~]", r"\\\g<0>", token["set"])  # what means something to `re` alone
            runs[-1] += f"(?!/)[{'^' if token['negated'] else ''}{members}]"
        elif token["other"] == "?":
            runs[-1] += "[^/]"
        else:
            runs[-1] += re.escape(token["escaped"] or token["other"])
    first, *after_stars = runs
    if not after_stars:
        return first
    # A run may be taken where it first occurs: atomic, so that many stars do not multiply the ways to try.
    middle = "".join(f"(?>[^/]*?{run})" for run in after_stars[:-1] if run)
    return f"{first}{middle}[^/]*{after_stars[-1]}"
