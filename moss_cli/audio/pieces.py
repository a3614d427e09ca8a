"""One decoder for a file: of its only piece, or of one after the other of those that it was joined from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import soxr

from moss_cli.audio.container import open_container
from moss_cli.audio.decoder import AudioDecoder, open_part
from moss_cli.audio.layout.base import FileLayout, Piece
from moss_cli.audio.layout.reading import read_layout, split
from moss_cli.audio.results import Samples, seconds
from moss_cli.audio.source import FilePart, OpenedFile
from moss_cli.audio.timeline import silences
from moss_cli.errors import AudioError, UsageError
from moss_cli.schema import Notice

_LENGTH_TOLERANCE_S = 0.05  # lossy codecs and their containers count encoder delay in different ways
_LAST_S = 2  # before its end a file is read to see how long it is
_MISSING_S = 0.5  # by which audio may be shorter than ffmpeg takes a header to say
_MOST_HOLE_S = 600.0  # chosen, as for gaps


class PieceDecoder:
    """A piece, by the decoder that reads most of it; and what is missing of it.

    `missing`, after `blocks` has ended, is the warning that the end is not the true one. Of a file that goes on after
    damage the end is not asked about.
    """

    def __init__(
        self, part: FilePart, layout: FileLayout, *, by_ffmpeg: bool = False, track: int | None = None
    ) -> None:
        self.part, self.layout, self._track = part, layout, track
        self._decoder: AudioDecoder
        self._decoder = open_container(part, layout, track) if by_ffmpeg else open_part(part, layout, track)
        self.sample_rate, self.channels = self._decoder.sample_rate, self._decoder.channels
        self.lossy, self.exact = self._decoder.lossy, self._decoder.exact
        self.declared_frames, self.begins_s = self._decoder.declared_frames, self._decoder.begins_s

    @property
    def end_frame(self) -> int | None:
        """The length in frames, once `blocks` has come to its end."""
        return self._decoder.end_frame

    def blocks(self, first_frame: int) -> Iterator[Samples]:
        """[n, channels] to the end of the file; where libsndfile gives up, ffmpeg may find more behind the damage."""
        position = first_frame
        for block in self._decoder.blocks(first_frame):
            position += len(block)
            yield block
        if self._decoder.failed:
            try:
                rescue = open_container(self.part, self.layout, self._track)
            except AudioError:
                return
            if rescue.sample_rate != self.sample_rate:
                rescue.close()
                return
            self._decoder.close()
            self._decoder = rescue
            yield from rescue.blocks(position)

    def notices(self, origin_s: float) -> list[Notice]:
        """What was found to be wrong with what was read; `origin_s` is added to the times."""
        return self._decoder.notices(origin_s)

    def length(self) -> int | None:
        """The length in frames, as decoding gives it, without decoding all; None where that says too little."""
        if self.end_frame is not None or self.declared_frames is None or self.exact or not self._decoder.is_sought:
            return self.end_frame or self.declared_frames
        try:
            last = open_container(self.part, self.layout, self._track)
        except AudioError:
            return self.declared_frames
        for _ in last.blocks(max(self.declared_frames - _LAST_S * self.sample_rate, 0)):
            pass
        last.close()
        near = last.end_frame and abs(last.end_frame - self.declared_frames) < _LAST_S * self.sample_rate
        return last.end_frame if near else self.declared_frames

    def missing(self, origin_s: float) -> Notice | None:
        """What is wrong with the end, once it was reached."""
        end = self._decoder.end_frame
        if end is None:
            return None
        if self._is_cut(end):
            return self._cut_warning(end, origin_s)
        if self._decoder.failed:
            end_s = origin_s + end / self.sample_rate
            message = f"{self.part.name} is damaged: nothing after {seconds(end_s)} could be read"
            return Notice(code="corrupt", message=message, start=end_s)
        return None

    def _is_cut(self, end: int) -> bool:
        decoder = self._decoder
        tolerance = _LENGTH_TOLERANCE_S * self.sample_rate if decoder.lossy else 0
        short = self.declared_frames is not None and end < self.declared_frames - tolerance
        if short and self.exact:
            return True
        if self.declared_frames is not None and end < self.declared_frames - _MISSING_S * self.sample_rate:
            return decoder.ends_early
        # else all audio may lie before the cut
        promised = self.layout.share is not None or self.declared_frames is None
        torn = self.declared_frames is None and decoder.ends_torn
        return torn or decoder.cut_tail or (self.layout.cut and (short or promised))

    def _cut_warning(self, end: int, origin_s: float) -> Notice:
        end_s = end / self.sample_rate
        promised_s = None if self.declared_frames is None else self.declared_frames / self.sample_rate
        if self.layout.share:
            promised_s = end_s / self.layout.share
        read = f"only the first {seconds(origin_s + end_s)}"
        if promised_s is not None and seconds(promised_s) != seconds(end_s) and promised_s > end_s:
            read = f"{seconds(origin_s + end_s)} of {seconds(origin_s + promised_s)}"
        message = f"{self.part.name} is cut short: {read} could be read"
        return Notice(code="truncated", message=message, start=origin_s + end_s)

    def close(self) -> None:
        self._decoder.close()


class JoinedDecoder:
    """Several pieces as one recording, at the sample rate of the first.

    What goes on after damage keeps its time, by silence; what was appended follows at once.
    """

    def __init__(self, file: OpenedFile, pieces: list[Piece], first: PieceDecoder, track: int | None = None) -> None:
        self._file, self._pieces, self._track = file, pieces, track
        self._open: PieceDecoder | None = first
        self.sample_rate, self.channels = first.sample_rate, first.channels
        self.lossy, self.exact = True, False
        self.declared_frames: int | None = None
        self.end_frame: int | None = None
        self._zero_s = 0.0  # of the timestamps of the pieces that belong together, in our time
        self._notices: list[Notice] = []
        self._position = 0

    def blocks(self, first_frame: int) -> Iterator[Samples]:
        """[n, channels] float32 from `first_frame` on; pieces may differ in their channels."""
        for block in self._all():
            self._position += len(block)
            late = first_frame - (self._position - len(block))
            if late < len(block):
                yield block[max(late, 0) :]
        self.end_frame = self._position

    def _all(self) -> Iterator[Samples]:
        for number, piece in enumerate(self._pieces):
            decoder = self._opened(number, piece)
            if decoder is None:
                continue
            if piece.goes_on:
                yield from self._hole(piece, decoder)
            else:
                self._zero_s = self._position / self.sample_rate - decoder.begins_s
            origin_s = self._position / self.sample_rate
            yield from _at_rate(decoder, self.sample_rate)
            self._notices += decoder.notices(origin_s)
            goes_on = number + 1 < len(self._pieces) and self._pieces[number + 1].goes_on
            missing = None if goes_on else decoder.missing(origin_s)
            if missing is not None:
                self._notices.append(missing)
            self.close()

    def _opened(self, number: int, piece: Piece) -> PieceDecoder | None:
        if number == 0 and self._open is not None:
            return self._open
        try:
            by_ffmpeg = piece.goes_on and piece.lost_s is None
            self._open = open_piece(self._file, piece, by_ffmpeg=by_ffmpeg, track=self._track)
        except (AudioError, UsageError) as error:  # UsageError: it has fewer tracks than the first
            at_s = self._position / self.sample_rate
            self._notices.append(Notice(code="corrupt", message=f"after {seconds(at_s)}: {error.message}", start=at_s))
        return self._open

    def _hole(self, piece: Piece, decoder: PieceDecoder) -> Iterator[Samples]:
        lost_s = piece.lost_s
        if lost_s is None:
            lost_s = decoder.begins_s + self._zero_s - self._position / self.sample_rate
        lost_s = min(lost_s, _MOST_HOLE_S)
        start_s = self._position / self.sample_rate
        left = round(lost_s * self.sample_rate)
        message = f"{self._file.name} is damaged: about {seconds(max(lost_s, 0))} at {seconds(start_s)} is lost"
        self._notices.append(Notice(code="corrupt", message=message, start=start_s, end=start_s + max(lost_s, 0)))
        for silence in silences(left, self.sample_rate):
            yield np.zeros((silence, self.channels), np.float32)

    def notices(self, origin_s: float) -> list[Notice]:
        """What was wrong with the pieces that were read."""
        return list(self._notices)

    def length(self) -> int | None:
        """The length in frames, once all was decoded."""
        return self.end_frame

    def missing(self, origin_s: float) -> Notice | None:
        """Nothing more: every piece has been asked."""
        return None

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
        self._open = None


def _at_rate(decoder: PieceDecoder, sample_rate: int) -> Iterator[Samples]:
    """All blocks of a piece at another sample rate."""
    if decoder.sample_rate == sample_rate:
        yield from decoder.blocks(0)
        return
    streams: dict[int, soxr.ResampleStream] = {}
    for block in decoder.blocks(0):
        n_channels = block.shape[1]
        if n_channels not in streams:
            for earlier in streams.values():
                yield earlier.resample_chunk(block[:0], last=True)
            streams = {n_channels: soxr.ResampleStream(decoder.sample_rate, sample_rate, n_channels, dtype="float32")}
        yield streams[n_channels].resample_chunk(np.ascontiguousarray(block), last=False)
    for n_channels, stream in streams.items():
        yield stream.resample_chunk(np.zeros((0, n_channels), np.float32), last=True)


def open_decoder(file: OpenedFile, track: int | None = None) -> PieceDecoder | JoinedDecoder:
    """A decoder for the whole of a file, or of one of its audio tracks, by its number from 1. AudioError where none can
    read it, UsageError for a track that it does not have."""
    pieces, n_rest = split(file)
    first = open_piece(file, pieces[0], is_torn=n_rest > 0 and len(pieces) == 1, track=track)
    return first if len(pieces) == 1 else JoinedDecoder(file, pieces, first, track)


def open_piece(
    file: OpenedFile, piece: Piece, *, by_ffmpeg: bool = False, is_torn: bool = False, track: int | None = None
) -> PieceDecoder:
    """A decoder for one piece. AudioError where none can read it, UsageError for a track that it does not have."""
    part = FilePart(file, start=piece.start, end=piece.end, prefix=piece.prefix)
    layout = read_layout(part)
    if layout.header:
        part = FilePart(file, start=piece.start + layout.header_bytes, end=piece.end, prefix=layout.header)
    if layout.patches:
        part = part.patched(layout.patches)
    if piece.begins_s is not None:
        layout = replace(layout, begins_s=piece.begins_s)
    if is_torn and not layout.counted:
        layout = replace(layout, cut=True)
    return PieceDecoder(part, layout, by_ffmpeg=by_ffmpeg, track=track)
