"""`--context TEXT|@FILE`: names, glossary and topic of a recording."""

from __future__ import annotations

from pathlib import Path

from moss_cli.api.options import MOST_CONTEXT_BYTES
from moss_cli.errors import UsageError
from moss_cli.output.terminal import one_line


def read_context(given: str | None) -> str | None:
    """The text that `--context` names: itself, or with an `@` before it a file's; `@@` is an `@` that is meant.

    Raises UsageError for a file that cannot be read, is empty, not UTF-8 or too long.
    """
    if given is None or not given.startswith("@"):
        return given
    if given.startswith("@@"):
        return given[1:]
    name = given[1:]
    if not name:
        raise UsageError("--context @ names no file", hint="write @FILE; a text that begins with an @ is written @@…")
    if name == "-":
        message = "--context cannot be read from standard input"
        raise UsageError(message, hint="give the text itself, or @FILE")
    text = _text(one_line(name), _bytes(name))
    if not text.strip():
        raise UsageError(f"{one_line(name)} is empty", hint="leave --context out, or give it some text")
    return text


def _bytes(name: str) -> bytes:
    path = Path(name).expanduser()
    try:
        if path.exists() and not path.is_file():
            raise UsageError(f"{one_line(name)} is not a regular file")
        with path.open("rb") as file:
            return file.read(MOST_CONTEXT_BYTES + 4)  # a byte order mark, and one that is too many
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or "it is no name of a file"
        hint = "for a text that begins with an @, write @@" if isinstance(error, FileNotFoundError) else None
        raise UsageError(f"{one_line(name)} cannot be read: {reason.lower()}", hint=hint) from error


def _text(name: str, data: bytes) -> str:
    not_text = UsageError(f"{name} is not UTF-8 text", hint="save it as UTF-8")
    if b"\0" in data:  # a recording, say, or UTF-16
        raise not_text
    if len(data.removeprefix(b"\xef\xbb\xbf")) > MOST_CONTEXT_BYTES:
        raise UsageError(
            f"{name} is too long: at most {MOST_CONTEXT_BYTES:,} bytes are taken",
            hint="keep the names and terms that matter for these recordings",
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise not_text from error
