"""Going through inputs that other runs may be at too: what is done is passed over, what is taken is put off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

Item = TypeVar("Item")
ItemOf = TypeVar("ItemOf", contravariant=True)

Found = Literal["ok", "partial"]  # the status of a result that stands already


@dataclass(frozen=True)
class Turn(Generic[Item]):
    """An input whose turn it is. Where `found` is None it is this run's to do, and to release."""

    item: Item
    found: Found | None = None


class Shared(Protocol[ItemOf]):
    """What the runs over one folder know of each other."""

    def found(self, item: ItemOf) -> Found | None:
        """The result that stands, if one does: of earlier runs, and by now of those beside this one."""

    def claim(self, item: ItemOf) -> bool:
        """Take an input for this run; False where another one has it."""

    def release(self, item: ItemOf) -> None:
        """Give it back."""

    def wait(self, n_left: int) -> None:
        """Nothing is left but inputs that others have: pass some time."""


def passes(items: Sequence[Item], shared: Shared[Item]) -> Iterator[Iterator[Turn[Item]]]:
    """Each input once, in as many passes as it takes.

    Those that another run has are put off to the next pass: when it is done with one, or has died, that is found done, or is
    done here. A pass is to be gone through, and what it gave to be released, before the next one is asked for: two
    runs that each wait for what the other holds would wait for ever.
    """
    left = list(items)
    while left:
        put_off: list[Item] = []
        yield _turns(left, shared, put_off)
        if len(put_off) == len(left):
            shared.wait(len(left))
        left = put_off


def _turns(items: Sequence[Item], shared: Shared[Item], put_off: list[Item]) -> Iterator[Turn[Item]]:
    for item in items:
        found = shared.found(item)
        if found is None:
            if not shared.claim(item):
                put_off.append(item)
                continue
            found = shared.found(item)  # by another run, between the look and the claim
            if found is not None:
                shared.release(item)
        yield Turn(item, found)
