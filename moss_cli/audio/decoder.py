"""Which library decodes a file, and what is needed of either."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from moss_cli.audio.container import no_such_track, open_container
from moss_cli.audio.layout.base import FileLayout
from moss_cli.audio.results import Samples
from moss_cli.audio.sndfile import SndfileDecoder, open_sndfile
from moss_cli.audio.source import FilePart
from moss_cli.errors import AudioError
from moss_cli.schema import Notice


class AudioDecoder(Protocol):
    """What libsndfile and PyAV have in common; frames are counted at the file's own sample rate."""

    sample_rate: int
    channels: int
    lossy: bool
    exact: bool  # whether `declared_frames` is what a whole file gives
    declared_frames: int | None
    end_frame: int | None  # the file's length, once `blocks` has come to its end
    failed: bool  # the end came by an error, and another decoder may know how to go on
    cut_tail: bool  # the last packet was damaged
    begins_s: float  # the time that the container gives the first sample

    @property
    def is_sought(self) -> bool:
        """Whether `blocks` goes to where it is to begin, rather than decode what lies before."""
        ...

    @property
    def ends_torn(self) -> bool:
        """Whether the container does not lead from the last packet to its end."""
        ...

    @property
    def ends_early(self) -> bool:
        """Whether an end before the declared length means that something is missing."""
        ...

    def notices(self, origin_s: float) -> list[Notice]: ...
    def blocks(self, first_frame: int) -> Iterator[Samples]: ...
    def close(self) -> None: ...


def open_part(part: FilePart, layout: FileLayout, track: int | None) -> AudioDecoder:
    """libsndfile where it reads the whole of the file, else ffmpeg, else libsndfile as far as it gets."""
    if layout.whole_stream:
        decoder = open_sndfile(part, layout)
        if decoder is not None and decoder.trusted:
            return _only_track(part, decoder, track)
        if decoder is not None:
            decoder.close()
    try:
        return open_container(part, layout, track)
    except AudioError:
        decoder = None if layout.whole_stream else open_sndfile(part, layout)
        if decoder is None:
            raise
        if not decoder.holds_samples:
            decoder.close()
            raise
        return _only_track(part, decoder, track)


def _only_track(part: FilePart, decoder: SndfileDecoder, track: int | None) -> SndfileDecoder:
    if track is None or track == 1:
        return decoder
    decoder.close()
    raise no_such_track(part.name, track, [""])
