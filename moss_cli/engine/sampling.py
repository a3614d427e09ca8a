"""How the next token is to be chosen. Draws depend only on a row's own key, never on its neighbours."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

COLDEST = 1e-5  # below it the likeliest token is drawn all the time, and logits divided by it overflow


@dataclass(frozen=True)
class Sampling:
    """`temperature` 0 is greedy; `top_k` 0 and `top_p` 1 cut nothing off."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0

    @property
    def greedy(self) -> bool:
        return self.temperature < COLDEST


def draw_seed(seed: int, input_id: str, chunk: int | str, attempt: int) -> int:
    """The seed of one answer's draws: the same wherever and with whatever it is decoded."""
    digest = hashlib.sha256(f"{seed}/{input_id}/{chunk}/{attempt}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1
