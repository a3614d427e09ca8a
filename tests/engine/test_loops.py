"""Loops: told from refrains, cut to one round, and held back while they are in doubt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moss_cli.engine.loops import LONGEST_PERIOD, LoopWatch, without_loop


def is_loop(ids: list[int]) -> bool:
    """Whether an answer ends in a loop."""
    watch = LoopWatch()
    for token in ids:
        watch.push(token)
    return watch.in_loop


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([], False),
        ([7] * 39, False),
        ([7] * 40, True),
        ([1, 2, 3] + [4, 5] * 20, True),
        ([4, 5] * 19, False),
        (list(range(64)) * 4, False),
        (list(range(64)) * 5, True),
        (list(range(500)), False),
        ([1, 2] * 30 + [9], False),
    ],
)
def test_loops_are_told_from_refrains(ids: list[int], expected: bool) -> None:
    assert is_loop(ids) is expected


@given(st.lists(st.integers(0, 5), max_size=20), st.lists(st.integers(0, 5), min_size=1, max_size=9), st.integers(0, 9))
def test_a_loop_is_cut_to_one_round_and_what_came_before_stays(head: list[int], round_: list[int], extra: int) -> None:
    ids = head + round_ * (40 // len(round_) + 5 + extra)
    assert is_loop(ids)
    kept = without_loop(ids)
    assert not is_loop(kept)
    assert ids[: len(kept)] == kept
    assert len(kept) <= len(head) + 2 * len(round_)


@given(st.lists(st.integers(0, 3), max_size=300))
def test_what_has_settled_only_grows_and_is_never_in_the_loops_second_round(ids: list[int]) -> None:
    watch, before = LoopWatch(), 0
    for n, token in enumerate(ids, 1):
        watch.push(token)
        assert before <= watch.n_settled <= n
        before = watch.n_settled
        if watch.in_loop:
            # At the latest when its second round is complete, a loop is in doubt.
            assert watch.n_settled <= len(without_loop(ids[:n])) + LONGEST_PERIOD
            assert watch.n_settled < n


def test_a_loop_that_begins_is_held_back_after_its_first_rounds() -> None:
    watch = LoopWatch()
    for token in [1, 2, 3, 4, 5] + [6, 7, 8] * 20:
        watch.push(token)
    assert watch.n_settled == 5 + 3 + 2  # its first round, and what of the second came before it was complete
