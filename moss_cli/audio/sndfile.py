"""What libsndfile reads: wav, flac, ogg, mp3, aiff, au, caf, w64 and more."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import soundfile

from moss_cli.audio.layout.base import FileLayout
from moss_cli.audio.results import Samples
from moss_cli.audio.signal import check_rate
from moss_cli.audio.source import FilePart, PartReader
from moss_cli.schema import Notice

_BLOCK_VALUES = 1 << 20  # frames x channels
_BLOCK_S = 10
_UNKNOWN_LENGTH = 2**63 - 1  # what libsndfile says of a FLAC stream without a count
_MPEG = {"MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III"}
_LOSSY = _MPEG | {"VORBIS", "OPUS"}
# Whose decoder keeps what it knew before a seek, or lands elsewhere; they are read from the start.
_UNSEEKABLE = {"NMS_ADPCM_16", "NMS_ADPCM_24", "NMS_ADPCM_32", "G721_32", "G723_24", "G723_40"}
_MPEG_IN_WAV = (b"\x50\0", b"\x55\0")
_OTHER_MAGIC = (b"fLaC", b"OggS", b"FORM", b"caff", b".snd", b"riff", b"RF64")
_MPEG_RESERVOIR = 1 << 14  # frames after a seek that may want bits from before it
# libsndfile lands beside the mark in the last page of a Vorbis stream. No page holds more: 255 packets of 4096 frames.
_VORBIS_PAGE = 255 * 4096
_MUTING = threading.Lock()


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

    cut_tail = False
    ends_early = True
    ends_torn = False
    is_sought = True
    begins_s = 0.0

    def __init__(self, opened: FilePart, file: soundfile.SoundFile, layout: FileLayout) -> None:
        check_rate(opened.name, file.samplerate)
        self._file = file
        self.sample_rate: int = file.samplerate
        self.channels: int = file.channels
        self.lossy = file.subtype in _LOSSY
        # libmpg123 guesses the length of MP3 in WAV from its first frame.
        self.exact = file.subtype not in _MPEG or file.format == "MP3" or file.format == "MPEG"
        self.holds_samples = file.frames > 0
        self.trusted = layout.whole_stream and 0 < file.frames < _UNKNOWN_LENGTH
        self.declared_frames: int | None = file.frames if self.trusted else None
        self.end_frame: int | None = None
        self.failed = False

    def blocks(self, first_frame: int) -> Iterator[Samples]:
        """[n, channels] float32 from `first_frame` to the end of what can be read."""
        n_frames = max(1, min(_BLOCK_S * self.sample_rate, _BLOCK_VALUES // self.channels))
        position = 0
        try:
            sought = first_frame and self._file.subtype in _MPEG
            with self._quiet():
                position = self._seek(first_frame)
                block = self._file.read(_MPEG_RESERVOIR if sought else n_frames, dtype="float32", always_2d=True)
            while len(block):
                early = max(first_frame - position, 0)
                position += len(block)
                if early < len(block):
                    yield block[early:]
                with self._quiet():
                    block = self._file.read(n_frames, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError:
            self.failed = True
        self.end_frame = position

    def _quiet(self) -> AbstractContextManager[None]:
        return _muted_stderr() if self._file.subtype in _MPEG else nullcontext()

    def _seek(self, frame: int) -> int:
        """Go to a frame, or to shortly before it, where that is needed to land rightly: where reading goes on."""
        if self._file.subtype in _UNSEEKABLE:
            return 0
        if self._file.subtype == "VORBIS":
            frame = max(0, frame - _VORBIS_PAGE)
        position: int = self._file.seek(min(frame, self._file.frames)) if frame else 0
        return position

    def notices(self, origin_s: float) -> list[Notice]:
        """Nothing: libsndfile reports nothing but errors."""
        return []

    def close(self) -> None:
        self._file.close()


@contextmanager
def _muted_stderr() -> Iterator[None]:
    """libmpg123 complains on stderr, for which it has no switch here: about bits from before the place it was sent to,
    which the lead before a range makes good, and about damage, which is told of otherwise. stderr is the process's own:
    of two threads the second would keep the null device as what to restore."""
    with _MUTING:
        yield from _muted()


def _muted() -> Iterator[None]:
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


def open_sndfile(opened: FilePart, layout: FileLayout) -> SndfileDecoder | None:
    """A decoder on the open file, or None where libsndfile does not know it. AudioError for an absurd header."""
    try:
        with _muted_stderr() if _may_be_mpeg(opened) else nullcontext():
            return SndfileDecoder(opened, _opened(opened), layout)
    except soundfile.LibsndfileError:
        return None


def _opened(part: FilePart) -> _SequentialFile:
    # By descriptor: given a name, soundfile and libsndfile go by its suffix (.raw), and look for files beside it.
    return _SequentialFile(part.fd if part.fd is not None else PartReader(part), closefd=False)


def _may_be_mpeg(part: FilePart) -> bool:
    head = part.read_at(0, 22)
    return head[:4] not in _OTHER_MAGIC and (head[:4] != b"RIFF" or head[20:22] in _MPEG_IN_WAV)
