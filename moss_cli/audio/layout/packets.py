"""Containers of packets that say where the next one begins: ASF (WMA), FLV and MPEG transport streams.

Sources: the ASF and FLV specifications, ISO/IEC 13818-1.
"""

from __future__ import annotations

from moss_cli.audio.layout.base import MAX_CHUNKS, FileLayout, Readable, found, promise

_ASF = bytes.fromhex("3026B2758E66CF11A6D900AA0062CE6C")  # the header object
_ASF_FILE = bytes.fromhex("A1DCAB8C47A9CF118EE400C00C205365")  # the file properties in it
_ASF_DATA = bytes.fromhex("3626B2758E66CF11A6D900AA0062CE6C")
_ASF_DATA_HEADER = 50
_TS_BYTES = (188, 192, 204)
_MOST_BYTES = 1 << 24  # looked at between two packets of audio
_FLV_TAGS = (8, 9, 18)  # audio, video, script data


def asf(file: Readable) -> FileLayout:
    header = file.read_at(0, 1 << 16)
    at = header.find(_ASF_FILE)
    if at < 0 or len(header) < at + 92 or header[at + 88] & 1:  # bit 0: a broadcast, whose size is not known
        return FileLayout()
    return FileLayout(cut=promise(file, 0, int.from_bytes(header[at + 40 : at + 48], "little")).cut, end=_asf_end(file))


def _asf_end(file: Readable) -> int | None:
    """Where a second ASF file begins behind the objects of the first."""
    offset = 0
    for _ in range(MAX_CHUNKS):
        header = file.read_at(offset, 24)
        if len(header) < 24 or (offset and header[:16] == _ASF):
            return offset if len(header) == 24 else None
        size = int.from_bytes(header[16:], "little")
        if size < 24:
            return None
        offset += size
    return None


def asf_packets_join(file: Readable, start: int, end: int) -> bool:
    """Whether the data packets of an ASF file from `start` to the one at `end` are all as long, and marked as such."""
    header = file.read_at(0, 1 << 16)
    at, data = header.find(_ASF_FILE), header.find(_ASF_DATA)
    if at < 0 or data < 0:
        return True
    n_bytes = int.from_bytes(header[at + 92 : at + 96], "little")  # the smallest packet, which is also the largest
    n_packets = int.from_bytes(header[data + 40 : data + 48], "little")
    first = data + _ASF_DATA_HEADER
    if n_bytes < 16:
        return True
    last = min((end - first) // n_bytes + 1, n_packets)  # with the one at `end`: ffmpeg has read on from there
    for k in range(max(start - first, 0) // n_bytes, last):
        packet = file.read_at(first + k * n_bytes, 3)
        if len(packet) == 3 and (not packet[0] & 0x80 or packet[0] & 0x60 or packet[1:] != b"\0\0"):
            return False
    return True


def ts(file: Readable) -> FileLayout:
    """Packets that are all as long: a file that ends within one was cut."""
    head = file.read_at(0, 3 * max(_TS_BYTES) + 5)
    for n_bytes in _TS_BYTES:
        first = 4 if n_bytes == 192 else 0  # a time stands before each packet of an m2ts
        if all(head[at : at + 1] == b"\x47" for at in range(first, first + 3 * n_bytes, n_bytes)):
            return FileLayout(cut=file.size % n_bytes > 0)
    return FileLayout()


def ts_packets_join(file: Readable, start: int, end: int) -> bool:
    """Whether packet follows packet of a transport stream from `start` to `end`, in one of its three lengths."""
    for n_bytes in _TS_BYTES:
        places = range(start, min(end, start + _MOST_BYTES), n_bytes)
        if all(file.read_at(at, 1) == b"\x47" for at in places):
            return True
    return False


def flv(file: Readable) -> FileLayout:
    """Every tag is followed by its own length: at the end of a whole file, that leads back to a tag of this length."""
    length = int.from_bytes(file.read_at(file.size - 4, 4), "big")
    tag = file.read_at(max(file.size - 4 - length, 0), 11)
    end = next((at for at in found(file, b"FLV\x01", 9) if file.read_at(at + 5, 4) == b"\0\0\0\x09"), None)
    return FileLayout(cut=length != 11 + int.from_bytes(tag[1:4], "big"), end=end)


def flv_tags_join(file: Readable, start: int, end: int) -> bool:
    """Whether tag follows tag from `start` to `end`."""
    while start < end:
        tag = file.read_at(start, 11)
        if len(tag) < 11 or tag[0] & 0x1F not in _FLV_TAGS:
            return False
        length = 11 + int.from_bytes(tag[1:4], "big")
        if int.from_bytes(file.read_at(start + length, 4), "big") != length:
            return False
        start += length + 4
    return True
