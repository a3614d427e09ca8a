"""One pass over an audio file: decode, mix, resample, cut to the range, and say what was wrong with it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from moss_cli.audio.channels import Channel, distinct_channels, require_channel, speakers_of
from moss_cli.audio.pieces import open_decoder
from moss_cli.audio.results import SAMPLE_RATE, AudioInfo, Samples, seconds
from moss_cli.audio.signal import Mixer, Picker, Resampler
from moss_cli.audio.source import open_file, printable
from moss_cli.errors import AudioError, UsageError
from moss_cli.schema import Notice

_LEAD_S = 1
_CLAMP_TOLERANCE = SAMPLE_RATE // 1000  # times are given in milliseconds
_NOT_WHOLE = {"corrupt", "truncated", "channel_missing"}  # warnings by which what was heard is not all of the recording


class AudioStream:
    """Blocks [n] float32 of a file or a range of it: the mean of its channels at 16 kHz. A context manager.

    `channel`: what of its channels is heard. With "each", blocks are [n, k], a column for each of `speakers`; where
    there are no two channels that differ, there is nobody in `speakers`, and blocks are [n]. `track`: which one of a
    container's audio tracks, from 1; None for the default one.

    `sample_rate`, `channels` and `duration_s` (None where the header does not say) are those of the file; `offset_s` is
    where the first sample lies in it. It can be iterated once; `warnings` and `complete` are final after that, and
    `info` can be had. A file that proves to be longer than `max_duration_s` is an AudioError, at the latest then.
    """

    def __init__(
        self,
        path: Path,
        *,
        start_s: float | None,
        end_s: float | None,
        max_duration_s: float = math.inf,
        channel: Channel = "mix",
        track: int | None = None,
    ) -> None:
        self._first, self._end = _sample_range(printable(path), start_s, end_s)
        self._max_duration_s = max_duration_s
        with ExitStack() as stack:
            self._file = stack.enter_context(open_file(path))
            self._decoder = open_decoder(self._file, track)
            stack.callback(lambda: self._decoder.close())
            self.sample_rate, self.channels = self._decoder.sample_rate, self._decoder.channels
            self._declared = self._decoder.declared_frames
            self._exact = self._decoder.exact
            if self._exact and self._declared is not None:
                self._require_start_within(self._declared)
            self._position = 0
            self._refuse_longer()
            self._picked, self._copies = self._pick(channel, track)
            self._stack = stack.pop_all()
        several = self._picked is not None and len(self._picked) > 1
        self.speakers = speakers_of(self._picked or (), self.channels) if several else ()
        self._warnings: list[Notice] = []
        self.complete = True
        self._n_samples = 0
        self._plan()

    def _plan(self) -> None:
        """From which to which frame to read: 16 kHz mono PCM just the range, else also a second around it.

        A resampling filter and a lossy decoder need to come to terms with the signal first, and channels are mixed
        second by second. That starts on a whole second, where the grids of both rates have a sample.
        """
        rate = self.sample_rate
        first = self._first * rate // SAMPLE_RATE
        end = None if self._end is None else -(-self._end * rate // SAMPLE_RATE)
        lossy = self._decoder.lossy
        if self._picked is None:
            self._mixer = Mixer(rate, lossy=lossy, first_frame=first, end_frame=end)
        else:
            self._mixer = Picker(rate, self._picked, lossy=lossy, first_frame=first, end_frame=end)
        if rate == SAMPLE_RATE and self.channels == 1 and not self._decoder.lossy:
            self._position, self._stop, self._lead = first, end, 0
        else:
            lead_s = max(self._first // SAMPLE_RATE - _LEAD_S, 0)
            self._position, self._lead = lead_s * rate, self._first - lead_s * SAMPLE_RATE
            self._stop = None if end is None else (-(-end // rate) + _LEAD_S) * rate
        self._native = self._decoder.blocks(self._position)

    def _pick(self, channel: Channel, track: int | None) -> tuple[tuple[int, ...] | None, tuple[int, ...]]:
        """The channels that are heard, from 0, None for the mean of all; and those that are copies of these."""
        if channel == "mix":
            return None, ()
        if channel != "each":
            require_channel(self._file.name, channel, self.channels)
            return (channel - 1,), ()
        if self.channels == 1:
            return (0,), ()
        distinct = distinct_channels(self._range_blocks(), self.channels, self.sample_rate)
        self._decoder.close()
        self._file.rewind()
        self._decoder = open_decoder(self._file, track)
        self._position = 0
        return distinct, tuple(one for one in range(self.channels) if one not in distinct)

    def _range_blocks(self) -> Iterator[Samples]:
        """The channels of the range, as they are decoded."""
        self._position = self._first * self.sample_rate // SAMPLE_RATE
        end = math.inf if self._end is None else self._end * self.sample_rate / SAMPLE_RATE
        for block in self._decoder.blocks(self._position):
            yield block
            self._position += len(block)
            self._refuse_longer()
            if self._position >= end:
                break

    @property
    def duration_s(self) -> float | None:
        """Length of the whole file by its header."""
        return None if self._declared is None else self._declared / self.sample_rate

    @property
    def offset_s(self) -> float:
        """Where the first sample lies in the file."""
        return self._first / SAMPLE_RATE

    @property
    def warnings(self) -> tuple[Notice, ...]:
        """What was found to be wrong, once all blocks have been read."""
        return tuple(self._warnings)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; nothing can be read any more."""
        self._stack.close()

    def __iter__(self) -> Iterator[Samples]:
        lead = self._lead
        wanted = None if self._end is None else self._end - self._first
        for samples in self._resampled():
            samples, lead = samples[lead:], max(lead - len(samples), 0)
            if wanted is not None:
                samples = samples[: wanted - self._n_samples]
            if len(samples):
                self._n_samples += len(samples)
                yield samples
            self._refuse_longer()
        self._file.check_unchanged()
        self._judge()

    def _resampled(self) -> Iterator[Samples]:
        resampler = Resampler(self.sample_rate, max(len(self.speakers), 1))
        for block in self._native:
            if self._stop is not None:
                block = block[: self._stop - self._position]
            mono = self._mixer.push(block, self._position)
            self._position += len(block)
            yield resampler.push(mono)
            if self._position == self._stop:
                break
        yield resampler.push(self._mixer.finish())
        yield resampler.finish()

    def _judge(self) -> None:
        """Collects the warnings. UsageError for a range past the end, AudioError where there were no samples."""
        name, end = self._file.name, self._decoder.end_frame
        missing = self._decoder.missing(0.0)
        if not self._n_samples:
            if end and missing and missing.code == "truncated":
                raise AudioError(missing.message, code="truncated")
            if end is not None:
                self._require_start_within(end)
            raise AudioError(f"{name} contains no audio samples", code="no_samples")
        self._warnings = self._mixer.warnings(name) + self._decoder.notices(0.0) + list(self._same_channels())
        if end is None:  # the range ended before the file
            self.complete = not any(warning.code in _NOT_WHOLE for warning in self._warnings)
            return
        end_s = end / self.sample_rate
        if self._end is not None and self._first + self._n_samples < self._end - _CLAMP_TOLERANCE:
            message = (
                f"{name} is only {seconds(end_s)} long; the range was to end at {seconds(self._end / SAMPLE_RATE)}"
            )
            self._warnings.append(Notice(code="range_clamped", message=message, start=end_s))
        if missing is not None:
            self._warnings.append(missing)
        self.complete = not any(warning.code in _NOT_WHOLE for warning in self._warnings)

    def _same_channels(self) -> Iterator[Notice]:
        if self._copies:
            same = " and ".join(str(one + 1) for one in self._copies)
            verb = "is a copy of another" if len(self._copies) == 1 else "are copies of others"
            message = f"{self._file.name}: channel {same} {verb}, which alone is heard"
            yield Notice(code="same_channels", message=message)

    def _require_start_within(self, n_frames: int) -> None:
        if self._first and self._first * self.sample_rate >= n_frames * SAMPLE_RATE:
            length, start = seconds(n_frames / self.sample_rate), seconds(self._first / SAMPLE_RATE)
            raise UsageError(f"the range starts at {start}, but {self._file.name} is only {length} long", code="range")

    def _refuse_longer(self) -> None:
        """AudioError where the header, or what was read so far, says that the file lasts longer than allowed."""
        duration_s = max(self.duration_s or 0.0, self._position / self.sample_rate)
        if duration_s > self._max_duration_s:
            limit = seconds(self._max_duration_s)
            message = f"{self._file.name} is at least {seconds(duration_s)} long; the limit is {limit}"
            raise AudioError(message, hint="raise the limit with --max-duration", code="too_long")

    def info(self) -> AudioInfo:
        """The file itself, after iterating; a length that the header does not say is found by decoding the rest."""
        return AudioInfo(self._whole_duration_s(), self.sample_rate, self.channels, self.sha256())

    def _whole_duration_s(self) -> float:
        """Length of the whole file: as decoded, to its end or what comes last in it, else by decoding the rest."""
        length = self._decoder.length()
        if length is not None:
            return length / self.sample_rate
        for block in self._native:
            self._position += len(block)
            self._refuse_longer()
        assert self._decoder.end_frame is not None
        return self._decoder.end_frame / self.sample_rate

    def sha256(self) -> str:
        """Hexadecimal SHA-256 of the file. AudioError where the file has changed since it was opened."""
        digest = self._file.sha256()
        self._file.check_unchanged()
        return digest


def _sample_range(name: str, start_s: float | None, end_s: float | None) -> tuple[int, int | None]:
    """The range on the 16 kHz grid. UsageError for one that no file has."""
    for time_s in (start_s, end_s):
        if time_s is not None and not (math.isfinite(time_s) and time_s >= 0):
            raise UsageError(f"{time_s} is not a time in {name}", code="range")
    first = round((start_s or 0.0) * SAMPLE_RATE)
    if end_s is None:
        return first, None
    end = round(end_s * SAMPLE_RATE)
    if end <= first:
        start = seconds(start_s or 0.0)
        raise UsageError(
            f"the range of {name} ends at {seconds(end_s)}, which is not after its start at {start}", code="range"
        )
    return first, end
