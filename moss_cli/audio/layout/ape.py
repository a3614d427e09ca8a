"""Monkey's Audio: how many samples a frame is said to hold, since the decoder takes memory for all of them at once.

Source: the header as Monkey's Audio SDK writes it, in its old form (before version 3.98) and its new one.
"""

from __future__ import annotations

import struct

from moss_cli.audio.layout.base import FileLayout, Readable
from moss_cli.errors import AudioError

_MOST_BLOCKS = 1 << 21  # a frame; no encoder writes more than 73728 * 16


def ape(file: Readable) -> FileLayout:
    """AudioError where a frame is said to be longer than any is."""
    head = file.read_at(0, 32).ljust(32, b"\0")
    (version,) = struct.unpack("<H", head[4:6])
    if version >= 3980:
        header_at = int.from_bytes(head[8:12], "little")
        header = file.read_at(header_at, 12).ljust(12, b"\0")
        a_frame, last_frame = struct.unpack("<II", header[4:12])
    else:
        level, last_frame = struct.unpack("<H20xI", head[6:32])
        thorough = version >= 3900 or (version >= 3800 and level >= 4000)
        a_frame = 73728 * 4 if version >= 3950 else 73728 if thorough else 9216
    if a_frame > _MOST_BLOCKS or last_frame > a_frame:
        raise AudioError(f"{file.name} is damaged: its header gives frames of an absurd length", code="corrupt")
    return FileLayout()
