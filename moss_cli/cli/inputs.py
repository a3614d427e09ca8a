"""From the arguments of a command to its list of inputs."""

from __future__ import annotations

import os
import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from moss_cli.audio.find import Asked, Skip, Unreadable, find_audio
from moss_cli.cli.command_line import CommandLine
from moss_cli.cli.near_files import check_url
from moss_cli.errors import AudioError, UsageError, counted, no_working_directory
from moss_cli.output.terminal import one_line, printable
from moss_cli.run.inputs import STDIN, Input, identity

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

TWICE = "standard input (-) can only be read once"


@dataclass(frozen=True)
class GivenInputs:
    """The inputs of a command. `several`: there is more than one, or a folder or a list was given.

    `unreadable`: what could not be read in the folders. `passed_over`: how many files of the folders were left out as
    no recordings, by their suffixes.
    """

    inputs: tuple[Input, ...]
    several: bool
    unreadable: tuple[Unreadable, ...] = ()
    passed_over: Mapping[str, int] = field(default_factory=dict)


def collect(
    arguments: Sequence[str],
    *,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] | None = None,
    listed: bool = False,
    typed: CommandLine | None = None,
) -> GivenInputs:
    """Expand folders, whose files `include` and `exclude` select; `listed`: some of the arguments come from a list.

    A file that does not exist stays in the list: it fails on its own, and the rest go on.
    Raises UsageError where folders hold no audio, for a URL, a bad pattern and for stdin twice; AudioError where
    nothing could be read.
    """
    check_working_directory()
    found: dict[str, Input] = {}  # by identity: an input given twice keeps its first position
    unreadable: list[Unreadable] = []
    folders: list[str] = []
    passed_over: Counter[str] = Counter()
    skip, is_asked_for = skip_by(include or (), exclude or ()), asked_for(include or ())
    for argument in arguments:
        path = Path(argument)
        if argument == "":
            raise UsageError("an input name is empty")
        check_url(argument, typed or CommandLine())
        if argument == "-":
            if identity(STDIN) in found:
                raise UsageError(TWICE)
            found[identity(STDIN)] = Input(STDIN)
        elif os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises for a name that is too long
            folders.append(argument)
            inside = find_audio(path, skip, is_asked_for)
            if not inside.files and not inside.unreadable and not include and not exclude:
                raise _no_audio(argument, inside.passed_over)
            passed_over.update(inside.passed_over)
            unreadable += inside.unreadable
            for file in inside.files:
                found.setdefault(identity(file), Input(file, path))
        else:
            one = Input(path.absolute() if path == STDIN else path)  # ./- names a file
            found.setdefault(identity(one.path), one)
    if not found:
        raise _nothing(folders, unreadable)
    several = bool(folders) or listed or len(found) > 1
    return GivenInputs(tuple(found.values()), several, tuple(unreadable), passed_over)


def _no_audio(folder: str, passed_over: Mapping[str, int]) -> UsageError:
    n = sum(passed_over.values())
    suffix = min((suffix for suffix in passed_over if suffix), key=lambda one: (-passed_over[one], one), default="")
    over = f"; {counted(n, 'file')} of other kinds {'was' if n == 1 else 'were'} passed over" if n else ""
    hint = f"if some are recordings, add --include '*{one_line(suffix)}', for example" if suffix else None
    return UsageError(f"no audio files in the folder {printable(folder)}{over}", hint=hint, code="no_audio")


def check_working_directory() -> None:
    """Raise UsageError where the working directory is gone, to which names of files are relative."""
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise no_working_directory() from error


def unreadable_message(one: Unreadable) -> str:
    """The message about a file or folder that could not be read."""
    what = "the folder " if one.is_folder else ""
    return f"{what}{one_line(str(one.path))} cannot be read: {one.reason}"


def _nothing(folders: Sequence[str], unreadable: Sequence[Unreadable]) -> UsageError | AudioError:
    if unreadable:
        code = "permission" if "permission" in unreadable[0].reason else None
        return AudioError(unreadable_message(unreadable[0]), code=code)
    where = "the folder " + one_line(folders[0]) if len(folders) == 1 else "the folders"
    return UsageError(f"--include and --exclude select no audio files in {where}", code="no_audio")


def skip_by(include: Sequence[str], exclude: Sequence[str]) -> Skip:
    """What --include and --exclude leave out of a folder, by the patterns of a .gitignore; --exclude wins.

    Names are compared in Unicode's normal form C. Raises UsageError for what is not a pattern, or matches nothing.
    """
    if not include and not exclude:  # the library that knows patterns takes its time to load
        return lambda relative, is_folder: False
    wanted, unwanted = _spec("--include", include), _spec("--exclude", exclude)

    def skip(relative: str, is_folder: bool) -> bool:
        path = unicodedata.normalize("NFC", relative) + ("/" if is_folder else "")
        if unwanted.match_file(path):
            return True
        return bool(include) and not is_folder and not wanted.match_file(path)

    return skip


def asked_for(include: Sequence[str]) -> Asked:
    """What --include takes whatever its suffix: what a pattern matches that names files by it (`*.dat`, `talk.*`).

    A pattern of folders alone (`calls/`, `calls/**`) says nothing of which files in them are recordings.
    """
    if not include:
        return lambda relative: False
    wanted = _spec("--include", [one for one in include if "." in one.rstrip("/").rpartition("/")[2].lstrip(".")])
    return lambda relative: wanted.match_file(unicodedata.normalize("NFC", relative))


def _spec(option: str, patterns: Sequence[str]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec

    lines = []
    for pattern in patterns:
        # A .gitignore has no `./`, but shells complete it.
        line = unicodedata.normalize("NFC", pattern[1:] if pattern.startswith("./") else pattern)
        _check_pattern(option, pattern, line)
        lines.append(line)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of `re`, about a set within a set
        return GitIgnoreSpec.from_lines(lines)


def _check_pattern(option: str, pattern: str, line: str) -> None:
    """Raise UsageError for a line of a .gitignore that is empty, a comment or malformed."""
    from pathspec import GitIgnoreSpec

    shown = f"{option} {one_line(pattern)!r}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of `re`, about a set within a set
            parsed = GitIgnoreSpec.from_lines([line]).patterns if line.strip() else []
    except (ValueError, re.error) as error:
        reason = f": {error.msg}" if isinstance(error, re.error) else ""
        raise UsageError(f"{shown} is not a valid pattern{reason}") from error
    if all(one.include is None for one in parsed):
        raise UsageError(f"{shown} matches nothing", hint="use '*.mp3', 'calls/**' or 'old/', for example")
