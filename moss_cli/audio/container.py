"""Containers that libsndfile does not know, streamed with PyAV: m4a, mp4, aac, mkv, webm, wma, ts, amr and more.

Nothing but the bytes of the open file is ever read: ffmpeg gets no name and no protocol, only demuxers of containers
that hold their own media are allowed, and a demuxer that asks for another file is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from moss_cli.audio.layout.base import FileLayout
from moss_cli.audio.packets import ContainerDecoder
from moss_cli.audio.source import FilePart, PartReader
from moss_cli.errors import AudioError, UsageError, counted
from moss_cli.schema import Notice

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer

# No playlist (hls, dash, concat, imf), no description of a stream (sdp), no device, filter graph (lavfi), image
# sequence, subtitle or headerless format: a demuxer stands here only if all that it plays lies in the file itself.
_DEMUXERS = """
    aac ac3 aiff amr amrnb amrwb ape asf au avi caf dsf dts dtshd eac3 flac flv iff loas matroska,webm mlp
    mov,mp4,m4a,3gp,3g2,mj2 mp3 mpc mpc8 mpeg mpegts mxf nut ogg oma rm tak truehd tta voc w64 wav wv xwma
"""
_MOST_TRACKS = 16  # that are tried; chosen
_OPTIONS = {"format_whitelist": ",".join(_DEMUXERS.split()), "protocol_whitelist": ""}


def open_container(file: FilePart, layout: FileLayout, track: int | None = None) -> ContainerDecoder:
    """A decoder on an audio track, by its number from 1; None: the default one, or the first other that can be decoded.

    AudioError where ffmpeg does not know the content, its format is not allowed, it has no audio stream, or nothing in
    any can be decoded; UsageError for a track that the file does not have.
    """
    failure = None
    for number in range(1 if track else _MOST_TRACKS):
        container = _opened(file, layout)
        try:
            streams = _in_order(file, container) if track is None else [_track(file, container, track)]
            if number < len(streams):
                notices = list(_other_tracks(file, container, streams[number])) if track is None else []
                return ContainerDecoder(file, container, streams[number], layout, notices)
        except AudioError as error:
            container.close()
            failure = failure or error
            if error.code == "no_audio_stream":
                break
        except BaseException:
            container.close()
            raise
        else:
            container.close()
            break
    raise failure or AudioError(f"{file.name} is encrypted, or in a codec that cannot be decoded", code="codec")


def _opened(file: FilePart, layout: FileLayout) -> InputContainer:
    import av

    options = _OPTIONS | ({"ignore_editlist": "1"} if layout.edits else {})
    try:
        return av.open(PartReader(file), "r", options=options, io_open=_refuse_to_open, metadata_errors="replace")
    except av.error.FFmpegError as error:
        raise _not_audio(file, layout) from error
    except (OSError, ValueError, EOFError, MemoryError) as error:
        raise AudioError(f"{file.name} cannot be read: {error}", code="unreadable") from error


def _not_audio(file: FilePart, layout: FileLayout) -> AudioError:
    if not layout.has_index:
        return AudioError(f"{file.name} is cut short: its index (moov) is missing", code="truncated")
    head = file.read_at(0, 64).lstrip(b"\xef\xbb\xbf \t\r\n")
    lists = head.startswith((b"#EXTM3U", b"ffconcat", b"[playlist]", b"<?xml", b"v=0"))
    hint = "playlists and scripts are not followed: give the audio files themselves" if lists else None
    return AudioError(f"{file.name} is not audio that can be read", hint=hint, code="not_audio")


def _in_order(file: FilePart, container: InputContainer) -> list[AudioStream]:
    """The default audio stream, then the others, without those that have no decoder."""
    from av.stream import Disposition

    streams = container.streams.audio
    if not streams:
        raise AudioError(f"{file.name} has no audio stream", code="no_audio_stream")
    in_order = sorted(streams, key=lambda stream: not stream.disposition & Disposition.default)
    return [stream for stream in in_order if stream.codec_context is not None]


def _track(file: FilePart, container: InputContainer, track: int) -> AudioStream:
    streams = container.streams.audio
    if not streams:
        raise AudioError(f"{file.name} has no audio stream", code="no_audio_stream")
    if track > len(streams):
        raise no_such_track(file.name, track, [_about(stream) for stream in streams])
    if streams[track - 1].codec_context is None:
        message = f"track {track} of {file.name} is encrypted, or in a codec that cannot be decoded"
        raise AudioError(message, code="codec")
    return streams[track - 1]


def _other_tracks(file: FilePart, container: InputContainer, stream: AudioStream) -> Iterator[Notice]:
    tracks = container.streams.audio
    if len(tracks) > 1:
        used = f"only track {1 + tracks.index(stream)} is used; --track chooses another"
        yield Notice(code="other_tracks", message=f"{file.name} has {len(tracks)} audio tracks; {used}")


def no_such_track(name: str, track: int, tracks: Sequence[str]) -> UsageError:
    """The error of a track, from 1, that a file does not have; `tracks`: what is known of those it has."""
    known = [f"{number} ({about})" if about else str(number) for number, about in enumerate(tracks, 1)]
    has = "1 audio track" if len(tracks) == 1 else f"{len(tracks)} audio tracks, {', '.join(known)}"
    hint = "leave --track out" if len(tracks) == 1 else f"--track takes 1 to {len(tracks)} for it"
    return UsageError(f"{name} has {has}; there is no track {track}", hint=hint, code="track")


def _about(stream: AudioStream) -> str:
    """The language of a track, and its channels."""
    language = stream.metadata.get("language", "")
    named = [language] if re.fullmatch("[a-z]{2,3}", language) and language != "und" else []
    n_channels = stream.codec_context.channels if stream.codec_context is not None else 0
    return ", ".join([*named, *([counted(n_channels, "channel")] if n_channels else [])])


def _refuse_to_open(url: str, flags: int, options: dict[str, Any]) -> NoReturn:
    raise PermissionError("an audio file may not refer to other files")
