"""From a file's channels and rate to mono at 16 kHz, block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import soxr

from moss_cli.audio.downmix import BLOCK_S, downmix
from moss_cli.audio.results import SAMPLE_RATE, Samples
from moss_cli.errors import AudioError, counted
from moss_cli.schema import Notice

# No scale of samples, integers as floats included, goes beyond this; what does is as broken as an infinity, and would
# become one in the power spectrum.
_LARGEST = float(2**31)
_PCM_PEAK = 1.001  # full scale, and what dithering or a resampler's rounding may add
_LOSSY_PEAK = 2.0  # lossy codecs overshoot a loud master by a few tenths as a matter of course
_LITTLE_S = 0.1  # of silenced samples, without which a recording is still whole
_NOTHING: Samples = np.zeros(0, np.float32)

LOWEST_RATE, HIGHEST_RATE = 100, 3_000_000  # Hz; what lies beyond is a broken header


def check_rate(name: str, sample_rate: int) -> None:
    """AudioError for a sample rate that no audio has."""
    if not LOWEST_RATE <= sample_rate <= HIGHEST_RATE:
        raise AudioError(f"{name} is damaged: its header gives a sample rate of {sample_rate} Hz", code="corrupt")


class Mixer:
    """Mixes blocks to mono, and keeps count of samples that are not sound and of channels that cancel.

    Only what lies in [first_frame, end_frame) of the file is counted; what is read around it is for the filter. Several
    channels are mixed second by second of the file, so that a range is mixed as it is in the whole.
    """

    def __init__(self, sample_rate: int, *, lossy: bool, first_frame: int, end_frame: int | None) -> None:
        self._rate = sample_rate
        self._allowed_peak = _LOSSY_PEAK if lossy else _PCM_PEAK
        self._first, self._end = first_frame, end_frame
        self._peak = 0.0
        self._n_values = self._n_broken = self._n_channels = 0
        self._broken_from: int | None = None
        self._broken_to = 0
        self._held: list[Samples] = []  # of several channels, up to a whole second
        self._held_from = self._held_to = 0
        self._alone: dict[int, int] = {}  # channels that were used alone, and for how many frames
        self._alone_from = self._alone_to = 0

    def push(self, block: Samples, position: int) -> Samples:
        """What is ready, [n] float32, once `block` [n, channels] at frame `position` was added. Broken values are 0."""
        block = self._sound(block, position)
        n_channels = block.shape[1]
        earlier = self.finish() if n_channels != self._n_channels else _NOTHING
        self._n_channels = n_channels
        if n_channels == 1:
            return np.concatenate([earlier, block[:, 0]]) if len(earlier) else np.ascontiguousarray(block[:, 0])
        return np.concatenate([earlier, *self._seconds(block, position)])

    def _sound(self, block: Samples, position: int) -> Samples:
        """A block whose broken values are 0 and counted."""
        magnitude = np.abs(block)
        broken = ~(magnitude <= _LARGEST)  # NaN compares false
        if broken.any():
            block = np.where(broken, np.float32(0), block)
            magnitude[broken] = 0
        low = max(self._first - position, 0)
        high = len(block) if self._end is None else max(min(self._end - position, len(block)), low)
        self._count(broken[low:high], magnitude[low:high], position + low)
        return block

    def _seconds(self, block: Samples, position: int) -> Iterator[Samples]:
        """The seconds of the file that are whole with this block, mixed."""
        n_second = round(BLOCK_S * self._rate)
        while len(block):
            if not self._held:
                self._held_from = self._held_to = position
            taken = block[: n_second - self._held_to % n_second]
            self._held.append(taken)
            self._held_to += len(taken)
            position += len(taken)
            block = block[len(taken) :]
            if self._held_to % n_second == 0:
                yield self.finish()

    def finish(self) -> Samples:
        """The rest of what was added, [n]."""
        if not self._held:
            return _NOTHING
        mono = downmix(np.concatenate(self._held), self._rate)
        start, end = max(self._held_from, self._first), min(self._held_to, self._end or self._held_to)
        if mono.channel is not None and start < end:
            self._alone_from = self._alone_from if self._alone else start
            self._alone_to = end
            self._alone[mono.channel] = self._alone.get(mono.channel, 0) + end - start
        self._held = []
        return mono.samples

    def _count(
        self, broken: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], magnitude: Samples, position: int
    ) -> None:
        self._n_values += broken.size
        if not broken.size:
            return
        self._peak = max(self._peak, float(magnitude.max()))
        where = np.flatnonzero(broken.any(axis=1))
        if not len(where):
            return
        self._n_broken += int(broken.sum())
        if self._broken_from is None:
            self._broken_from = position + int(where[0])
        self._broken_to = position + int(where[-1]) + 1

    def warnings(self, name: str) -> list[Notice]:
        """What was found so far. AudioError where there was no sample that is sound."""
        found = []
        if self._n_broken and not self._peak:
            beside = "" if self._n_broken == self._n_values else "silence and "
            what = "NaN, infinite or absurdly large samples"
            raise AudioError(f"{name} contains only {beside}{what}", code="non_finite")
        if self._broken_from is not None:
            start_s, end_s = self._broken_from / self._rate, self._broken_to / self._rate
            message = (
                f"{name}: {counted(self._n_broken, 'sample')} between {start_s:.3f} and {end_s:.3f} s "
                "silenced: NaN, infinite or absurdly large"
            )
            little = self._n_broken <= _LITTLE_S * self._rate * self._n_channels
            found.append(Notice(code="non_finite" if little else "corrupt", message=message, start=start_s, end=end_s))
        if self._alone:
            start_s, end_s = self._alone_from / self._rate, self._alone_to / self._rate
            used = " and ".join(str(channel + 1) for channel in sorted(self._alone))
            message = (
                f"{name}: between {start_s:.3f} and {end_s:.3f} s almost nothing is left when its {self._n_channels} "
                f"channels are mixed; only channel {used} is used there; --channel chooses one"
            )
            found.append(Notice(code="cancelled", message=message, start=start_s, end=end_s))
        if self._peak > self._allowed_peak:
            message = f"{name}: samples reach {self._peak:.4g}, beyond the full scale of 1.0; they are used unchanged"
            found.append(Notice(code="over_range", message=message))
        return found


class Picker(Mixer):
    """Takes some channels of a recording as they are, [n] of one or [n, channels] of several."""

    def __init__(
        self, sample_rate: int, channels: Sequence[int], *, lossy: bool, first_frame: int, end_frame: int | None
    ) -> None:
        """`channels` are counted from 0."""
        super().__init__(sample_rate, lossy=lossy, first_frame=first_frame, end_frame=end_frame)
        self._channels = list(channels)
        self._n_channels = len(self._channels)
        self._absent_from: int | None = None  # where pieces of a joined file begin that do not have them all
        self._absent_to = 0

    def push(self, block: Samples, position: int) -> Samples:
        n_absent = max(self._channels) + 1 - block.shape[1]
        if n_absent > 0 and len(block):
            self._absent_from = position if self._absent_from is None else self._absent_from
            self._absent_to = position + len(block)
            block = np.pad(block, ((0, 0), (0, n_absent)))
        picked = self._sound(np.ascontiguousarray(block[:, self._channels]), position)
        return picked[:, 0] if len(self._channels) == 1 else picked

    def finish(self) -> Samples:
        return np.zeros(0 if len(self._channels) == 1 else (0, len(self._channels)), np.float32)

    def warnings(self, name: str) -> list[Notice]:
        found = super().warnings(name)
        if self._absent_from is not None:
            start_s, end_s = self._absent_from / self._rate, self._absent_to / self._rate
            which = " and ".join(str(one + 1) for one in self._channels)
            message = f"{name}: between {start_s:.3f} and {end_s:.3f} s there is no channel {which} to be heard"
            found.append(Notice(code="channel_missing", message=message, start=start_s, end=end_s))
        return found


class Resampler:
    """Streams samples from `sample_rate` to 16 kHz (soxr, HQ); at 16 kHz they pass through untouched. They are [n], or
    [n, channels] where there are several channels."""

    def __init__(self, sample_rate: int, n_channels: int = 1) -> None:
        self._soxr = None
        self._nothing: Samples = np.zeros(0 if n_channels == 1 else (0, n_channels), np.float32)
        if sample_rate != SAMPLE_RATE:
            self._soxr = soxr.ResampleStream(sample_rate, SAMPLE_RATE, n_channels, dtype="float32", quality="HQ")

    def push(self, mono: Samples) -> Samples:
        """What is ready at 16 kHz once `mono` has been added; the filter holds a little back."""
        return mono if self._soxr is None else self._resampled(mono, last=False)

    def finish(self) -> Samples:
        """The rest, after the last block."""
        return self._nothing if self._soxr is None else self._resampled(self._nothing, last=True)

    def _resampled(self, mono: Samples, *, last: bool) -> Samples:
        assert self._soxr is not None
        resampled: Samples = self._soxr.resample_chunk(mono, last=last)
        return resampled
