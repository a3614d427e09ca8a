"""The best chain of pairs: which units of one line stand for which of another, in order, in n x m steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Pair = tuple[int, int]  # a row, and a column

_NONE = -1
IN_A_RUN = 1.0  # what a pair is worth more right after the one before it


@dataclass(frozen=True)
class _Row:
    """The pairs of a row: `before[n]` is the pair in front of the one in `columns[n]`, as (row, column)."""

    columns: npt.NDArray[np.int64]
    before: npt.NDArray[np.int64]  # [n, 2]


@dataclass
class BestChains:
    """Grows row by row. A chain goes on in a later row and a later column.

    Of chains that are worth the same, the one counts whose last pair has the earlier row, and then the earlier column.
    """

    n_columns: int
    _rows: dict[int, _Row] = field(default_factory=dict)
    _best: float = 0.0
    _last: Pair | None = None

    def __post_init__(self) -> None:
        # For each column, the best chain that ends before it: what it is worth, and its last pair.
        self._worth: npt.NDArray[np.float64] = np.zeros(self.n_columns + 1)
        self._pair: npt.NDArray[np.int64] = np.full((self.n_columns + 1, 2), _NONE)
        # What chains are worth that end in the row before, by column.
        self._in_row: npt.NDArray[np.float64] = np.full(self.n_columns + 1, -np.inf)
        self._row = _NONE

    def add(self, row: int, columns: npt.NDArray[np.int64], worth: npt.NDArray[np.float64]) -> None:
        """The pairs of a row, which comes after all rows before: their columns, rising, and what each is worth, > 0."""
        if not len(columns):
            return
        best, before = self._worth[columns], self._pair[columns]
        if self._row == row - 1:
            run = self._in_row[columns - 1] + IN_A_RUN  # column -1 is the last, which no chain ends in
            is_run = run > best
            best = np.where(is_run, run, best)
            before[is_run] = np.stack([np.full(len(columns), row - 1), columns - 1], axis=1)[is_run]
        total = best + worth
        self._rows[row] = _Row(columns, before)
        self._take(row, columns, total)
        self._in_row[:], self._row = -np.inf, row
        self._in_row[columns] = total

    def _take(self, row: int, columns: npt.NDArray[np.int64], total: npt.NDArray[np.float64]) -> None:
        rising = np.maximum.accumulate(total)
        is_new = np.concatenate([[True], rising[1:] > rising[:-1]])
        first = np.maximum.accumulate(np.where(is_new, np.arange(len(columns)), 0))
        # The columns after each of the row's, up to and with the next of them.
        reach = np.diff(np.append(columns, self.n_columns))
        better = np.repeat(rising, reach)
        ends = columns[np.repeat(first, reach)]
        after = slice(int(columns[0]) + 1, None)
        is_better = better > self._worth[after]
        self._worth[after][is_better] = better[is_better]
        self._pair[after][is_better] = np.stack([np.full(len(ends), row), ends], axis=1)[is_better]
        if rising[-1] > self._best:
            self._best, self._last = float(rising[-1]), (row, int(columns[first[-1]]))

    @property
    def best(self) -> list[Pair]:
        """The pairs of the best chain, in order."""
        found: list[Pair] = []
        at: Any = self._last
        while at is not None:
            found.append(at)
            pairs = self._rows[at[0]]
            row, column = map(int, pairs.before[np.searchsorted(pairs.columns, at[1])])
            at = None if row == _NONE else (row, column)
        return found[::-1]
