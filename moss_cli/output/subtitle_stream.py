"""Subtitles written while they come."""

from __future__ import annotations

import math
from itertools import takewhile
from typing import Any

from moss_cli.output.cues import Cue, cues_of
from moss_cli.output.layout import AS_IT_IS, Layout
from moss_cli.output.subtitles import Block, SubtitleFormat, lay_out
from moss_cli.output.times import to_ms
from moss_cli.output.wrap import fit
from moss_cli.tasks.reading.certain import Certain

_EVER_MS = 2**60  # later than anything


class SubtitleStream:
    """Cues, numbered; each waits until nothing that follows can make it end earlier or later.

    A cue of no length at the very end of a file begins `SHORTEST_MS` earlier: not before what is certain to follow.
    """

    def __init__(self, fmt: SubtitleFormat, task: str, layout: Layout) -> None:
        self._format, self._task, self._layout = fmt, task, layout
        self._cues: list[Cue] = []  # that are not fitted to the layout yet
        self._fitted: list[Cue] = []  # that no block was made of yet
        self._n_blocks = 0

    def more(self, certain: Certain[Any]) -> str:
        self._cues += cues_of(self._task, certain.result)
        if certain.before_s == math.inf:  # the end of the file decides when the last one ends
            return ""
        before_ms = to_ms(certain.before_s)
        self._fit(before_ms)
        blocks = self._certain_blocks(min([before_ms, *(cue.start_ms for cue in self._cues)]))
        head = self._format.head if blocks and not self._n_blocks else ""
        written = "".join(self._format.written(one, n) for n, one in enumerate(blocks, self._n_blocks + 1))
        self._n_blocks += len(blocks)
        return head + written

    def _fit(self, before_ms: int) -> None:
        """Fit the cues of which what follows is known, or does not matter. None to come begins before `before_ms`."""
        if self._layout == AS_IT_IS:
            self._fitted, self._cues = self._fitted + self._cues, []
            return
        self._cues.sort(key=lambda cue: cue.start_ms)
        while self._cues and self._cues[0].start_ms < before_ms:
            cue, *rest = self._cues
            limit_ms = min([before_ms, *(one.start_ms for one in rest[:1])])
            fitted = fit([cue], self._layout, limit_ms)
            if limit_ms == before_ms and fitted != fit([cue], self._layout, _EVER_MS):
                return
            self._fitted += fitted
            self._cues = rest

    def _certain_blocks(self, before_ms: int) -> list[Block]:
        """The blocks that are the same whether something follows at `before_ms` or nothing does at all."""
        known = [cue for cue in self._fitted if cue.start_ms < before_ms]
        if not known:
            return []
        followed = lay_out([*known, Cue(before_ms, before_ms, "what follows")], None)
        pairs = zip(followed, lay_out(known, None), strict=False)
        blocks = [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]
        if blocks:
            self._fitted = [cue for cue in self._fitted if cue.start_ms > blocks[-1].start_ms]
        return blocks
