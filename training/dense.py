"""Pieces of speech without pauses, as they come of cutting a long recording: the ends may lie within a word."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from training.clips import Clip, finish
from training.examples import SAMPLE_RATE, Segment
from training.voices import Spoken

LENGTH_S = (4.0, 13.0)
GAP_S = (0.2, 0.3)
PAUSED, PAUSE_S = 0.2, (0.3, 1.5)  # of the sentences, that follow a pause after all
HELD = 0.5  # a word counts that is heard for at least so much of its time


def dense_clip(rng: random.Random, draw: Callable[[], Spoken]) -> Clip:
    """A piece of 4 to 13 s out of sentences that follow closely. Sentences without known words are not drawn."""
    length_s = rng.uniform(*LENGTH_S)
    parts: list[np.ndarray] = []
    placed: list[Segment] = []
    at_s = 0.0
    begin_s = None
    while begin_s is None or at_s < begin_s + length_s:
        one = draw()
        if len(one.word_starts_s) != len(one.text.split()):
            continue
        gap = round(rng.uniform(*(PAUSE_S if rng.random() < PAUSED else GAP_S)) * SAMPLE_RATE)
        parts += [one.samples, np.zeros(gap, np.float32)]
        end_s = at_s + len(one.samples) / SAMPLE_RATE
        placed.append(Segment(at_s, end_s, one.text, [at_s + t for t in one.word_starts_s]))
        at_s = end_s + gap / SAMPLE_RATE
        begin_s = rng.uniform(0, at_s) if begin_s is None else begin_s
    first = round(begin_s * SAMPLE_RATE)
    samples = np.concatenate(parts)[first : first + round(length_s * SAMPLE_RATE)]
    heard = [part for one in placed if (part := _within(one, begin_s, begin_s + length_s))]
    return finish(rng, samples, heard)


def _within(sentence: Segment, start_s: float, end_s: float) -> Segment | None:
    """What is heard of a sentence between two times, in seconds from the first; None where no word is."""
    kept = []
    for word, (a, b) in zip(sentence.text.split(), pairwise([*sentence.word_starts, sentence.end]), strict=True):
        if min(b, end_s) - max(a, start_s) >= HELD * (b - a):
            kept.append((word, max(a, start_s) - start_s, min(b, end_s) - start_s))
    if not kept:
        return None
    return Segment(kept[0][1], kept[-1][2], " ".join(word for word, _, _ in kept), [start for _, start, _ in kept])
