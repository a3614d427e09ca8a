"""Where what was found of an input's pieces is kept until the whole input is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol


class Journal(Protocol):
    """What was found of each piece of one input. The runner says what it has opened, asks before a piece is answered,
    and tells afterwards."""

    def begin(self, opened: Opened) -> None:
        """The input was opened: what is kept is of these bytes, and what was kept of others is not given."""

    @property
    def pieces(self) -> Mapping[str, list[dict[str, Any]]]:
        """All that `get` gives, by piece."""

    def get(self, piece: str) -> list[dict[str, Any]] | None:
        """What was put for `piece` by this run or an earlier one of the same work; None where nothing was."""

    def put(self, piece: str, found: list[dict[str, Any]]) -> None:
        """Keep what was found of a piece: JSON-able values, which `get` gives back equal."""


@dataclass(frozen=True)
class Opened:
    """An input as it was opened: its bytes' SHA-256, and where in it what is analysed begins, and how long that is."""

    sha256: str
    start_s: float
    total_s: float | None


class NoJournal:
    """Keeps nothing: for inputs whose results do not go into a folder."""

    pieces: Mapping[str, list[dict[str, Any]]] = MappingProxyType({})

    def begin(self, opened: Opened) -> None:
        pass

    def get(self, piece: str) -> list[dict[str, Any]] | None:
        return None

    def put(self, piece: str, found: list[dict[str, Any]]) -> None:
        pass
