"""From channels to mono: their mean, or one of them alone where the mean would lose what it holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moss_cli.audio.results import Samples

BLOCK_S = 1.0  # decided at once, on a grid from the start of the file; chosen
_STEP_S = 0.02  # of a block, whose levels are compared

# What is left of a step's loudest channel when its mean is taken. Independent channels leave 1/n of its power, which is
# more up to 50 of them; a cable with one wire reversed leaves the noise of both channels, at most a hundredth.
_LOST = 0.02
_AS_GOOD = 0.5  # of the loudest channel's level; the first such channel is used, so that blocks agree on one


@dataclass(frozen=True)
class Mono:
    """`samples` [n]; `channel` is the one that they are of (from 0), None for the mean of all."""

    samples: Samples
    channel: int | None = None


def downmix(block: Samples, sample_rate: int) -> Mono:
    """Mono of `block` [n, channels], finite: the mean of the channels unless they cancel each other out in it.

    Every step of 20 ms is asked whether its mean has lost what its loudest channel holds. It has as many votes as it is
    loud, by its amplitude, so that a click does not outvote a word.
    """
    mean: Samples = block.mean(axis=1, dtype=np.float32)
    n_step = max(round(_STEP_S * sample_rate), 1)
    levels = levels_of(block, n_step)
    loudest = levels.max(axis=1)
    lost = levels_of(mean[:, None], n_step)[:, 0] ** 2 < _LOST * loudest**2
    if loudest[lost].sum() <= loudest[~lost].sum():
        return Mono(mean)
    heard = levels[lost].sum(axis=0)
    channel = int(np.argmax(heard >= _AS_GOOD * heard.max()))
    return Mono(np.ascontiguousarray(block[:, channel]), channel)


def levels_of(values: Samples, n_step: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """RMS without offset of each step of each channel, [steps, channels]; the last step may be shorter."""
    starts = np.arange(0, len(values), n_step)
    counts = np.diff(np.append(starts, len(values)))[:, None]
    sums = np.add.reduceat(values, starts, axis=0, dtype=np.float64)
    squares = np.add.reduceat(np.square(values, dtype=np.float64), starts, axis=0)
    levels: np.ndarray[tuple[int, int], np.dtype[np.float64]] = np.sqrt(
        (squares / counts - (sums / counts) ** 2).clip(min=0)
    )
    return levels
