"""One codec of ffmpeg's: which decoder is used, what it may take, and how late its output comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.packet import Packet

_LOSSLESS = ("pcm_", "flac", "alac", "ape", "tta", "wavpack", "tak", "truehd", "mlp", "wmalossless")
_PLAIN = ("pcm_", "adpcm_", "dsd_")  # in which zeros are silence
_CHECKED = {"tta", "wavpack", "tak", "ape"}  # with checksums, at which ffmpeg looks if it is told to
_MOST_VALUES = 1 << 23  # of a frame, in all channels; the longest of a codec have a quarter of it
_ZEROS = 16  # bytes in a packet that is nothing but zeros, from which it is damage
# ffmpeg's own AMR decoders know no comfort noise (DTX), and call the frames of a pause broken.
_BETTER = {"amrnb": "libopencore_amrnb", "amrwb": "libopencore_amrwb"}


class Codec:
    """Decodes the packets of a stream of a container in ffmpeg's `form`.

    Some codecs give nothing for their first packet, and what was in it with the second, at the second's time. ffmpeg's
    WMA leaves out one more, which is not encoder's delay but sound: the next stays where it was. Ogg counts rightly.
    """

    def __init__(self, stream: AudioStream, form: str) -> None:
        self._stream, self._form = stream, form
        self._context = context = stream.codec_context
        self.name = context.name
        self.lossy = not self.name.startswith(_LOSSLESS)
        self._checks_zeros = not self.name.startswith(_PLAIN)
        options = {"max_samples": str(_MOST_VALUES)}
        if self.name in _CHECKED:
            options["err_detect"] = "crccheck+explode"
        context.options = {**context.options, **options}
        self._replaced = _replacement(stream)
        self._first_pts: int | None = None
        self._n_empty = 0  # packets before the first frame that gave none
        self._late = 0
        self._begun = False
        self._skipped = 0  # samples of the first packet
        self._head = context.extradata or b""

    def decode(self, packet: Packet[AudioStream]) -> list[AudioFrame]:
        """The frames of a packet. FFmpegError where it cannot be decoded."""
        from av.error import InvalidDataError

        if self._checks_zeros and packet.size >= _ZEROS and not any(bytes(packet)):
            raise InvalidDataError(0, "nothing but zeros")
        frames = self._replaced.decode(packet) if self._replaced else packet.decode()
        if not self._begun and packet.pts is not None:
            self._begin(packet, frames)
        return frames

    def _begin(self, packet: Packet[AudioStream], frames: list[AudioFrame]) -> None:
        if self._first_pts is None:
            self._first_pts = packet.pts
            skips = packet.has_sidedata("skip_samples")
            self._begun = skips or packet.is_discard  # the container knows of the delay
            if skips:
                self._skipped = int.from_bytes(bytes(packet.get_sidedata("skip_samples"))[:4], "little")
        if not frames:
            self._n_empty += 1
            return
        self._begun = True
        if (
            self._form != "ogg"
            and frames[0].pts is not None
            and packet.duration
            and (self._n_empty or self.name.startswith("wma"))
        ):
            late = frames[0].pts - (self._first_pts or 0)
            in_order = 0 < late <= (self._n_empty + 1) * packet.duration
            self._late = late - max(self._n_empty - 1, 0) * packet.duration if in_order else 0

    def late(self, sample_rate: int) -> int:
        """By how many samples the timestamps of frames come after what they hold."""
        time_base = self._stream.time_base
        return round(self._late * time_base * sample_rate) if time_base is not None else 0

    def n_to_skip(self, n_first: int) -> int:
        """Samples at the start of the first frame, of `n_first`, that are the encoder's delay and were not left out.

        ffmpeg's muxer counts the delay of Opus at the rate of the source in the container, but rightly in the codec's
        own header.
        """
        if not self.name.endswith("opus") or not self._skipped or not self._head.startswith(b"OpusHead"):
            return 0
        delay = int.from_bytes(self._head[10:12], "little")
        return min(max(delay - self._skipped, 0), n_first)


def _replacement(stream: AudioStream):  # type: ignore[no-untyped-def]
    from av.codec import CodecContext
    from av.codec.codec import UnknownCodecError

    name = _BETTER.get(stream.codec_context.name)
    if name is None:
        return None
    try:
        context = CodecContext.create(name, "r")
    except UnknownCodecError:
        return None
    context.extradata = stream.codec_context.extradata
    return context
