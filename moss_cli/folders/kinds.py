"""Refuses anything in the state folder that is not what moss makes there."""

from __future__ import annotations

import stat
from pathlib import Path

from moss_cli.errors import OutputError
from moss_cli.output.terminal import one_line


def check_kind(path: Path, *, is_folder: bool = False) -> None:
    """Raise OutputError where `path` is something other than a file, or with `is_folder` than a folder."""
    try:
        mode = path.lstat().st_mode
    except OSError:  # there is none yet, or whoever opens it will say so
        return
    if (stat.S_ISDIR if is_folder else stat.S_ISREG)(mode):
        return
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFREG: "a file", stat.S_IFLNK: "a symbolic link"}
    found, wanted = kinds.get(stat.S_IFMT(mode), "not a regular file"), "a folder" if is_folder else "a file"
    message = f"{one_line(str(path))} is {found}, but moss needs {wanted} of that name for its state"
    raise OutputError(message, hint="move it away; moss will create its own")
