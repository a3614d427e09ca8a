"""Comparing a checkpoint on this machine with what the hub said of its files; it works without a network."""

from __future__ import annotations

from collections.abc import Callable

from moss_cli.models.hub_file import Damage, Listing, damage_of
from moss_cli.models.pulled import known_listing
from moss_cli.models.registry import Resolved


def listing_of(found: Resolved) -> Listing | None:
    """What the files of a model should be; None where nobody knows, as of a folder of one's own."""
    if found.entry.hub is None or found.revision is None:
        return None
    return known_listing(found.entry.hub, found.revision)


def damages(found: Resolved, listing: Listing, tell: Callable[[int, int], None]) -> list[Damage]:
    """What is wrong with each file that is not as it should be. Every byte is read; `tell` is given how many of how
    many were."""
    n_done = 0

    def more(n_bytes: int) -> None:
        nonlocal n_done
        n_done += n_bytes
        tell(n_done, listing.size)

    wrong = (damage_of(found.folder / file.name, file, more) for file in listing.files)
    return [damage for damage in wrong if damage]
