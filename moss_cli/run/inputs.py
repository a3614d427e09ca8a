"""One input of a run."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from pathlib import Path

from moss_cli.audio.source import STDIN

__all__ = ["STDIN", "Input", "identity", "path_text"]


@dataclass(frozen=True)
class Input:
    """An audio file, or standard input, and the folder argument that it was found under (None: it was named itself)."""

    path: Path
    root: Path | None = None

    @property
    def shown(self) -> str:
        """The path as text: bytes that are not UTF-8 stand as `\\xff`."""
        return path_text(self.path)[0]

    @property
    def path_bytes(self) -> str | None:
        """The path's bytes in base64, where they are not UTF-8."""
        return path_text(self.path)[1]

    @property
    def identity(self) -> str:
        """What stands for the input, whatever it is called: its absolute path, links not followed."""
        return identity(self.path)


def identity(path: Path) -> str:
    """The absolute path, links not followed; `-` for standard input."""
    return str(path) if path == STDIN else os.path.abspath(path)  # noqa: PTH100 - Path.absolute keeps `..`


def path_text(path: Path) -> tuple[str, str | None]:
    """`path` and `path_bytes` of the envelope: bytes that are not UTF-8 as `\\xff`, then also all in base64."""
    raw = os.fsencode(path)
    try:
        return raw.decode(), None
    except UnicodeDecodeError:
        return raw.decode(errors="backslashreplace"), base64.b64encode(raw).decode()
