"""Which files of a folder are audio, by name."""

from __future__ import annotations

import os
from pathlib import Path

_AUDIO = """
    3ga aac ac3 aif aifc aiff alac amr ape asf au awb caf dts eac3 ec3 flac m4a m4b m4r mka mp1 mp2 mp3 mpa mpc mpga
    oga ogg opus rf64 snd sph spx tak tta voc w64 wav wave weba wma wv
"""
_VIDEO = "3g2 3gp avi flv m2ts m4v mkv mov mp4 mpeg mpg mts mxf ogv qt rm rmvb ts vob webm wmv"
_SUFFIXES = frozenset(f".{name}" for name in f"{_AUDIO} {_VIDEO}".split())


def is_audio_name(path: Path) -> bool:
    """Whether a folder search takes this file: the suffix is that of an audio or video format that can be read."""
    return path.suffix.lower() in _SUFFIXES


def find_audio(folder: Path) -> list[Path]:
    """Every audio or video file below `folder`, sorted.

    Hidden files and folders are left out, as are folders that may not be listed. Symbolic links to folders are
    followed after the real folders, each folder once, so that loops end.
    """
    found: list[Path] = []
    seen: set[tuple[int, int]] = set()
    roots = [folder]
    while roots:
        links: list[Path] = []
        for root in roots:
            _walk(root, found, links, seen)
        roots = sorted(links)
    return sorted(found)


def _walk(root: Path, found: list[Path], links: list[Path], seen: set[tuple[int, int]]) -> None:
    for current, folders, files in os.walk(root):
        if _visited(current, seen):
            folders.clear()
            continue
        here = Path(current)
        visible = sorted(name for name in folders if not name.startswith("."))
        links += [here / name for name in visible if (here / name).is_symlink()]
        folders[:] = [name for name in visible if not (here / name).is_symlink()]
        found += [
            here / name
            for name in files
            if not name.startswith(".") and is_audio_name(Path(name)) and (here / name).is_file()
        ]


def _visited(folder: str, seen: set[tuple[int, int]]) -> bool:
    try:
        status = Path(folder).stat()
    except OSError:  # it vanished meanwhile
        return True
    key = (status.st_dev, status.st_ino)
    if key in seen:
        return True
    seen.add(key)
    return False
