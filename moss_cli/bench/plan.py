"""What to measure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """The sizes of a measurement.

    `batches`: how many rows are decoded together, one number after another. Each row is asked about a clip of `audio_s`
    and decodes `new_tokens`.
    """

    batches: tuple[int, ...] = (1, 8)
    audio_s: float = 30.0
    new_tokens: int = 32
