"""What the driver and its workers tell each other. All of it is pickled.

Inputs have numbers, by which both sides mean the same one, whatever it is called on either.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moss_cli.errors import MossError
from moss_cli.run.inputs import Input
from moss_cli.run.job import Outcome, Step
from moss_cli.run.journal import Opened

Pieces = dict[str, list[dict[str, Any]]]  # what was found of each piece of an input, as a journal keeps it


@dataclass(frozen=True)
class Given:
    """An input for a worker, with its absolute path. `data`: the file's bytes, where the worker cannot see it."""

    number: int
    input: Input
    path: Path
    data: bytes | None = None


@dataclass(frozen=True)
class Began:
    """A worker has opened an input, and waits to be told what an earlier run found of it."""

    number: int
    opened: Opened


@dataclass(frozen=True)
class FoundPiece:
    """What came of a piece, to be kept in the input's journal."""

    number: int
    piece: str
    found: list[dict[str, Any]]


@dataclass(frozen=True)
class Stepped:
    """What a worker is doing."""

    number: int
    step: Step


@dataclass(frozen=True)
class Warned:
    """A warning about the whole run."""

    message: str


@dataclass(frozen=True)
class InputEnded:
    """An input has an outcome."""

    number: int
    outcome: Outcome


@dataclass(frozen=True)
class Stopped:
    """A worker cannot go on with any input, for a reason that its node alone may have."""

    error: MossError


Message = Began | FoundPiece | Stepped | Warned | InputEnded | Stopped
