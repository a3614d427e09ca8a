"""What a container says of time: how long a stream is, and how finely its timestamps place a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moss_cli.audio.layout.base import FileLayout

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer

MP4, MATROSKA = "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"  # as ffmpeg calls them

# Whose headers give the length. The others' is ffmpeg's guess from the bit rate, and so is that of a cut ASF or AVI.
_DECLARE_LENGTH = {MP4, MATROSKA, "flv", "flac", "wav", "w64", "caf", "aiff", "mp3", "asf", "avi"}
_DECLARE_LENGTH |= {"ape", "tta", "wv", "tak", "mpc", "mpc8", "dsf", "iff"}
_DECLARE_END = {MATROSKA, "asf"}  # counted from 0, wherever the timestamps begin
_GUESSED_WHEN_CUT = {"asf", "avi"}

_EVEN_PACKETS = ("aac", "mp3")  # as many samples in each; the codec says how many
_OPUS_GRAIN = 120  # samples at 48 kHz; every Opus packet is a multiple of it long


def declared_s(container: InputContainer, stream: AudioStream, layout: FileLayout, begins_s: float) -> float | None:
    """Seconds from `begins_s`, the first timestamp, to the end; None where the container does not say."""
    form = container.format.name
    if layout.edits:
        return layout.edits[-1].at_s + layout.edits[-1].length_s
    if form not in _DECLARE_LENGTH or (form == "mp3" and not layout.counted):
        return None
    if layout.cut and form in _GUESSED_WHEN_CUT:
        return None
    assert stream.time_base is not None  # av gives every stream of an input one
    is_end = form in _DECLARE_END or layout.fragmented
    length_s = (container.duration or 0) / 1e6
    if stream.duration and stream.duration > 0:
        length_s = stream.duration * float(stream.time_base)
        if not is_end:
            length_s += (stream.start_time or 0) * float(stream.time_base) - begins_s
    length_s -= begins_s if is_end else 0.0
    if form == "avi":
        length_s = min(length_s, _indexed_s(stream) or length_s)
    return length_s if length_s > 0 else None


def _indexed_s(stream: AudioStream) -> float | None:
    """The end of the last chunk in the index of an AVI of plain samples, whose muxers round the length up."""
    entries, context = stream.index_entries, stream.codec_context
    bytes_per_s = (context.bit_rate or 0) / 8
    if not context.name.startswith("pcm_") or not len(entries) or not bytes_per_s:
        return None
    last = entries[len(entries) - 1]
    return (last.timestamp + last.size) / bytes_per_s


def seek_grain(form: str, stream: AudioStream, sample_rate: int) -> int | None:
    """To what multiple of samples a timestamp is to be rounded after a seek; None: it says too little to seek by.

    MP4 counts time in samples, though not rightly those of Vorbis. Matroska rounds to milliseconds, finer than the
    packets of codecs that always have as many samples in one. Elsewhere packets vary, or seeking gives a guess from the
    bit rate, so the file is decoded from its start.
    """
    time_base, codec = stream.time_base, stream.codec_context
    if form == MP4 and time_base is not None and time_base * sample_rate <= 1:
        return None if codec.name == "vorbis" else 1
    if form != MATROSKA:
        return None
    if codec.name.endswith("opus"):
        return _OPUS_GRAIN if sample_rate == 48000 else None
    return codec.frame_size or None if codec.name.startswith(_EVEN_PACKETS) else None
