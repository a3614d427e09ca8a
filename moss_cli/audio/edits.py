"""What the edit list of an MP4 plays of a track."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from moss_cli.audio.layout.base import Edit
from moss_cli.audio.results import Samples
from moss_cli.audio.timeline import silences


def played(blocks: Iterable[tuple[int, Samples]], edits: tuple[Edit, ...], sample_rate: int) -> Iterator[Samples]:
    """[n, channels] of `blocks`, each with the frame of the track at which it begins: what is played of them, in order.

    Where the list plays nothing there is silence. The edits take the track from its start to its end.
    """
    position = 0
    for place, block in blocks:
        for edit in edits:
            first, media, n_frames = (
                round(time_s * sample_rate) for time_s in (edit.at_s, edit.media_s, edit.length_s)
            )
            low, high = max(place, media), min(place + len(block), media + n_frames)
            if low >= high:
                continue
            for silence in silences(first + low - media - position, sample_rate):
                position += silence
                yield np.zeros((silence, block.shape[1]), np.float32)
            position += high - low
            yield block[low - place : high - place]
