"""What libsndfile reads: wav, flac, ogg, mp3, aiff, au, caf, w64 and more."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import ClassVar

import soundfile

from moss_cli.audio.headers import HeaderInfo
from moss_cli.audio.results import Samples
from moss_cli.audio.signal import check_rate
from moss_cli.audio.source import OpenedFile
from moss_cli.schema import Notice

_BLOCK_VALUES = 1 << 20  # frames x channels
_BLOCK_S = 10
_UNKNOWN_LENGTH = 2**63 - 1  # what libsndfile says of a FLAC stream without a count
_MPEG = {"MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III"}
_LOSSY = _MPEG | {"VORBIS", "OPUS"}
_MPEG_RESERVOIR = 1 << 14  # frames after a seek that may want bits from before it
# libsndfile lands beside the mark in the last page of a Vorbis stream. No page holds more: 255 packets of 4096 frames.
_VORBIS_PAGE = 255 * 4096


class _SequentialFile(soundfile.SoundFile):  # type: ignore[misc]
    """soundfile seeks back to where it is after every read of a seekable file.

    That loses what was read before an error, fails at the end of a cut FLAC file, and makes MP3 differ in the last bit
    from one block size to another.
    """

    def seekable(self) -> bool:
        return False


class SndfileDecoder:
    """Blocks of a file as libsndfile decodes them.

    `declared_frames` is what the header promises. `trusted` says whether libsndfile reads all of this file.
    After `blocks` has ended: `end_frame` is the file's length in frames; `failed` says that an error ended it earlier.
    """

    exact = True
    cut_tail = False
    warnings: ClassVar[list[Notice]] = []  # libsndfile reports nothing but errors

    def __init__(self, opened: OpenedFile, file: soundfile.SoundFile, headers: HeaderInfo) -> None:
        check_rate(opened.name, file.samplerate)
        self._file = file
        self.sample_rate: int = file.samplerate
        self.channels: int = file.channels
        self.lossy = file.subtype in _LOSSY
        self.holds_samples = file.frames > 0
        self.trusted = headers.whole_stream and 0 < file.frames < _UNKNOWN_LENGTH
        self.declared_frames: int | None = file.frames if self.trusted else None
        self.end_frame: int | None = None
        self.failed = False

    def blocks(self, first_frame: int) -> Iterator[Samples]:
        """[n, channels] float32 from `first_frame` to the end of what can be read."""
        n_frames = max(1, min(_BLOCK_S * self.sample_rate, _BLOCK_VALUES // self.channels))
        position = 0
        try:
            loud = first_frame and self._file.subtype in _MPEG
            with _muted_stderr() if loud else nullcontext():
                position = self._seek(first_frame)
                block = self._file.read(_MPEG_RESERVOIR if loud else n_frames, dtype="float32", always_2d=True)
            while len(block):
                early = max(first_frame - position, 0)
                position += len(block)
                if early < len(block):
                    yield block[early:]
                block = self._file.read(n_frames, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError:
            self.failed = True
        self.end_frame = position

    def _seek(self, frame: int) -> int:
        """Go to a frame, or to shortly before it, where that is needed to land rightly: where reading goes on."""
        if self._file.subtype == "VORBIS":
            frame = max(0, frame - _VORBIS_PAGE)
        position: int = self._file.seek(min(frame, self._file.frames)) if frame else 0
        return position

    def close(self) -> None:
        self._file.close()


@contextmanager
def _muted_stderr() -> Iterator[None]:
    """libmpg123 complains on stderr, for which it has no switch here, about bits from before the place it was sent to;
    what the lead before a range is for, it then makes good."""
    try:
        kept = os.dup(2)
    except OSError:  # closed
        yield
        return
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def open_sndfile(opened: OpenedFile, headers: HeaderInfo) -> SndfileDecoder | None:
    """A decoder on the open file, or None where libsndfile does not know it. AudioError for an absurd header."""
    try:
        # By descriptor: given a name, soundfile and libsndfile go by its suffix (.raw), and look for files beside it.
        file = _SequentialFile(opened.fd, closefd=False)
    except soundfile.LibsndfileError:
        return None
    return SndfileDecoder(opened, file, headers)
