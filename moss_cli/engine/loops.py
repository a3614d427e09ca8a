"""Answers that repeat themselves."""

from __future__ import annotations

from collections.abc import Sequence

LONGEST_PERIOD = 64  # tokens
FEWEST_ROUNDS = 5
FEWEST_TOKENS = 40  # a short refrain may be meant


class LoopWatch:
    """Follows an answer token by token.

    A loop is an end in at least five rounds, and forty tokens, of the same tokens. Segments with
    times of their own are none, however often their text returns.
    """

    def __init__(self) -> None:
        self._ids: list[int] = []
        # By period: how many of the last tokens are the same as the ones so many places before them, where any are.
        self._repeated: dict[int, int] = {}
        self.in_loop = False
        self.n_settled = 0

    def push(self, token: int) -> None:
        """Take note of the next token. `n_settled` is then how many tokens from the start stand even
        if this turns out to be a loop: all but what repeats a whole round."""
        before = self._ids[-LONGEST_PERIOD:]
        repeated: dict[int, int] = {}
        in_doubt, self.in_loop, place = 0, False, -1
        for _ in range(before.count(token)):
            place = before.index(token, place + 1)
            period = len(before) - place
            repeated[period] = count = self._repeated.get(period, 0) + 1
            if count >= period:
                in_doubt = max(in_doubt, count)
                self.in_loop = self.in_loop or count + period >= max(FEWEST_ROUNDS * period, FEWEST_TOKENS)
        self._repeated = repeated
        self._ids.append(token)
        # Never less than before: what was shown stands.
        self.n_settled = max(self.n_settled, len(self._ids) - in_doubt)


def without_loop(ids: Sequence[int]) -> list[int]:
    """The answer with one round of its final loop kept."""
    for period in range(1, LONGEST_PERIOD + 1):
        end = len(ids)
        while end - 2 * period >= 0 and ids[end - period : end] == ids[end - 2 * period : end - period]:
            end -= period
        if len(ids) - end >= (FEWEST_ROUNDS - 1) * period and len(ids) - end + period >= FEWEST_TOKENS - period:
            return list(ids[:end])
    return list(ids)
