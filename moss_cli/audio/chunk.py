"""Long audio in chunks that a model takes at once, cut where nobody speaks, in the memory of two of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from moss_cli.audio.pauses import best_cut
from moss_cli.audio.results import SAMPLE_RATE, Samples
from moss_cli.span import Span

# A chunk has at least 40 % of the longest length, so that there are never 2.5 times as many as there need be, and what
# is searched still has several sentence ends: of 10 minutes the last 6, of half a minute the last 18 s.
_SEARCHED = 0.6
_LEAST_S = 2.0  # models do badly on scraps, so that no rest shorter than this is left over
_LEAST_SHARE = 0.25  # of the longest length, where that is short
_LEAST_REST_S = 0.5  # however short; `tasks.reading.certain` counts on it
_MOST_OVERLAP_S = 6.0  # holds a whole sentence as they go; more is only heard twice
_OVERLAP_SHARE = 0.25
_SHORTEST_S = 1.0


@dataclass(frozen=True)
class Chunk:
    """What a model is given at once.

    `samples`: [n] float32, mono, 16 kHz. `span`: where they lie in the file. `name` tells the chunks of one stream
    apart: its number, from 0, as text. `speech`: where in the file somebody surely speaks in it, as far as is known.
    `next_s`: where in the file the stream's next chunk begins, at the earliest; none where nothing follows.
    `channel`: which one it is of, where each is heard by itself.
    """

    samples: Samples
    span: Span
    name: str = "0"
    speech: tuple[Span, ...] = ()
    next_s: float = math.inf
    channel: str | None = None


def chunks(blocks: Iterable[Samples], *, longest_s: float, offset_s: float = 0.0) -> Iterator[Chunk]:
    """Cut a stream of `blocks` ([n] float32 each, mono, 16 kHz, of any sizes) into chunks of at most `longest_s`.

    A stream that is no longer is one chunk. Otherwise each is cut in the best pause of the last 60 % of the longest
    length; where there is none, the next chunk begins a quarter of the longest length, 6 s at most, before the end of
    this one. The last chunk has at least 2 s, or a quarter of the longest length, but half a second.

    Without their overlaps the chunks are the stream, bit for bit. Where they are cut depends on the samples alone, so
    that cutting again from the start of any chunk gives the same ones. `offset_s` is the time of the first sample.
    Held at once: one chunk, and a little more than another. Raises ValueError for `longest_s` under 1 s.
    """
    if not longest_s >= _SHORTEST_S:
        raise ValueError(f"chunks of {longest_s} s are too short to cut audio into")
    return _cut(blocks, round(longest_s * SAMPLE_RATE), round(offset_s * SAMPLE_RATE))


def _cut(blocks: Iterable[Samples], longest: int, position: int) -> Iterator[Chunk]:
    """The chunks; the longest length and the position of the first sample are counted in samples."""
    overlap = round(min(longest * _OVERLAP_SHARE, _MOST_OVERLAP_S * SAMPLE_RATE))
    least = round(max(min(_LEAST_S * SAMPLE_RATE, _LEAST_SHARE * longest), _LEAST_REST_S * SAMPLE_RATE))
    window = _Window(blocks, longest + least)
    number = 0
    while len(held := window.filled()) > longest:
        limit = min(longest, len(held) - least)
        cut = best_cut(held[:limit], longest - round(_SEARCHED * longest))
        end, shared = (limit, overlap) if cut is None else (cut, 0)
        yield _chunk(held[:end].copy(), position, number, (position + end - shared) / SAMPLE_RATE)
        window.drop(end - shared)
        position += end - shared
        number += 1
    if len(held):
        yield _chunk(held.copy(), position, number)


def _chunk(samples: Samples, position: int, number: int, next_s: float = math.inf) -> Chunk:
    span = Span(position / SAMPLE_RATE, (position + len(samples)) / SAMPLE_RATE)
    return Chunk(samples, span, str(number), next_s=next_s)


class _Window:
    """The next samples of a stream, `n_most` of them if it has as many, in one array that is used again."""

    def __init__(self, blocks: Iterable[Samples], n_most: int) -> None:
        self._blocks = iter(blocks)
        self._n_most = n_most
        self._rest: Samples = np.zeros(0, np.float32)  # of the last block, what had no room
        self._held: Samples = np.zeros(0, np.float32)
        self._n_held = 0

    def filled(self) -> Samples:
        """A view of the samples after reading what there is room for. It holds until the next call of a method."""
        while self._n_held < self._n_most:
            if not len(self._rest):
                block = next(self._blocks, None)
                if block is None:
                    break
                self._rest = block
            taken = self._rest[: self._n_most - self._n_held]
            self._add(taken)
            self._rest = self._rest[len(taken) :]
        return self._held[: self._n_held]

    def drop(self, n_samples: int) -> None:
        """Forget the first samples."""
        self._held[: self._n_held - n_samples] = self._held[n_samples : self._n_held]
        self._n_held -= n_samples

    def _add(self, samples: Samples) -> None:
        n_needed = self._n_held + len(samples)
        if n_needed > len(self._held):  # most streams are shorter than the window, so it is not made at once
            grown: Samples = np.empty(min(2 * n_needed, self._n_most), np.float32)
            grown[: self._n_held] = self._held[: self._n_held]
            self._held = grown
        self._held[self._n_held : n_needed] = samples
        self._n_held = n_needed
