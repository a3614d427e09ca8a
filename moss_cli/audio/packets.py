"""The packets of one audio stream, decoded and laid on the file's timeline."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from moss_cli.audio.codecs import Codec
from moss_cli.audio.continuity import Continuity
from moss_cli.audio.edits import played
from moss_cli.audio.frames import FrameConverter, UnconvertibleFrame
from moss_cli.audio.layout.base import FileLayout
from moss_cli.audio.results import Samples
from moss_cli.audio.signal import check_rate
from moss_cli.audio.source import FilePart
from moss_cli.audio.timeline import FrameTimeline, silences
from moss_cli.audio.timestamps import MATROSKA, MP4, declared_s, seek_grain
from moss_cli.errors import AudioError, counted
from moss_cli.schema import Notice

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet

# ffmpeg calls the last packet corrupt where the data does not fill it, as at the end of every WAV without a length.
_SHORT_AT_THE_END = {"wav", "w64", "aiff", "au", "caf"}


class _Decoded(NamedTuple):
    """A frame; whether the file is damaged before it; and by how much its time is later than its timestamp."""

    frame: AudioFrame
    torn: bool
    ahead_s: float


class ContainerDecoder:
    """Blocks of one audio stream as ffmpeg decodes them.

    Samples lie where the container's timestamps put them, counted from the start of the whole container: a video's
    sound that sets in late is preceded by silence, and holes are filled with it. Encoder delay is what the container
    says it is: a click comes out of m4a (edit list), webm and ogg (Opus pre-skip) and MP3 with a LAME tag on the sample
    it went in at; AVI, TS and raw ADTS have no place to say, and it comes 1024 (AAC) or 1105 (MP3) samples late.

    `declared_frames` is the length in the header, if it has one; `begins_s` what the first timestamp is. After `blocks`
    has ended, `end_frame` is the length in frames, `cut_tail` says that the last packet was damaged, `ends_early` that
    the end is not where the container has it, and `notices` what else was wrong.
    """

    exact = False
    failed = False

    def __init__(
        self,
        file: FilePart,
        container: InputContainer,
        stream: AudioStream,
        layout: FileLayout,
        known: Sequence[Notice],
    ) -> None:
        self._file, self._container, self._stream = file, container, stream
        self._notices, self._format = known, container.format.name
        self._n_bad = self._bad_from = self._bad_to = 0
        self.cut_tail = False
        self.end_frame: int | None = None
        self.begins_s = (container.start_time or 0) / 1e6 if layout.begins_s is None else layout.begins_s
        self._edits = layout.edits
        if layout.edits:
            self.begins_s = 0.0
        self._codec = Codec(stream, self._format)
        self._continuity = Continuity(file, self._format, stream)
        # ffmpeg makes up the first timestamps of FLAC in Ogg; within a piece no page is missing.
        self._is_numbered = self._format == "ogg" and self._codec.name == "flac"
        self._line: FrameTimeline | None = None
        self._frames = self._decoded()
        self._first = self._first_frame(layout)
        self.sample_rate = self._first.frame.sample_rate
        check_rate(file.name, self.sample_rate)
        self.channels = self._first.frame.layout.nb_channels
        self._converter = FrameConverter(file.name, self.sample_rate)
        self.lossy = self._codec.lossy
        if self._format == MATROSKA and self._codec.name.endswith("opus"):
            self._mend_start()
        length_s = declared_s(container, stream, layout, self.begins_s)
        self.declared_frames = layout.n_samples
        if layout.n_samples is None and length_s is not None:
            self.declared_frames = round(length_s * self.sample_rate)
        self._line = FrameTimeline(
            self.sample_rate,
            n_bytes=file.size,
            exact=self._format == "flac",
            exact_start=self._format in ("flac", "ogg"),
            longest=self.declared_frames,
        )

    def _first_frame(self, layout: FileLayout) -> _Decoded:
        for decoded in self._frames:
            if self._format == "mpegts":  # a recording of a broadcast starts in the middle of a packet
                self._n_bad = 0
            return decoded
        if layout.cut:
            raise AudioError(f"{self._file.name} is cut short before its first samples", code="truncated")
        if self._n_bad:
            message = f"{self._file.name} is encrypted or damaged: none of its audio can be decoded"
            raise AudioError(message, code="corrupt")
        raise AudioError(f"{self._file.name} contains no audio samples", code="no_samples")

    def _mend_start(self) -> None:
        """ffmpeg counts the delay of Opus at its source's rate in the start time, where the delay itself is right."""
        frame, time_base = self._first.frame, self._stream.time_base
        if frame.pts is not None and time_base is not None and not self._codec.n_to_skip(frame.samples):
            self.begins_s = min(self.begins_s, frame.pts * float(time_base))

    def _place(self, timestamp: int) -> int:
        """The frame at which a timestamp of the stream lies, from the start of the container."""
        time_base = self._stream.time_base
        assert time_base is not None  # av gives every stream of an input one
        return round((timestamp * float(time_base) - self.begins_s) * self.sample_rate)

    def blocks(self, first_frame: int) -> Iterator[Samples]:
        """[n, channels] float32 from `first_frame` to the end of what can be decoded."""
        assert self._line is not None
        held: list[Samples] = []
        n_held = 0
        placed = self._edited(self._line) if self._edits else self._placed(self._line, first_frame)
        for block in placed:
            late = first_frame - (self._line.position - len(block))
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
        self.end_frame = self._line.position

    def _edited(self, line: FrameTimeline) -> Iterator[Samples]:
        """What an edit list plays, in order."""
        for block in played(self._tracked(), self._edits, self.sample_rate):
            line.position += len(block)
            yield block

    def _tracked(self) -> Iterator[tuple[int, Samples]]:
        """All blocks of the track, each with the frame of the track at which it begins."""
        place = 0
        for decoded in chain([self._first], self._frames):
            block = self._samples(decoded.frame)
            if decoded.frame.pts is not None:
                place = self._place(decoded.frame.pts)
            yield place, block
            place += len(block)

    def _placed(self, line: FrameTimeline, first_frame: int) -> Iterator[Samples]:
        """Decoded frames and the silence of holes, in order."""
        for (frame, torn, ahead_s), is_last in _marked(self._seeked(line, first_frame)):
            gap = 0
            if frame.pts is not None and not self._is_numbered:
                place = self._place(frame.pts) - self._codec.late(self.sample_rate) + round(ahead_s * self.sample_rate)
                gap = line.gap(place, torn=torn or self._format == "flac")
            for silence in silences(gap, self.sample_rate):
                line.position += silence
                yield np.zeros((silence, self.channels), np.float32)
            block = self._samples(frame)
            if frame is self._first.frame:
                block = block[self._codec.n_to_skip(len(block)) :]
            if is_last and self._format == MP4 and self.declared_frames is not None:
                padding = line.position + len(block) - self.declared_frames
                if 0 < padding < len(block):  # ffmpeg does not cut the encoder's padding off the last frame of an mp4
                    block = block[:-padding]
            line.position += len(block)
            yield block

    def _seeked(self, line: FrameTimeline, first_frame: int) -> Iterator[_Decoded]:
        """Frames from the start, or from shortly before `first_frame` where the timestamps can be trusted."""
        grain = self._seek_grain()
        if grain is None or first_frame < 2 * self.sample_rate or not self._seek(first_frame):
            yield self._first
        else:
            self._frames = self._decoded()
            for decoded in self._frames:
                frame = decoded.frame
                if frame.pts is not None:
                    n_first = self._first.frame.samples
                    phase = (n_first - self._codec.n_to_skip(n_first)) % grain
                    place = self._place(frame.pts) - self._codec.late(self.sample_rate)
                    line.position = phase + round((place - phase) / grain) * grain
                yield decoded
                break
        yield from self._frames

    def _seek(self, first_frame: int) -> bool:
        from av.error import FFmpegError

        assert self._stream.time_base is not None
        seconds = first_frame / self.sample_rate + self.begins_s
        try:
            self._container.seek(int(seconds / float(self._stream.time_base)), stream=self._stream)
        except FFmpegError:  # a damaged index
            return False
        return True

    def _seek_grain(self) -> int | None:
        return None if self._edits else seek_grain(self._format, self._stream, self.sample_rate)

    def _decoded(self) -> Generator[_Decoded]:
        """Frames in order of decoding; packets that cannot be decoded are counted and left out."""
        from av.error import FFmpegError

        n_bad = self._n_bad
        try:
            for packet in self._packets():
                self._continuity.follow(packet)
                try:
                    frames = self._codec.decode(packet)
                except FFmpegError:
                    self._count_bad()
                    continue
                if packet.is_corrupt and self._format not in _SHORT_AT_THE_END:
                    self._count_bad()
                elif frames and packet.size:
                    self.cut_tail = False
                for frame in frames:
                    if frame.samples:
                        torn = self._continuity.torn() or n_bad < self._n_bad
                        n_bad = self._n_bad
                        yield _Decoded(frame, torn, self._continuity.ahead_s)
        except FFmpegError:
            self._count_bad()

    def _packets(self) -> Iterator[Packet[AudioStream]]:
        try:
            yield from self._container.demux(self._stream)
        except IndexError:  # PyAV does not find a stream that ffmpeg has found to be none
            self._count_bad()

    def _count_bad(self) -> None:
        position = self._line.position if self._line else 0
        if not self._n_bad:
            self._bad_from = position
        self._n_bad += 1
        self._bad_to = position
        self.cut_tail = True

    def _samples(self, frame: AudioFrame) -> Samples:
        """[n, channels] at the stream's rate; nothing of a frame that cannot be converted."""
        try:
            return self._converter.float32(frame)
        except UnconvertibleFrame:
            self._count_bad()
            return np.zeros((0, frame.layout.nb_channels), np.float32)

    @property
    def is_sought(self) -> bool:
        """Whether `blocks` goes to where it is to begin, rather than decode what lies before."""
        return self._seek_grain() is not None

    @property
    def ends_torn(self) -> bool:
        """Whether the container does not lead from the last packet to its end."""
        return not self._continuity.is_last()

    @property
    def ends_early(self) -> bool:
        """Whether what follows the last packet is damaged, or nothing else but the sound could fill the rest."""
        return len(self._container.streams) == 1 or self.ends_torn or self._format in (MP4, "avi")

    def notices(self, origin_s: float) -> list[Notice]:
        """Damaged packets and holes met so far, and tracks that are not heard; `origin_s` is added to the times."""
        found = [*self._notices]
        name, rate = self._file.name, self.sample_rate
        if self._n_bad > self.cut_tail:
            start_s, end_s = origin_s + self._bad_from / rate, origin_s + self._bad_to / rate
            what = counted(self._n_bad, "packet")
            message = f"{name} is damaged: {what} between {start_s:.3f} and {end_s:.3f} s could not be decoded"
            found.append(Notice(code="corrupt", message=message, start=start_s, end=end_s))
        return found + (self._line.notices(name, origin_s) if self._line else [])

    def close(self) -> None:
        self._frames.close()
        self._container.close()


def _marked(frames: Iterator[_Decoded]) -> Iterator[tuple[_Decoded, bool]]:
    """Each frame with whether it is the last."""
    held: _Decoded | None = None
    for frame in frames:
        if held is not None:
            yield held, False
        held = frame
    if held is not None:
        yield held, True
