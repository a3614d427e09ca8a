"""The packets of one audio stream, decoded and laid on the file's timeline."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import numpy as np

from moss_cli.audio.frames import FrameConverter, UnconvertibleFrame
from moss_cli.audio.headers import HeaderInfo, blocks_join
from moss_cli.audio.mpeg import count_samples
from moss_cli.audio.results import Samples
from moss_cli.audio.signal import check_rate
from moss_cli.audio.source import OpenedFile
from moss_cli.errors import AudioError, counted
from moss_cli.schema import Notice

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet

_MP4 = "mov,mp4,m4a,3gp,3g2,mj2"
_MATROSKA = "matroska,webm"
_LOSSLESS = ("pcm_", "flac", "alac", "ape", "tta", "wavpack", "tak", "truehd", "mlp", "wmalossless")

# Whose headers give the length. The others' is ffmpeg's guess from the bit rate, and so is that of a cut ASF or AVI.
_DECLARE_LENGTH = {_MP4, _MATROSKA, "flv", "flac", "wav", "w64", "caf", "aiff", "mp3", "asf", "avi"}
_GUESSED_WHEN_CUT = {"asf", "avi"}
# ffmpeg calls the last packet corrupt where the data does not fill it, as at the end of every WAV without a length.
_SHORT_AT_THE_END = {"wav", "w64", "aiff", "au", "caf"}

_JITTER_S = 0.1  # timestamps of capture devices wander by this much, and Matroska rounds them to a millisecond
_START_JITTER_S = 0.02
_MAX_GAP_S = 60.0  # of a file that does not say how long it is
_EVEN_PACKETS = ("aac", "mp3")  # as many samples in each; the codec says how many
_OPUS_GRAIN = 120  # samples at 48 kHz; every Opus packet is a multiple of it long


class ContainerDecoder:
    """Blocks of one audio stream as ffmpeg decodes them.

    Samples lie where the container's timestamps put them, counted from the start of the whole container: a video's
    sound that sets in late is preceded by silence, and holes are filled with it. Encoder delay is what the container
    says it is: a click comes out of m4a (edit list), webm and ogg (Opus pre-skip) and MP3 with a LAME tag on the sample
    it went in at; AVI, TS and raw ADTS have no place to say, and it comes 1024 (AAC) or 1105 (MP3) samples late.

    `declared_frames` is the length in the header, if it has one. After `blocks` has ended, `end_frame` is the length in
    frames, `cut_tail` says that the last packet was damaged, and `warnings` what else was.
    """

    exact = False
    failed = False

    def __init__(self, file: OpenedFile, container: InputContainer, stream: AudioStream, headers: HeaderInfo) -> None:
        self._file, self._container, self._stream = file, container, stream
        self._format = container.format.name
        tracks = container.streams.audio
        self._track = 1 + tracks.index(stream), len(tracks)
        self._n_bad = 0
        self._bad_from = self._bad_to = self._position = 0
        self._n_gaps = self._gap_frames = self._gap_from = self._gap_to = 0
        self._shift = 0  # of the timestamps, after they have jumped
        self._before: tuple[int, int] | None = None  # where a packet begins in the file, and when it ends
        self._torn = False  # something that is not Matroska lies between two packets of it
        self.cut_tail = False
        self.end_frame: int | None = None
        self._frames = self._decoded()
        self._first = self._first_frame(headers)
        self.sample_rate = self._first.sample_rate
        check_rate(file.name, self.sample_rate)
        self.channels = self._first.layout.nb_channels
        self._converter = FrameConverter(file.name, self.sample_rate)
        self.lossy = not stream.codec_context.name.startswith(_LOSSLESS)
        self.declared_frames = self._declared(headers)

    def _first_frame(self, headers: HeaderInfo) -> AudioFrame:
        for frame in self._frames:
            if self._format == "mpegts":  # a recording of a broadcast starts in the middle of a packet
                self._n_bad = 0
            return frame
        if headers.cut:
            raise AudioError(f"{self._file.name} is cut short before its first samples", code="truncated")
        if self._n_bad:
            message = f"{self._file.name} is encrypted or damaged: none of its audio can be decoded"
            raise AudioError(message, code="corrupt")
        raise AudioError(f"{self._file.name} contains no audio samples", code="no_samples")

    def _declared(self, headers: HeaderInfo) -> int | None:
        if self._format == "mp3" and not headers.counted:
            return count_samples(self._file)
        if self._format not in _DECLARE_LENGTH or (headers.cut and self._format in _GUESSED_WHEN_CUT):
            return None
        if self._stream.duration and self._stream.duration > 0:
            return self._place((self._stream.start_time or 0) + self._stream.duration)
        if self._container.duration and self._container.duration > 0:
            return round(self._container.duration / 1e6 * self.sample_rate)
        return None

    def _place(self, timestamp: int) -> int:
        """The frame at which a timestamp of the stream lies, from the start of the container."""
        time_base = self._stream.time_base
        assert time_base is not None  # av gives every stream of an input one
        origin_s = (self._container.start_time or 0) / 1e6
        return round((timestamp * float(time_base) - origin_s) * self.sample_rate)

    def blocks(self, first_frame: int) -> Iterator[Samples]:
        """[n, channels] float32 from `first_frame` to the end of what can be decoded."""
        held: list[Samples] = []
        n_held = 0
        for block in self._placed(first_frame):
            late = first_frame - (self._position - len(block))
            if late >= len(block):
                continue
            block = block[max(late, 0) :]
            if held and (n_held >= self.sample_rate or held[0].shape[1] != block.shape[1]):
                yield np.concatenate(held)
                held, n_held = [], 0
            held.append(block)
            n_held += len(block)
        if held:
            yield np.concatenate(held)
        self.end_frame = self._position

    def _placed(self, first_frame: int) -> Iterator[Samples]:
        """Decoded frames and the silence of holes, in order; `_position` is where the last one ends."""
        for frame, is_last in _marked(self._seeked(first_frame)):
            gap = 0 if frame.pts is None else self._gap(frame.pts)
            while gap > 0:
                silence = min(gap, self.sample_rate)
                gap -= silence
                self._position += silence
                yield np.zeros((silence, self.channels), np.float32)
            block = self._samples(frame)
            if is_last and self._format == _MP4 and self.declared_frames is not None:
                padding = self._position + len(block) - self.declared_frames
                if 0 < padding < len(block):  # ffmpeg does not cut the encoder's padding off the last frame of an mp4
                    block = block[:-padding]
            self._position += len(block)
            yield block

    def _seeked(self, first_frame: int) -> Iterator[AudioFrame]:
        """Frames from the start, or from shortly before `first_frame` where the timestamps can be trusted."""
        grain = self._seek_grain()
        if grain is None or first_frame < 2 * self.sample_rate or not self._seek(first_frame):
            yield self._first
        else:
            self._frames = self._decoded()
            for frame in self._frames:
                if frame.pts is not None:
                    phase = self._first.samples % grain
                    self._position = phase + round((self._place(frame.pts) - phase) / grain) * grain
                yield frame
                break
        yield from self._frames

    def _seek(self, first_frame: int) -> bool:
        from av.error import FFmpegError

        assert self._stream.time_base is not None
        seconds = first_frame / self.sample_rate + (self._container.start_time or 0) / 1e6
        try:
            self._container.seek(int(seconds / float(self._stream.time_base)), stream=self._stream)
        except FFmpegError:  # a damaged index
            return False
        return True

    def _seek_grain(self) -> int | None:
        """To what multiple of samples a timestamp is to be rounded after a seek; None: it says too little to seek by.

        MP4 counts time in samples. Matroska rounds to milliseconds, finer than the packets of codecs that always have
        as many samples in one. Elsewhere packets vary, or seeking gives a guess from the bit rate, so the file is
        decoded from its start.
        """
        time_base = self._stream.time_base
        if self._format == _MP4 and time_base is not None and time_base * self.sample_rate <= 1:
            return 1
        if self._format != _MATROSKA:
            return None
        codec = self._stream.codec_context
        if codec.name.endswith("opus"):
            return _OPUS_GRAIN if self.sample_rate == 48000 else None
        return codec.frame_size or None if codec.name.startswith(_EVEN_PACKETS) else None

    def _gap(self, timestamp: int) -> int:
        """Frames of silence between what was decoded and `timestamp`; 0 where the timestamp is only imprecise."""
        offset = self._place(timestamp) + self._shift - self._position
        jitter_s = _START_JITTER_S if self._position == 0 else _JITTER_S
        if self._format == "flac":
            jitter_s = 0.0
        if abs(offset) <= jitter_s * self.sample_rate:
            return 0
        if self._container.duration:
            longest = self._container.duration / 1e6 * self.sample_rate - self._position
        else:
            longest = _MAX_GAP_S * self.sample_rate
        if not 0 < offset <= longest:  # the clock was set anew, as where broadcasts are joined
            self._shift -= offset
            return 0
        if self._position:
            if not self._n_gaps:
                self._gap_from = self._position
            self._n_gaps += 1
            self._gap_frames += offset
            self._gap_to = self._position + offset
        return offset

    def _decoded(self) -> Generator[AudioFrame]:
        """Frames in order of decoding; packets that cannot be decoded are counted and left out."""
        from av.error import FFmpegError

        try:
            for packet in self._container.demux(self._stream):
                self._follow(packet)
                try:
                    frames = packet.decode()
                except FFmpegError:
                    self._count_bad()
                    continue
                if packet.is_corrupt and self._format not in _SHORT_AT_THE_END:
                    self._count_bad()
                elif frames and packet.size:
                    self.cut_tail = False
                for frame in frames:
                    if frame.samples:
                        yield frame
        except FFmpegError:
            self._count_bad()

    def _follow(self, packet: Packet[AudioStream]) -> None:
        """See whether the file itself leads to a packet that comes late: ffmpeg looks for the next after damage."""
        if self._format != _MATROSKA or packet.pts is None or packet.pos is None or packet.time_base is None:
            return
        before, self._before = self._before, (packet.pos, packet.pts + (packet.duration or 0))
        if before and packet.pos > before[0] and (packet.pts - before[1]) * packet.time_base > _JITTER_S:
            self._torn = self._torn or not blocks_join(self._file, before[0], packet.pos)

    def _count_bad(self) -> None:
        if not self._n_bad:
            self._bad_from = self._position
        self._n_bad += 1
        self._bad_to = self._position
        self.cut_tail = True

    def _samples(self, frame: AudioFrame) -> Samples:
        """[n, channels] at the stream's rate; nothing of a frame that cannot be converted."""
        try:
            return self._converter.float32(frame)
        except UnconvertibleFrame:
            self._count_bad()
            return np.zeros((0, frame.layout.nb_channels), np.float32)

    @property
    def warnings(self) -> list[Notice]:
        """Damaged packets and holes met so far, and tracks that are not heard."""
        found = []
        name, rate = self._file.name, self.sample_rate
        track, n_tracks = self._track
        if n_tracks > 1:
            message = f"{name} has {n_tracks} audio tracks; only track {track} is used"
            found.append(Notice(code="other_tracks", message=message))
        if self._n_bad > self.cut_tail:
            start_s, end_s = self._bad_from / rate, self._bad_to / rate
            what = counted(self._n_bad, "packet")
            message = f"{name} is damaged: {what} between {start_s:.3f} and {end_s:.3f} s could not be decoded"
            found.append(Notice(code="corrupt", message=message, start=start_s, end=end_s))
        if self._n_gaps:
            start_s, end_s = self._gap_from / rate, self._gap_to / rate
            missing_s = self._gap_frames / rate
            where = f"between {start_s:.3f} and {end_s:.3f} s"
            message = f"{name} has no audio for {missing_s:.3f} s {where}; filled with silence"
            # FLAC numbers its samples: none can be missing but by damage. Elsewhere a sender may pause.
            code = "corrupt" if self._format == "flac" or self._torn else "gap"
            found.append(Notice(code=code, message=message, start=start_s, end=end_s))
        return found

    def close(self) -> None:
        self._frames.close()
        self._container.close()


def _marked(frames: Iterator[AudioFrame]) -> Iterator[tuple[AudioFrame, bool]]:
    """Each frame with whether it is the last."""
    held: AudioFrame | None = None
    for frame in frames:
        if held is not None:
            yield held, False
        held = frame
    if held is not None:
        yield held, True
