"""Made-up speech, of which a scripted model hears every word: how loud one is tells which it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np

from moss_cli.audio.results import SAMPLE_RATE, Samples
from moss_cli.span import Span

WORD_S, PAUSE_S = 0.4, 0.3
N_TOGETHER = 4  # words of a sentence
LEAST_HEARD_S = 0.2  # less of a word is not understood
_FAINTEST, _STEP = 0.05, 0.0005


@dataclass(frozen=True)
class SpokenWord:
    """The word of that number, in seconds of the clip in which it is heard."""

    number: int
    start_s: float
    end_s: float

    @property
    def text(self) -> str:
        return f"word{self.number}"


def talk(n_words: int, first: int = 0) -> Samples:
    """Sentences, with a pause before each and after the last."""
    sign = np.where(np.arange(round(WORD_S * SAMPLE_RATE)) % 2, -1, 1).astype(np.float32)
    pause: Samples = np.zeros(round(PAUSE_S * SAMPLE_RATE), np.float32)
    pieces: list[Samples] = []
    for number in range(first, first + n_words):
        if number % N_TOGETHER == 0:
            pieces.append(pause)
        pieces.append(sign * np.float32(_FAINTEST + _STEP * number))
    return np.concatenate([*pieces, pause])


def understood(samples: Samples) -> list[SpokenWord]:
    """The words of which enough is heard."""
    numbers = np.where(np.abs(samples) < _FAINTEST / 2, -1, np.round((np.abs(samples) - _FAINTEST) / _STEP)).astype(int)
    edges = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(samples)]
    words = [
        SpokenWord(int(numbers[first]), first / SAMPLE_RATE, last / SAMPLE_RATE)
        for first, last in pairwise(edges)
        if first < last and numbers[first] >= 0
    ]
    return [word for word in words if word.end_s - word.start_s >= LEAST_HEARD_S]


def transcript(words: Sequence[SpokenWord]) -> str:
    """`[start]text[end]` for each sentence."""
    found = ""
    for _, together in groupby(words, lambda word: word.number // N_TOGETHER):
        said = list(together)
        found += f"[{said[0].start_s:.2f}]{' '.join(word.text for word in said)}[{said[-1].end_s:.2f}]"
    return found


def spoken_in(samples: Samples, start_s: float = 0.0) -> tuple[Span, ...]:
    """Where somebody speaks."""
    words = understood(samples)
    found: list[Span] = []
    for _, together in groupby(words, lambda word: word.number // N_TOGETHER):
        said = list(together)
        found.append(Span(start_s + said[0].start_s, start_s + said[-1].end_s))
    return tuple(found)
