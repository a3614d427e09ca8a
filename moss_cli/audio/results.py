"""What reading an audio file gives."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from moss_cli.schema import Notice

SAMPLE_RATE = 16_000  # Hz, of everything that leaves this package

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class AudioInfo:
    """The file as it is, before mixing and resampling; `duration_s` is that of the whole file."""

    duration_s: float
    sample_rate: int
    channels: int
    sha256: str


@dataclass(frozen=True)
class Audio:
    """Samples of a file, or of a range of it.

    `samples`: [n] float32, mono, 16 kHz, finite, nominally -1..1. `offset_s`: where samples[0] lies in the file.
    `complete` is False where audio that the file should hold could not be read.
    """

    samples: Samples
    offset_s: float
    info: AudioInfo
    warnings: tuple[Notice, ...]
    complete: bool

    @property
    def duration_s(self) -> float:
        """Length of `samples` in seconds."""
        return len(self.samples) / SAMPLE_RATE

    def part(self, start_s: float, end_s: float) -> Audio:
        """The samples from `start_s` to `end_s`, in seconds of the file."""
        first, last = (round((t - self.offset_s) * SAMPLE_RATE) for t in (start_s, end_s))
        kept = self.samples[max(0, first) : max(0, last)]
        return replace(self, samples=kept, offset_s=self.offset_s + max(0, first) / SAMPLE_RATE)


def seconds(time_s: float) -> str:
    """`12.34 s`."""
    return f"{time_s:.3f}".rstrip("0").rstrip(".") + " s"
