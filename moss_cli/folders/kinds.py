"""What lies in the state folder is a file or a folder, as moss makes it, or is named."""

from __future__ import annotations

import stat
from pathlib import Path

from moss_cli.errors import OutputError
from moss_cli.output.terminal import one_line


def check_kind(path: Path, *, is_folder: bool = False) -> None:
    """Raise OutputError where something else than a file, or than a folder, stands at `path`."""
    try:
        mode = path.lstat().st_mode
    except OSError:  # there is none yet, or it is told by whoever opens it
        return
    if (stat.S_ISDIR if is_folder else stat.S_ISREG)(mode):
        return
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFREG: "a file", stat.S_IFLNK: "a symbolic link"}
    found, wanted = kinds.get(stat.S_IFMT(mode), "no regular file"), "a folder" if is_folder else "a file"
    message = f"{one_line(str(path))} is {found}, and moss keeps its state in {wanted} of that name"
    raise OutputError(message, hint="move it away; moss then makes its own")
