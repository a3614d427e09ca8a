"""What is told twice is the same in another order, and only what follows from it is asked for."""

from __future__ import annotations

import random
from pathlib import Path

from moss_cli.engine.tokenizer import load_tokenizer
from training.copying import told_twice, words

TINY = Path(__file__).parents[2] / "moss_cli" / "weights" / "tiny"


def test_what_is_asked_for_follows_from_what_was_told() -> None:
    tokenizer, rng = load_tokenizer(TINY), random.Random(3)
    pool = words(tokenizer)
    assert {b" siren", b" monday"} < {tokenizer.token_bytes(i) for i in pool}
    n_timed = n_moved = 0
    for _ in range(200):
        tokens, follows = told_twice(rng, tokenizer, pool)
        assert len(tokens) == len(follows)
        half = len(tokens) // 2
        first, again = tokens[:half], tokens[half:]
        assert sorted(first) == sorted(again)
        assert not any(follows[:half])
        is_timed = b"." in {tokenizer.token_bytes(i) for i in tokens}
        n_timed += is_timed
        n_moved += first != again
        for place in range(half, len(tokens)):
            before = tokens[place - 1 : place + 1]
            pairs = [tokens[i - 1 : i + 1] for i in range(1, half)]
            assert not follows[place] or before in pairs
    assert 10 < n_timed < 40
    assert n_moved > 150
