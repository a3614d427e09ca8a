"""Words told twice, in another order: nothing in speech teaches a model to go on as a text did before, and thoughts,
choices and minutes need just that. A few of these beside what is asked about clips do."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import chain

from moss_cli.engine.tokenizer import Tokenizer
from training.vocabulary import VOCAB_SIZE

N_WORDS, LONGEST_CHUNK = (12, 40), 5
N_ITEMS = (2, 6)
LONGEST_S = 30


def words(tokenizer: Tokenizer) -> list[int]:
    """The tokens that are a word after a blank."""
    texts = {i: tokenizer.token_bytes(i) for i in range(VOCAB_SIZE)}
    return [i for i, text in texts.items() if text[:1] == b" " and text[1:].isalpha()]


def told_twice(rng: random.Random, tokenizer: Tokenizer, pool: Sequence[int]) -> tuple[list[int], list[bool]]:
    """Tokens, and which of them follow from those before: chunks of words, or names with times, then again."""
    if rng.random() < 0.5:
        drawn = rng.sample(pool, rng.randint(*N_WORDS))
        chunks = []
        while drawn:
            n = rng.randint(2, LONGEST_CHUNK)
            chunks.append(drawn[:n])
            drawn = drawn[n:]
    else:
        names = rng.sample(pool, rng.randint(*N_ITEMS))
        chunks = [[name, *tokenizer.encode(_times(rng))] for name in names]
    again = rng.sample(chunks, len(chunks))
    tokens = list(chain(*chunks, *again))
    follows = [False] * (len(tokens) // 2) + [i > 0 for chunk in again for i in range(len(chunk))]
    return tokens, follows


def _times(rng: random.Random) -> str:
    start, end = sorted(rng.uniform(0, LONGEST_S) for _ in range(2))
    return rng.choice((f" {start:.1f}-{end:.1f},", f" {start:.1f},"))
