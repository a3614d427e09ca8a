"""Which files of a folder are audio, by name."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_AUDIO = """
    3ga aac ac3 adts aif aifc aiff alac amr ape asf au avr awb bwf caf dff dsf dts dtshd eac3 ec3 f4a f4b flac htk iff
    ircam m2a m4a m4b m4r mac mka mlp mogg mp1 mp2 mp3 mpa mpc mpga mpp nist oga ogg oma opus paf pvf qta rf64 sf snd
    sph spx svx tak thd truehd tta voc w64 wav wave weba wma wv
"""
_VIDEO = """
    3g2 3gp 3gp2 3gpp 3gpp2 amv avi divx dvr-ms f4p f4v flv ismv m2p m2t m2ts m4v mk3d mkv mod mov mp4 mp4v
    mpe mpeg mpg mts mxf nut ogm ogv ogx qt rm rmvb tod tp trp ts vob vro webm wmv xvid
"""
AUDIO_SUFFIXES = frozenset(f".{name}" for name in f"{_AUDIO} {_VIDEO}".split())

Skip = Callable[[str, bool], bool]  # path relative to the searched folder, and whether it is a folder
Asked = Callable[[str], bool]  # path relative to the searched folder


@dataclass(frozen=True)
class Unreadable:
    """Something below a folder that could not be looked at, and why."""

    path: Path
    reason: str
    is_folder: bool


@dataclass(frozen=True)
class FolderContents:
    """The audio and video files below a folder, and what could not be looked at; both sorted by path.

    `passed_over`: how many files were left out as no recordings, by their suffixes.
    """

    files: tuple[Path, ...]
    unreadable: tuple[Unreadable, ...]
    passed_over: Mapping[str, int] = field(default_factory=dict)


def is_audio_name(path: Path) -> bool:
    """Whether a file found in a folder is taken: its suffix is that of an audio or video format that can be read."""
    return path.suffix.lower() in AUDIO_SUFFIXES


def find_audio(
    folder: Path, skip: Skip = lambda relative, is_folder: False, is_asked_for: Asked = lambda relative: False
) -> FolderContents:
    """Find the audio and video files below `folder`, leaving out the files and whole folders that `skip` names.

    What `is_asked_for` names is taken whatever its suffix.

    Hidden files and folders are left out. Symbolic links to folders are followed after the real folders, each folder
    once, so that loops end. Folders that may not be listed and links that lead nowhere are `unreadable`.
    """
    walk = _Walk(skip, is_asked_for)
    walk.through([("", os.fspath(folder))])
    while walk.links:
        links, walk.links = sorted(walk.links), []
        walk.through(links)
    unreadable = tuple(sorted(walk.unreadable, key=lambda one: one.path))
    return FolderContents(tuple(sorted(walk.files)), unreadable, walk.passed_over)


@dataclass
class _Walk:
    """A search under way. Folders wait in a list and not on the stack, so that no depth is too deep."""

    skip: Skip
    is_asked_for: Asked
    passed_over: Counter[str] = field(default_factory=Counter)
    files: list[Path] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)  # to folders: relative, whole path
    unreadable: list[Unreadable] = field(default_factory=list)
    seen: set[tuple[int, int]] = field(default_factory=set)

    def through(self, waiting: list[tuple[str, str]]) -> None:
        while waiting:
            relative, folder = waiting.pop()
            try:
                for entry in self._entries(folder):
                    self._take(entry, relative + entry.name, waiting)
            except FileNotFoundError:  # it vanished meanwhile
                pass
            except OSError as error:
                self.unreadable.append(Unreadable(Path(folder), _reason(error), is_folder=True))

    def _entries(self, folder: str) -> Iterator[os.DirEntry[str]]:
        """What is in a folder that was not seen yet and is not hidden."""
        status = os.stat(folder)  # noqa: PTH116 - a Path for each folder takes longer than the rest
        key = (status.st_dev, status.st_ino)
        if key not in self.seen:
            self.seen.add(key)
            with os.scandir(folder) as entries:
                yield from (entry for entry in entries if not entry.name.startswith("."))

    def _take(self, entry: os.DirEntry[str], relative: str, waiting: list[tuple[str, str]]) -> None:
        try:
            is_folder = entry.is_dir()
        except OSError as error:  # a link that leads in circles, or through a locked folder
            if is_audio_name(Path(entry.name)) and not self.skip(relative, False):
                self.unreadable.append(Unreadable(Path(entry.path), _reason(error), is_folder=False))
            return
        if self.skip(relative, is_folder):
            return
        if not is_folder and not is_audio_name(Path(entry.name)) and not self.is_asked_for(relative):
            self.passed_over[Path(entry.name).suffix.lower()] += entry.is_file()
            return
        if is_folder:
            (self.links if entry.is_symlink() else waiting).append((relative + "/", entry.path))
        elif entry.is_file():
            self.files.append(Path(entry.path))
        elif entry.is_symlink() and not os.path.exists(entry.path):  # noqa: PTH110
            self.unreadable.append(Unreadable(Path(entry.path), "a broken link", is_folder=False))


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
