"""The list of inputs that --files-from names."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from moss_cli.cli.inputs import TWICE
from moss_cli.errors import UsageError
from moss_cli.output.terminal import one_line

# The longer marks first: that of UTF-32 begins as that of UTF-16 does.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF8, "utf-8"),
)
_RESAVE = "save it as UTF-8"


def read_list(name: str, inputs: Sequence[str] = ()) -> list[str]:
    """The paths listed in a file, or in stdin for `-`: one a line, or separated by NUL bytes if there are any.

    UTF-16 and UTF-32 are known by their byte order mark. `inputs` are the command's other inputs. Raises UsageError for
    a list that is empty or cannot be read, and for a folder in it that is not written as one, with a `/` at its end.
    """
    if name == "-" and "-" in inputs:
        raise UsageError(TWICE)
    shown = "the list on standard input" if name == "-" else f"the list {one_line(name)}"
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name, or stdin is closed
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"{shown} cannot be read: {(reason or 'it is closed').lower()}") from error
    data = _without_mark(data, shown)
    lines = _entries(data)
    if not lines:
        raise UsageError(f"{shown} is empty", code="no_audio")
    if b"\0" in data and _is_utf16(lines):
        raise UsageError(f"{shown} is UTF-16 without a byte order mark", hint=_RESAVE)
    paths = ["./-" if line == b"-" else os.fsdecode(line) for line in lines]  # a list holds names and nothing else
    for path in paths:
        if not path.endswith("/") and os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises for a long name
            message = f"{shown} names a folder, {one_line(path)}, as if it were a file"
            raise UsageError(message, hint=f"write {one_line(path)}/ in the list to have it searched")
    return paths


def _without_mark(data: bytes, shown: str) -> bytes:
    """The list in UTF-8, if it says by a mark how it is encoded; else its bytes. Raises UsageError."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            rest = data.removeprefix(mark)
            try:
                return rest if encoding == "utf-8" else rest.decode(encoding).encode()
            except UnicodeError as error:
                name = encoding.rpartition("-")[0].upper()
                raise UsageError(f"{shown} is not the {name} that it begins as", hint=_RESAVE) from error
    return data


def _entries(data: bytes) -> list[bytes]:
    if b"\0" in data:
        return [line for line in data.split(b"\0") if line]
    end = b"\r\n" if data.count(b"\n") == data.count(b"\r\n") else b"\n"
    return [line for line in data.split(end) if line.strip()]


def _is_utf16(names: Sequence[bytes]) -> bool:
    """Whether names between NULs are the letters of names: a line end is one of them, or none of them exists."""
    if not {b"\n", b"\r"}.isdisjoint(names):
        return True
    return len(names) > 1 and all(len(one) == 1 and not os.path.lexists(one) for one in names)
