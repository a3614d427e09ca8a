"""From the arguments of a command to its list of inputs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from moss_cli.audio.find import find_audio
from moss_cli.errors import UsageError
from moss_cli.output.paths import STDIN, PlannedInput, identity
from moss_cli.output.terminal import printable


@dataclass(frozen=True)
class Inputs:
    """`several`: there is more than one input, or a folder among the arguments."""

    found: tuple[PlannedInput, ...]
    several: bool


def collect(arguments: Sequence[str]) -> Inputs:
    """Expand folders. Raises UsageError for a folder without audio, and for stdin twice.

    A file that does not exist stays in the list: it fails by itself, and the rest goes on.
    """
    found: list[PlannedInput] = []
    folders = 0
    for argument in arguments:
        path = Path(argument)
        if argument == "":
            raise UsageError("an input's name is empty")
        if argument == "-":
            if any(one.path == STDIN for one in found):
                raise UsageError("standard input (-) can be read only once")
            found.append(PlannedInput(STDIN))
        elif os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises for a name that is too long
            folders += 1
            inside = find_audio(path)
            if not inside:
                raise UsageError(f"no audio in the folder {printable(argument)}", code="no_audio")
            found += [PlannedInput(file, path) for file in inside]
        else:
            found.append(PlannedInput(path.absolute() if path == STDIN else path))  # ./- is a file
    return Inputs(
        tuple({identity(one.path): one for one in reversed(found)}.values())[::-1],
        several=folders > 0 or len(found) > 1,
    )
