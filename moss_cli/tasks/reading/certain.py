"""What is certain of a result while the chunks of its recording are still being answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from moss_cli.schema import Record

C_co = TypeVar("C_co", bound=Record, covariant=True)


@dataclass(frozen=True)
class Certain(Generic[C_co]):
    """More of the beginning of a merged result: no later chunk can change it.

    `result` has the items that follow those which were certain before, and `text` what follows in the running text of
    a result without items. No item that is still to come begins before `before_s`, in seconds of the file; infinity
    where none is to come, and else the recording goes on for half a second more at least.
    """

    result: C_co
    text: str
    before_s: float


class Merging(Protocol[C_co]):
    """Merges what comes of one input's chunks, given in their order, as far as it is certain."""

    def add(self, parts: Sequence[Any], next_s: float) -> Certain[C_co]:
        """What is certain once `parts`, all that came of the next chunk, are known. Whatever follows begins at
        `next_s` or later."""
