"""What a command says on stderr beside a result, from Python."""

from __future__ import annotations

import sys
import warnings


class MossWarning(UserWarning):
    """What `moss` says on stderr beside a result: what is missing from it, and what is wrong with the audio."""


def warn(message: str) -> None:
    """Give Python a MossWarning, as of the line that called a Moss."""
    warnings.warn(message, MossWarning, stacklevel=_levels_to_caller())


def _levels_to_caller() -> int:
    """How far up that line is, seen from `warn`."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(("moss_cli.", "contextlib")):
        level, frame = level + 1, frame.f_back
    return level
