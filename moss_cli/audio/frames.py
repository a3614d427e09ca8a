"""ffmpeg's frames of audio as float32 samples at one sample rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from moss_cli.audio.results import Samples
from moss_cli.errors import AudioError

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.resampler import AudioResampler

_MOST_PLANES = 8


class UnconvertibleFrame(Exception):
    """ffmpeg's resampler does not take a frame."""


class FrameConverter:
    """Converts the frames of one stream of the file `name`, all to `sample_rate`."""

    def __init__(self, name: str, sample_rate: int) -> None:
        self._name, self._rate = name, sample_rate
        self._resamplers: dict[tuple[int, str, str], AudioResampler] = {}

    def float32(self, frame: AudioFrame) -> Samples:
        """[n, channels], integers scaled to -1..1.

        Raises AudioError for samples of an unknown kind, UnconvertibleFrame for a frame that cannot be resampled.
        """
        n_channels = frame.layout.nb_channels
        # PyAV counts planes up to the first null pointer, and in a frame with 8 of them there is none.
        unsafe = frame.format.is_planar and n_channels >= _MOST_PLANES
        unsafe = unsafe or frame.format.name.startswith("s64")  # which PyAV does not hand to numpy
        if unsafe or frame.sample_rate != self._rate:
            return self._resampled(frame)
        try:
            values = frame.to_ndarray()
        except ValueError as error:
            raise AudioError(f"{self._name} has samples in an unknown format: {error}", code="codec") from error
        return _scaled(values.T if frame.format.is_planar else values.reshape(-1, n_channels))

    def _resampled(self, frame: AudioFrame) -> Samples:
        """The same through ffmpeg's resampler: for many channels, 64-bit integers, and a rate that changes half-way."""
        from av.audio.resampler import AudioResampler
        from av.error import FFmpegError

        kind = (frame.sample_rate, frame.layout.name, frame.format.name)
        if kind not in self._resamplers:
            self._resamplers[kind] = AudioResampler(format="flt", rate=self._rate)
        n_channels = frame.layout.nb_channels
        try:
            packed = [part.to_ndarray().reshape(-1, n_channels) for part in self._resamplers[kind].resample(frame)]
        except (FFmpegError, ValueError) as error:
            raise UnconvertibleFrame from error
        return _scaled(np.concatenate(packed)) if packed else np.zeros((0, n_channels), np.float32)


def _scaled(values: np.ndarray) -> Samples:
    """Integers of any width scaled to -1..1, unsigned 8-bit included; floats as they are."""
    if values.dtype.kind == "f":
        return values.astype(np.float32, copy=False)
    full_scale = np.float32(2.0 ** (8 * values.dtype.itemsize - 1))
    scaled = values.astype(np.float32)
    if values.dtype.kind == "u":
        scaled -= full_scale
    return scaled / full_scale
