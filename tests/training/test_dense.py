"""Pieces of speech without pauses, whose ends may lie within a word."""

from __future__ import annotations

import random

import numpy as np
import pytest

from training.dense import HELD, LENGTH_S, dense_clip
from training.voices import Spoken

RATE = 16_000
WORD_S = 0.5


def counted() -> list[Spoken]:
    """Sentences of four words of half a second, all different: `w0 w1 w2 w3`, `w4 ...`; every third knows no words."""
    found = []
    for i in range(40):
        words = [f"w{4 * i + k}" for k in range(4)]
        tone = np.sin(np.arange(round(4 * WORD_S * RATE)) * 0.3).astype(np.float32)
        starts = [] if i % 3 == 2 else [k * WORD_S for k in range(4)]
        found.append(Spoken(" ".join(words), tone, starts))
    return found


@pytest.mark.parametrize("seed", range(25))
def test_a_piece_has_the_words_that_are_heard_in_it_in_order_with_their_times(seed: int) -> None:
    sentences = iter(counted())
    clip = dense_clip(random.Random(seed), lambda: next(sentences))
    assert LENGTH_S[0] - 1e-3 <= clip.duration_s <= LENGTH_S[1]
    words = [int(word[1:]) for segment in clip.segments for word in segment.text.split()]
    known = [n for n in range(words[0], words[-1] + 1) if n // 4 % 3 != 2]
    assert words == known  # none is lost or doubled, and sentences of unknown words are never there
    starts = [start for segment in clip.segments for start in segment.word_starts]
    assert starts == sorted(starts)
    for segment in clip.segments:
        assert 0 <= segment.start == segment.word_starts[0] < segment.end <= clip.duration_s + 1e-3
        whole = segment.word_starts[1:-1]
        np.testing.assert_allclose(np.diff(whole), WORD_S)
        assert segment.end - segment.word_starts[-1] >= HELD * WORD_S - 1e-3
