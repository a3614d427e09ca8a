"""Answers that go round in circles."""

from __future__ import annotations

from collections.abc import Sequence

LONGEST_PERIOD = 64  # tokens
FEWEST_ROUNDS = 5
FEWEST_TOKENS = 40  # a short refrain may be meant


def is_loop(ids: Sequence[int]) -> bool:
    """Whether an answer ends in at least five rounds, and forty tokens, of the same tokens.

    Segments with times of their own are no loop, however often their text returns.
    """
    for period in range(1, LONGEST_PERIOD + 1):
        n_tokens = max(FEWEST_ROUNDS * period, FEWEST_TOKENS)
        if len(ids) < n_tokens:
            if FEWEST_ROUNDS * period > len(ids):
                return False
            continue
        # The last token first: nearly every period is dismissed by it.
        if ids[-1] == ids[-1 - period] and ids[-n_tokens:-period] == ids[-n_tokens + period :]:
            return True
    return False


def without_loop(ids: Sequence[int]) -> list[int]:
    """The answer with one round of its final loop kept."""
    for period in range(1, LONGEST_PERIOD + 1):
        end = len(ids)
        while end - 2 * period >= 0 and ids[end - period : end] == ids[end - 2 * period : end - period]:
            end -= period
        if len(ids) - end >= (FEWEST_ROUNDS - 1) * period and len(ids) - end + period >= FEWEST_TOKENS - period:
            return list(ids[:end])
    return list(ids)
