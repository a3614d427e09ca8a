"""What to measure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """The sizes of a measurement.

    `batches`: how many rows are decoded together, one number after another. Each row is asked about a clip of `audio_s`
    and decodes `new_tokens`. `turns`: how often at most two implementations take turns.
    """

    batches: tuple[int, ...] = (1, 8)
    audio_s: float = 30.0
    new_tokens: int = 32
    turns: int = 5
