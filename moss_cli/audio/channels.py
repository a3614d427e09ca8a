"""Which channels of a recording are heard."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import Literal

import numpy as np

from moss_cli.audio.downmix import levels_of
from moss_cli.audio.results import Samples
from moss_cli.errors import UsageError, counted

Channel = int | Literal["mix", "each"]  # one by its number, from 1

SIDES = ("left", "right")

_STEP_S = 0.1  # that is compared at once; chosen
_AUDIBLE = 1e-4  # -80 dBFS: the dither of 16 bits lies at -94
_SAME = 0.01  # of the louder channel: by less than 40 dB below it a copy may differ, as after a lossy codec


def speakers_of(channels: Iterable[int], n_channels: int) -> tuple[str, ...]:
    """What the speakers of channels (from 0) are called, of a recording that has `n_channels`."""
    return tuple(SIDES[one] if n_channels == 2 else f"channel {one + 1}" for one in channels)


def require_channel(name: str, channel: int, n_channels: int) -> None:
    """UsageError for a channel (from 1) that a recording does not have."""
    if channel > n_channels:
        hint = "leave --channel out" if n_channels == 1 else f"--channel takes 1 to {n_channels} for it, mix and each"
        message = f"{name} has {counted(n_channels, 'channel')}; there is no channel {channel}"
        raise UsageError(message, hint=hint, code="channel")


def distinct_channels(blocks: Iterable[Samples], n_channels: int, sample_rate: int) -> tuple[int, ...]:
    """The channels (from 0) that are no copies of an earlier one, as they are or inverted.

    `blocks`: [n, channels] each, finite or not. They are read until no two channels can be copies any more.
    """
    alike = {(one, other, sign) for one, other in combinations(range(n_channels), 2) for sign in (1, -1)}
    n_step = max(round(_STEP_S * sample_rate), 1)
    for block in blocks:
        if not alike:
            break
        sound = np.where(np.abs(block) < np.inf, block, np.float32(0))  # NaN compares false
        alike = {pair for pair in alike if not _differ(sound, pair, n_step)}
    copies = {other for _, other, _ in alike}
    return tuple(one for one in range(n_channels) if one not in copies)


def _differ(block: Samples, pair: tuple[int, int, int], n_step: int) -> bool:
    one, other, sign = pair
    if block.shape[1] <= other:  # a piece of a joined file with fewer channels
        return False
    both = block[:, [one, other]]
    levels = levels_of(np.column_stack([both, both[:, 0] - sign * both[:, 1]]), n_step)
    return bool((levels[:, 2] > np.maximum(_SAME * levels[:, :2].max(axis=1), _AUDIBLE)).any())
