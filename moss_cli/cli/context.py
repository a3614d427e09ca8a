"""`--context TEXT|@FILE`: names, glossary and topic of a recording."""

from __future__ import annotations

from pathlib import Path

from moss_cli.errors import UsageError
from moss_cli.output.terminal import one_line

MOST_BYTES = 100_000  # chosen: some 22,000 tokens of English, half of what the released models take at once


def read_context(given: str | None) -> str | None:
    """The text that `--context` names: itself, or with an `@` before it a file's; `@@` is an `@` that is meant.

    Raises UsageError for a file that cannot be read, and for text that is empty, not UTF-8 or too long.
    """
    if given is None:
        return None
    if given.startswith("@") and not given.startswith("@@"):
        name, text = one_line(given[1:]), _of_file(given[1:])
    else:
        name, text = "--context", given.removeprefix("@") if given.startswith("@@") else given
    try:
        n_bytes = len(text.encode())
    except UnicodeEncodeError as error:
        raise UsageError(f"{name} is not UTF-8 text") from error
    if n_bytes > MOST_BYTES:
        raise _too_long(name)
    if not text.strip():
        raise UsageError(f"{name} is empty", hint="leave --context out, or give it some text")
    return text.strip()


def _of_file(name: str) -> str:
    if not name:
        raise UsageError("--context @ names no file", hint="write @FILE; a text that begins with an @ is written @@…")
    if name == "-":
        message = "--context cannot be read from standard input"
        raise UsageError(message, hint="give the text itself, or @FILE")
    path = Path(name).expanduser()
    try:
        if path.exists() and not path.is_file():
            raise UsageError(f"{one_line(name)} is not a regular file")
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 4)  # a byte order mark, and one that is too many
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or "it is no name of a file"
        hint = "for a text that begins with an @, write @@" if isinstance(error, FileNotFoundError) else None
        raise UsageError(f"{one_line(name)} cannot be read: {reason.lower()}", hint=hint) from error
    not_text = UsageError(f"{one_line(name)} is not UTF-8 text", hint="save it as UTF-8")
    if b"\0" in data:  # a recording, say, or UTF-16
        raise not_text
    if len(data) > MOST_BYTES + 3:
        raise _too_long(one_line(name))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise not_text from error


def _too_long(name: str) -> UsageError:
    message = f"{name} is too long: at most {MOST_BYTES:,} bytes of context are taken"
    return UsageError(message, hint="keep the names and terms that matter for these recordings")
