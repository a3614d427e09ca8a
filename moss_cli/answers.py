"""What is asked of a model and how its answers end, in text: the words that tasks and backends share."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

COLDEST = 1e-5  # below it the likeliest token is drawn all the time, and logits divided by it overflow

FinishReason = Literal["stop", "length", "loop"]


@dataclass(frozen=True)
class JsonSchema:
    """The form of an answer: one JSON value. `text` is its JSON Schema, as JSON."""

    text: str


@dataclass(frozen=True)
class Grammar:
    """The form of an answer: a grammar in the Lark syntax of llguidance."""

    text: str


Form = JsonSchema | Grammar


@dataclass(frozen=True)
class Turn:
    """An earlier question of a conversation, and its answer."""

    question: str
    answer: str


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen. `temperature` 0 is greedy; `top_k` 0 and `top_p` 1 cut nothing off."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0

    @property
    def greedy(self) -> bool:
        return self.temperature < COLDEST


@dataclass(frozen=True)
class Cost:
    """What answers took, in the tokens of whoever gave them."""

    prompt: int = 0
    generated: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.prompt + other.prompt, self.generated + other.generated)


def draw_seed(seed: int, input_id: str, chunk: int | str, attempt: int) -> int:
    """The seed of one answer's draws: the same wherever and with whatever it is decoded."""
    digest = hashlib.sha256(f"{seed}/{input_id}/{chunk}/{attempt}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1
