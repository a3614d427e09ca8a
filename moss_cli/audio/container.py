"""Containers that libsndfile does not know, streamed with PyAV: m4a, mp4, aac, mkv, webm, wma, ts, amr and more.

Nothing but the bytes of the open file is ever read: ffmpeg gets no name and no protocol, only demuxers of containers
that hold their own media are allowed, and a demuxer that asks for another file is refused.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, NoReturn

from moss_cli.audio.headers import HeaderInfo
from moss_cli.audio.packets import ContainerDecoder
from moss_cli.audio.source import OpenedFile
from moss_cli.errors import AudioError

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer

# No playlist (hls, dash, concat, imf), no description of a stream (sdp), no device, filter graph (lavfi), image
# sequence, subtitle or headerless format: a demuxer stands here only if all that it plays lies in the file itself.
_DEMUXERS = """
    aac ac3 aiff amr amrnb amrwb ape asf au avi caf dsf dts dtshd eac3 flac flv iff loas matroska,webm mlp
    mov,mp4,m4a,3gp,3g2,mj2 mp3 mpc mpc8 mpeg mpegts mxf nut ogg oma rm tak truehd tta voc w64 wav wv xwma
"""
_OPTIONS = {"format_whitelist": ",".join(_DEMUXERS.split()), "protocol_whitelist": ""}


def open_container(file: OpenedFile, headers: HeaderInfo) -> ContainerDecoder:
    """A decoder on the first (default) audio stream.

    AudioError where ffmpeg does not know the content, its format is not allowed, it has no audio stream, or nothing in
    that stream can be decoded.
    """
    import av

    try:
        container = av.open(_Bytes(file), "r", options=_OPTIONS, io_open=_refuse_to_open, metadata_errors="replace")
    except av.error.FFmpegError as error:
        raise _not_audio(file, headers) from error
    except (OSError, ValueError, EOFError, MemoryError) as error:
        raise AudioError(f"{file.name} cannot be read: {error}", code="unreadable") from error
    try:
        return ContainerDecoder(file, container, _audio_stream(file, container), headers)
    except BaseException:
        container.close()
        raise


def _not_audio(file: OpenedFile, headers: HeaderInfo) -> AudioError:
    if not headers.has_index:
        return AudioError(f"{file.name} is cut short: its index (moov) is missing", code="truncated")
    head = file.read_at(0, 64).lstrip(b"\xef\xbb\xbf \t\r\n")
    lists = head.startswith((b"#EXTM3U", b"ffconcat", b"[playlist]", b"<?xml", b"v=0"))
    hint = "playlists and scripts are not followed: give the audio files themselves" if lists else None
    return AudioError(f"{file.name} is not audio that can be read", hint=hint, code="not_audio")


def _audio_stream(file: OpenedFile, container: InputContainer) -> AudioStream:
    from av.stream import Disposition

    streams = container.streams.audio
    if not streams:
        raise AudioError(f"{file.name} has no audio stream", code="no_audio_stream")
    stream = next((s for s in streams if s.disposition & Disposition.default), streams[0])
    if stream.codec_context is None:
        raise AudioError(f"{file.name} is encrypted, or in a codec that cannot be decoded", code="codec")
    return stream


def _refuse_to_open(url: str, flags: int, options: dict[str, Any]) -> NoReturn:
    raise PermissionError("an audio file may not refer to other files")


class _Bytes:
    """The file for PyAV: `read`, `seek` and `tell`, and no `name`, which ffmpeg would take for a path."""

    def __init__(self, file: OpenedFile) -> None:
        self._file = file
        self._position = 0

    def read(self, n_bytes: int = -1) -> bytes:
        data = self._file.read_at(self._position, n_bytes if n_bytes >= 0 else self._file.size)
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._file.size}[whence]
        self._position = max(start + offset, 0)
        return self._position

    def tell(self) -> int:
        return self._position
