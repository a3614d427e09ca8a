"""What every domain gives to rendering, training and measuring: a clip, what is true of it, what is asked."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from moss_cli.engine.thinking import END_THINK, THINK

SAMPLE_RATE = 16_000
MOST_COUNTED = 6
THINK_SHARES = (0.65, 0.15, 0.2)


@dataclass(frozen=True)
class Segment:
    """One sentence in a clip, in seconds from the clip's start."""

    start: float
    end: float
    text: str
    word_starts: list[float]


@dataclass(frozen=True)
class Asked:
    """An instruction as a command sends it, and the right answer as the model is to write it.

    `think` is the prompt's (see `build_prompt`). Where it is True, the answer holds the whole thought,
    from the `<think>` with which the prompt opens it. `given` is what the answer begins with and is not learned."""

    prompt: str
    answer: str
    think: bool | None = None
    given: str = ""


@dataclass(frozen=True)
class Track:
    """Something that holds from `start_s` to `end_s`, for the heads that are used in training only.
    `label` is `family/name`: `event/dog bark`, `tempo/112`."""

    start_s: float
    end_s: float
    label: str

    @property
    def family(self) -> str:
        return self.label.split("/", 1)[0]


def counted(name: str, starts_s: Iterable[float], end_s: float) -> list[Track]:
    """What was counted so far: `name/2` from the second start until the third, the last one until `end_s`."""
    starts = list(starts_s)[:MOST_COUNTED]
    return [Track(a, b, f"{name}/{i}") for i, (a, b) in enumerate(pairwise([*starts, end_s]), start=1)]


@dataclass(frozen=True)
class Example:
    """A clip of 16 kHz float32 samples. `truth` is what labels.jsonl says of it; `families` are the kinds of
    track that are known of this clip: what has no track of such a family is known not to be there."""

    samples: np.ndarray
    truth: Mapping[str, Any]
    asked: tuple[Asked, ...]
    tracks: tuple[Track, ...] = ()
    families: frozenset[str] = field(default_factory=frozenset)
    spoken: tuple[Segment, ...] | None = None  # every sentence, where what is said is known

    @property
    def duration_s(self) -> float:
        return len(self.samples) / SAMPLE_RATE


def may_think(rng: random.Random) -> bool | None:
    """How a prompt has it think: as it pleases (then it does), because it must, or not."""
    return rng.choices((None, True, False), THINK_SHARES)[0]


def thought_over(prompt: str, thought: str, answer: str, think: bool | None) -> Asked:
    """An answer after a thought, but where the prompt forbids it."""
    return Asked(prompt, answer if think is False else f"{THINK}\n{thought}\n{END_THINK}{answer}", think)


def in_json(values: Mapping[str, Any]) -> str:
    """An answer with the white space that the commands' grammars ask for."""
    return json.dumps(values, ensure_ascii=False, separators=(", ", ": "))


def tenths(time_s: float) -> float:
    """A time as answers give it: to a tenth of a second."""
    return round(time_s, 1)
