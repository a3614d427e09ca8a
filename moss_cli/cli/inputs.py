"""From the arguments of a command to its list of inputs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from moss_cli.audio.find import Missed, search
from moss_cli.cli.patterns import skip_by
from moss_cli.errors import AudioError, UsageError
from moss_cli.folders.names import STDIN, PlannedInput, identity
from moss_cli.output.terminal import one_line, printable

_TWICE = "standard input (-) can be read only once"


@dataclass(frozen=True)
class Inputs:
    """`several`: there is more than one input, or a folder or a list among the arguments."""

    found: tuple[PlannedInput, ...]
    several: bool
    missed: tuple[Missed, ...] = ()  # what of the folders could not be looked at


def collect(
    arguments: Sequence[str],
    *,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] | None = None,
    listed: bool = False,
) -> Inputs:
    """Expand folders, of which `include` and `exclude` choose; `listed`: some of the arguments come from a list.

    A file that does not exist stays in the list: it fails by itself, and the rest goes on.
    Raises UsageError where folders hold no audio, and for stdin twice; AudioError where nothing could be looked at.
    """
    found: dict[str, PlannedInput] = {}  # by identity: what is given twice has the first one's place
    missed: list[Missed] = []
    folders: list[str] = []
    skip = skip_by(include or (), exclude or ())
    for argument in arguments:
        path = Path(argument)
        if argument == "":
            raise UsageError("an input's name is empty")
        if argument == "-":
            if identity(STDIN) in found:
                raise UsageError(_TWICE)
            found[identity(STDIN)] = PlannedInput(STDIN)
        elif os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises for a name that is too long
            folders.append(argument)
            inside = search(path, skip)
            if not inside.files and not inside.missed and not include and not exclude:
                raise UsageError(f"no audio in the folder {printable(argument)}", code="no_audio")
            missed += inside.missed
            for file in inside.files:
                found.setdefault(identity(file), PlannedInput(file, path))
        else:
            one = PlannedInput(path.absolute() if path == STDIN else path)  # ./- is a file
            found.setdefault(identity(one.path), one)
    if not found:
        raise _nothing(folders, missed)
    return Inputs(tuple(found.values()), several=bool(folders) or listed or len(found) > 1, missed=tuple(missed))


def missed_message(one: Missed) -> str:
    """What is said of something that could not be looked at."""
    what = "the folder " if one.is_folder else ""
    return f"{what}{one_line(str(one.path))} cannot be read: {one.reason}"


def _nothing(folders: Sequence[str], missed: Sequence[Missed]) -> UsageError | AudioError:
    if missed:
        return AudioError(missed_message(missed[0]), code="permission" if "permission" in missed[0].reason else None)
    where = "the folder " + one_line(folders[0]) if len(folders) == 1 else "the folders"
    return UsageError(f"--include and --exclude leave no audio in {where}", code="no_audio")


def read_list(name: str, inputs: Sequence[str] = ()) -> list[str]:
    """The paths that a file, or stdin for `-`, lists: one on each line, or separated by NUL if there is a NUL in it.

    `inputs` are those that are given beside the list. Raises UsageError for a list that is empty or cannot be read.
    """
    if name == "-" and "-" in inputs:
        raise UsageError(_TWICE)
    shown = "the list on standard input" if name == "-" else f"the list {one_line(name)}"
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name, or stdin is closed
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"{shown} cannot be read: {(reason or 'it is closed').lower()}") from error
    if b"\0" in data:
        lines = [line for line in data.split(b"\0") if line]
    else:
        data = data.removeprefix(b"\xef\xbb\xbf")  # what some editors begin a file with
        end = b"\r\n" if data.count(b"\n") == data.count(b"\r\n") else b"\n"
        lines = [line for line in data.split(end) if line.strip()]
    if not lines:
        raise UsageError(f"{shown} names no inputs", code="no_audio")
    return ["./-" if line == b"-" else os.fsdecode(line) for line in lines]  # a list holds names and nothing else
