"""Links from a document to the recording that it is about, and to a time in it."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from moss_cli.schema import InputInfo


@dataclass(frozen=True)
class Place:
    """Where a document will stand: in a file of `folder`, or (None) on stdout, and whether it is all of it."""

    folder: Path | None = None
    is_alone: bool = True


def link_to(recording: InputInfo | None, place: Place) -> str | None:
    """A relative reference (RFC 3986) to a recording; None for what is no file, as stdin.

    From a file it leads from that file's folder, from stdout it is the path as it was given.
    """
    if recording is None or recording.path == "-":
        return None
    raw = base64.b64decode(recording.path_bytes) if recording.path_bytes else recording.path.encode(errors="replace")
    if place.folder is not None:
        folder = os.path.realpath(os.fsencode(place.folder))  # `..` leads out of the folder that a link leads to
        raw = os.path.relpath(os.path.abspath(raw), folder)  # noqa: PTH100 - bytes
    elif raw.startswith(b"//"):
        raw = b"/" + raw.lstrip(b"/")  # two would name a host
    return quote(raw)


def at_time(link: str, start_ms: int) -> str:
    """The link to a time in the recording (W3C Media Fragments URI 1.0): `talk.mp3#t=61.5`."""
    seconds, ms = divmod(start_ms, 1000)
    return f"{link}#t={seconds}" + (f".{ms:03d}".rstrip("0") if ms else "")
