"""What a measurement gives: figures in seconds and bytes, and the document that keeps them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from moss_cli.bench.ceilings import Ceilings
from moss_cli.bench.machine import Machine
from moss_cli.bench.memory import MemoryUse


@dataclass(frozen=True)
class BatchFigures:
    """Of so many rows together.

    `step_s` is the middle one of the decode steps, and `step_least_s` the quickest; `step_bytes` what a step has to
    move. The shares are of the measured ceilings. `real_time`: seconds of audio transcribed in a second.
    """

    batch: int
    prompt_tokens: int
    encoder_s: float
    prefill_s: float
    prefill_tokens_s: float
    matrix_share: float
    step_s: float
    step_least_s: float
    tokens_s: float
    step_bytes: int
    bandwidth_share: float
    real_time: float


@dataclass(frozen=True)
class Turns:
    """Ours and another implementation's times for the same answers, taken in turns: medians, and the ratio of them with
    the lowest and highest of a turn. `first_difference`: the first token at which an answer differs, None if none does;
    `threads`: the other's."""

    batch: int
    turns: int
    ours_s: float
    theirs_s: float
    ratio: float
    ratio_least: float
    ratio_most: float
    threads: int
    first_difference: int | None


@dataclass(frozen=True)
class Comparison:
    """Beside another implementation: its name and version, and what was asked of both."""

    other: str
    prompt_tokens: int
    new_tokens: int
    batches: tuple[Turns, ...]


@dataclass(frozen=True)
class SubjectFacts:
    """What was measured."""

    name: str
    weights: str  # "random" or "checkpoint"
    dtype: str
    compute: str
    parameters: int
    bytes: int


@dataclass(frozen=True)
class Result:
    """All of one measurement. `left_out`: batches that did not fit into memory."""

    moss: str
    date: str
    machine: Machine
    subject: SubjectFacts
    ceilings: Ceilings
    audio_s: float
    new_tokens: int
    tokens_per_audio_s: float
    load_s: float
    load_memory: MemoryUse
    run_memory: MemoryUse
    encoder_s: float
    encoder_real_time: float
    first_token_s: float
    batches: tuple[BatchFigures, ...]
    left_out: tuple[int, ...]
    comparison: Comparison | None

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)
