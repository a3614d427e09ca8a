"""The best chain of pairs, against the rule written out: of all earlier pairs, the best one goes before."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from moss_cli.tasks.reading.chains import IN_A_RUN, BestChains, Pair


def by_trying_all(worth_of: dict[Pair, float]) -> list[Pair]:
    worth: dict[Pair, float] = {}
    link: dict[Pair, Pair | None] = {}
    for i, j in sorted(worth_of):
        best, link[i, j] = 0.0, None
        for k, m in worth:
            total = worth[k, m] + (IN_A_RUN if (k, m) == (i - 1, j - 1) else 0.0)
            if k < i and m < j and total > best:
                best, link[i, j] = total, (k, m)
        worth[i, j] = best + worth_of[i, j]
    found: list[Pair] = []
    at = max(worth, key=worth.__getitem__, default=None)
    while at is not None:
        found.append(at)
        at = link[at]
    return found[::-1]


def found_by_rows(worth_of: dict[Pair, float], n_columns: int) -> list[Pair]:
    chains = BestChains(n_columns)
    for row in sorted({i for i, _ in worth_of}):
        columns = sorted(j for i, j in worth_of if i == row)
        chains.add(row, np.array(columns), np.array([worth_of[row, j] for j in columns]))
    return chains.best


# Few values, so that many chains are worth the same.
PAIRS = st.dictionaries(
    st.tuples(st.integers(0, 9), st.integers(0, 9)), st.sampled_from([0.25, 0.5, 1.0]) | st.floats(0.01, 1), max_size=60
)


@given(PAIRS)
def test_it_is_the_one_that_trying_all_finds(worth_of: dict[Pair, float]) -> None:
    assert found_by_rows(worth_of, 10) == by_trying_all(worth_of)


def test_without_pairs_there_is_none() -> None:
    chains = BestChains(3)
    chains.add(0, np.array([], np.int64), np.array([]))
    assert chains.best == []


def test_a_run_is_worth_more_than_as_many_pairs_apart() -> None:
    assert found_by_rows({(0, 0): 1.0, (0, 1): 1.0, (1, 2): 1.0}, 3) == [(0, 1), (1, 2)]
