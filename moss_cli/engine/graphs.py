"""Decode steps as they are run: on CUDA as a graph, captured when first needed; elsewhere one operation at a time.

A step of the released sizes launches hundreds of kernels, each of them quicker than its launch; a graph launches them
all at once. It holds for a number of rows and of positions seen, which are rounded up so that few graphs are needed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from moss_cli.engine.cache import CacheRows, KVCache, seen
from moss_cli.engine.memory import is_out_of_memory
from moss_cli.engine.model import MossAudio
from moss_cli.engine.row import Row
from moss_cli.engine.step import DecodeStep

# A graph's attention looks at a multiple of so many positions; chosen: of the 8B's 18 GB a step reads, 512 positions of
# a row are 0.4 %.
GRAPH_SEEN = 512
GRAPH_AHEAD = 1024  # positions for which the cache has room when it grows, so that it moves seldom; chosen
GRAPH_ROWS = (1, 2, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64)  # chosen

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Graph:
    """A captured step: what it reads, token ids and positions [2, B], and the logits [B, vocab] that it leaves."""

    graph: torch.cuda.CUDAGraph
    numbers: Tensor
    logits: Tensor


class Steps:
    """Runs the decode steps of a model. `graphs`: capture them, where the device can."""

    def __init__(self, model: MossAudio, *, graphs: bool = True) -> None:
        self._step = DecodeStep(model)
        self._device = model.device
        self._uses_graphs = graphs and self._device.type == "cuda"
        self._graphs: dict[tuple[int, int], _Graph] = {}
        self._of: tuple[KVCache, int] | None = None  # the cache, and its state, for which the graphs were captured
        self._pool: Any = None  # of memory, which all graphs share

    def __call__(self, rows: Sequence[Row], first: int, cache: KVCache) -> Tensor:
        """Logits [B, vocab] that follow the last tokens of rows, whose keys and values are stored, in the slots from
        `first` on. They are used up by the next call."""
        most = max(row.n_positions for row in rows)
        numbers = torch.tensor([[row.ids[-1] for row in rows], [row.n_positions - 1 for row in rows]])
        if self._uses_graphs and first == 0:
            try:
                return self._replayed(numbers, cache, most)
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise
                self._uses_graphs = False
                self.forget()
                _log.info("a decode step cannot be captured as a CUDA graph (%s): decoding goes on without", error)
        ids, positions = numbers.to(self._device)
        n_seen = seen(most, self._device)
        past = CacheRows(cache, first, positions[:, None], n_seen, sees_all=len(rows) == 1 and n_seen == most)
        return self._step(ids, past)

    def rows_for(self, n_rows: int) -> int:
        """How many slots the cache should have for so many rows, so that graphs can be used again for a few more."""
        return _graph_rows(n_rows) if self._uses_graphs else n_rows

    def positions_for(self, rows: Sequence[Row]) -> int:
        """How many positions the cache should have for rows, so that graphs hold while answers become longer."""
        ahead = GRAPH_AHEAD if self._uses_graphs else 0
        return max(min(row.n_positions + ahead, row.request.most_positions) for row in rows)

    def forget(self) -> None:
        """Give back what the graphs hold."""
        self._graphs.clear()
        self._of = self._pool = None

    def _replayed(self, numbers: Tensor, cache: KVCache, most: int) -> Tensor:
        if self._of is None or self._of[0] is not cache or self._of[1] != cache.n_resized:
            self.forget()  # graphs write to where the cache was
            self._of = cache, cache.n_resized
        n_rows = numbers.shape[1]
        # Rows that are added take slots that are free: what they store there is never seen.
        key = min(_graph_rows(n_rows), cache.n_slots), min(_rounded(most, GRAPH_SEEN), cache.n_positions)
        padded = self._pinned(torch.nn.functional.pad(numbers, (0, key[0] - n_rows)))
        found = self._graphs.get(key)
        if found is None:
            found = self._graphs[key] = self._captured(padded, cache, key[1])
        else:
            found.numbers.copy_(padded, non_blocking=True)
        found.graph.replay()
        return found.logits[:n_rows]

    def _pinned(self, numbers: Tensor) -> Tensor:
        """In memory from which they can be copied to the device while other things go on."""
        return numbers.pin_memory() if self._device.type == "cuda" else numbers

    def _captured(self, numbers: Tensor, cache: KVCache, n_seen: int) -> _Graph:
        """A graph for numbers like these. It has not run yet, but the step has: libraries set themselves up in it."""
        static = numbers.to(self._device)

        def run() -> Tensor:
            return self._step(static[0], CacheRows(cache, 0, static[1][:, None], n_seen))

        aside = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(aside):
            run()
        torch.cuda.current_stream(self._device).wait_stream(aside)
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            logits = run()
        return _Graph(graph, static, logits)


def _graph_rows(n_rows: int) -> int:
    return next((size for size in GRAPH_ROWS if size >= n_rows), n_rows)


def _rounded(n: int, unit: int) -> int:
    return -(-n // unit) * unit
