"""Words told twice, in another order: nothing in speech teaches a model to go on as a text did before, and thoughts,
choices and minutes need just that. A few of these beside what is asked about clips do."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import chain

from moss_cli.engine.tokenizer import Tokenizer
from training.domains.scenes import EVENTS
from training.sentences import vocabulary

LETTERS = "ABCD"
N_WORDS, LONGEST_CHUNK = (3, 30), 4
N_ITEMS, LONGEST_NAME = (2, 6), 5
LONGEST_S = 30


def words(tokenizer: Tokenizer) -> list[int]:
    """The tokens of what is said and heard, as they stand after a blank."""
    texts = [*vocabulary(), *(word for event in EVENTS for word in event.split())]
    return sorted({ids[0] for text in texts if len(ids := tokenizer.encode(f" {text}")) == 1})


def told_twice(rng: random.Random, tokenizer: Tokenizer, pool: Sequence[int]) -> tuple[list[int], list[bool]]:
    """Tokens, and which of them follow from those before: chunks of words, names with times or choices with their
    letters, then the same in another order."""
    draw = rng.choices((_chunks, _timed, _lettered), (0.8, 0.1, 0.1))[0]
    chunks = draw(rng, tokenizer, pool)
    again = rng.sample(chunks, len(chunks))
    tokens = list(chain(*chunks, *again))
    follows = [False] * (len(tokens) // 2) + [i > 0 for chunk in again for i in range(len(chunk))]
    return tokens, follows


def _chunks(rng: random.Random, tokenizer: Tokenizer, pool: Sequence[int]) -> list[list[int]]:
    drawn = rng.sample(pool, round(rng.triangular(*N_WORDS, N_WORDS[0])))  # short ones show how it is done
    chunks = []
    while drawn:
        n = rng.randint(2, LONGEST_CHUNK)
        chunks.append(drawn[:n])
        drawn = drawn[n:]
    return chunks


def _timed(rng: random.Random, tokenizer: Tokenizer, pool: Sequence[int]) -> list[list[int]]:
    names = rng.sample(pool, rng.randint(*N_ITEMS))
    return [[name, *tokenizer.encode(_times(rng))] for name in names]


def _times(rng: random.Random) -> str:
    start, end = sorted(rng.uniform(0, LONGEST_S) for _ in range(2))
    return rng.choice((f" {start:.1f}-{end:.1f},", f" {start:.1f},"))


def _lettered(rng: random.Random, tokenizer: Tokenizer, pool: Sequence[int]) -> list[list[int]]:
    letters = LETTERS[: rng.randint(2, len(LETTERS))]
    longest = rng.choice((1, LONGEST_NAME))
    drawn = iter(rng.sample(pool, longest * len(letters)))
    names = [[next(drawn) for _ in range(rng.randint(1, longest))] for _ in letters]
    return [[*name, *tokenizer.encode(f" {letter},")] for name, letter in zip(names, letters, strict=True)]
