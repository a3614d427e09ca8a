"""Which files of a folder have a stem in common, by what the folder holds and nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

from moss_cli.audio.find import is_audio_name

Key = Callable[[str], str]  # a name as names are compared


class Siblings:
    """The recordings that lie beside inputs, looked up once a folder."""

    def __init__(self, given: Iterable[PurePosixPath], key: Key) -> None:
        """`given`: the absolute paths of the inputs, which are all that is known of a folder that cannot be listed."""
        self._key = key
        self._given: dict[str, set[str]] = {}
        for path in given:
            self._given.setdefault(str(path.parent), set()).add(path.name)
        self._held: dict[str, dict[str, set[str]]] = {}

    def share(self, path: PurePosixPath) -> bool:
        """Whether the folder of `path` holds another recording of the same stem, or one whose whole name is that stem.

        A file that is no recording by its name shares a stem with recordings, and with others like it that are given,
        but does not change what a recording is called.
        """
        folder, stem = str(path.parent), self._key(stem_of(path.name))
        if folder not in self._held:
            self._held[folder] = self._look(folder)
        others = self._held[folder].get(stem, set()) - {path.name}
        if not is_audio_name(Path(path.name)):
            others |= {name for name in self._given[folder] - {path.name} if self._key(stem_of(name)) == stem}
        return bool(others)

    def _look(self, folder: str) -> dict[str, set[str]]:
        """The names of a folder's recordings, by their stems and by themselves."""
        try:
            with os.scandir(folder) as entries:
                names = {entry.name for entry in entries if is_audio_name(Path(entry.name)) and entry.is_file()}
        except OSError:
            names = {name for name in self._given[folder] if is_audio_name(Path(name))}
        held: dict[str, set[str]] = {}
        for name in names:
            for key in (self._key(stem_of(name)), self._key(name)):
                held.setdefault(key, set()).add(name)
        return held


def stem_of(name: str) -> str:
    """A file's name without its suffix."""
    return os.path.splitext(name)[0]  # noqa: PTH122 - pathlib's answer for "talk." depends on Python's version
