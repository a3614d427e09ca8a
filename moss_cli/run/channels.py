"""A recording whose channels are heard each by itself: read once, and cut into pieces for each of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from moss_cli.audio.chunk import Chunk
from moss_cli.audio.results import Samples
from moss_cli.span import Span


@dataclass(frozen=True)
class SkippedSpan(Span):
    """A stretch in which nobody speaks in one channel."""

    channel: str


def by_channel(
    blocks: Iterable[Samples], channels: Sequence[str], cut: Callable[[Iterator[Samples]], Iterator[Chunk | Span]]
) -> Iterator[Chunk | Span]:
    """The pieces that `cut` makes of each channel. `blocks`: [n, channels] each.

    The channel that is least far on is cut next, so that no more is held than the longest chunk and what it takes to
    cut one.
    """
    lanes = _Lanes(blocks, len(channels))
    pieces = [cut(lanes.of(place)) for place in range(len(channels))]
    done_s = dict.fromkeys(range(len(channels)), 0.0)
    while done_s:
        place = min(done_s, key=lambda one: (done_s[one], one))
        piece = next(pieces[place], None)
        if piece is None:
            del done_s[place]
        elif isinstance(piece, Chunk):
            done_s[place] = piece.span.end_s
            yield replace(piece, name=f"{place}:{piece.name}", channel=channels[place])
        else:
            done_s[place] = piece.end_s
            yield SkippedSpan(piece.start_s, piece.end_s, channels[place])


class _Lanes:
    """The columns of a stream of blocks, each as a stream of its own."""

    def __init__(self, blocks: Iterable[Samples], n_lanes: int) -> None:
        self._blocks = iter(blocks)
        self._waiting = [deque[Samples]() for _ in range(n_lanes)]

    def of(self, place: int) -> Iterator[Samples]:
        waiting = self._waiting[place]
        while True:
            while not waiting:
                block = next(self._blocks, None)
                if block is None:
                    return
                for column, lane in enumerate(self._waiting):
                    lane.append(np.ascontiguousarray(block[:, column]))
            yield waiting.popleft()
