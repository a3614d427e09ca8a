"""Whether a container itself leads from one packet to the next.

ffmpeg looks for the next one after damage, and says nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moss_cli.audio.layout.matroska import block_is_last, blocks_join
from moss_cli.audio.layout.packets import asf_packets_join, flv_tags_join, ts_packets_join
from moss_cli.audio.source import FilePart

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.packet import Packet

_LATE_S = 0.1  # by which a packet comes after the end of the one before, so that it is worth a look
_AVI_HEADER = 8  # bytes before the content of a chunk


class Continuity:
    """Follows the packets of one stream of a file in ffmpeg's `form`."""

    def __init__(self, file: FilePart, form: str, stream: AudioStream) -> None:
        self._file, self._form = file, form
        self._index: dict[int, int] = {}  # of AVI, which has no times in its packets: by their places
        if form == "avi":
            self._index = {entry.pos + _AVI_HEADER: entry.timestamp for entry in stream.index_entries}
        first, second, *_ = [*stream.index_entries, None, None]
        self._in_bytes = bool(first and second and second.timestamp - first.timestamp == first.size)
        self.ahead_s = 0.0  # by how much the last packet is later than its timestamp
        self._before: tuple[int, int] | None = None  # where the last packet begins in the file, and when it ends
        self._torn = False

    def follow(self, packet: Packet[AudioStream]) -> None:
        """Take a packet, and see what lies between it and the last one where it comes late."""
        if packet.pts is None or packet.pos is None or packet.time_base is None or not packet.size:
            return
        if packet.pos in self._index:
            scale = (packet.duration or 0) / packet.size if self._in_bytes else 1
            ahead_s = float((self._index[packet.pos] * scale - packet.pts) * packet.time_base)
            self._torn = self._torn or ahead_s > self.ahead_s + _LATE_S
            self.ahead_s = max(ahead_s, 0.0)
        before, self._before = self._before, (packet.pos, packet.pts + (packet.duration or 0))
        if before and packet.pos > before[0] and (packet.pts - before[1]) * packet.time_base > _LATE_S:
            self._torn = self._torn or not self._leads(before[0], packet.pos)

    def torn(self) -> bool:
        """Whether the file was damaged since this was last asked."""
        torn, self._torn = self._torn, False
        return torn

    def is_last(self) -> bool:
        """Whether nothing is damaged behind the last packet."""
        if self._before is None:
            return True
        position, size = self._before[0], self._file.size
        if self._form == "matroska,webm":
            return block_is_last(self._file, position)
        return self._leads(position, size)

    def _leads(self, one: int, other: int) -> bool:
        if self._form == "matroska,webm":
            return blocks_join(self._file, one, other)
        if self._form == "asf":
            return asf_packets_join(self._file, one, other)
        if self._form == "mpegts":
            return ts_packets_join(self._file, one, other)
        if self._form == "flv":
            return flv_tags_join(self._file, one, other)
        return True
