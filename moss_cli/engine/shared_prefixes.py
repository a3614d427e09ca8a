"""What the prompts of several questions about one clip begin with: computed once, then copied from slot to slot.

While a row that has it is being decoded, its slot is the copy. One of its own is kept only from when the last such row
has left until the next comes, and only if one is known to come.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from weakref import WeakKeyDictionary

from moss_cli.engine.cache import KeptPrefix, KVCache
from moss_cli.engine.memory import is_out_of_memory, release
from moss_cli.engine.model import AudioFeatures
from moss_cli.engine.row import Row


class SharedPrefixes:
    """Of the rows of one decode loop, whose cache and what is kept may take `max_bytes` together. What is kept is
    forgotten with its clip."""

    def __init__(self, max_bytes: int | None = None) -> None:
        self._max_bytes = max_bytes
        self._kept: WeakKeyDictionary[AudioFeatures, dict[int, KeptPrefix]] = WeakKeyDictionary()

    @property
    def n_bytes(self) -> int:
        """What the kept copies take."""
        return sum(kept.n_bytes for of_clip in self._kept.values() for kept in of_clip.values())

    def stored(self, rows: Iterable[Row], active: Sequence[Row]) -> list[Row]:
        """The rows whose beginning need not be computed: one of those that have the slots has it, or it is kept."""
        return [row for row in rows if _slot(row, active) is not None or self._kept_of(row) is not None]

    def brought(self, rows: Sequence[Row], active: Sequence[Row], cache: KVCache) -> list[Row]:
        """Copy the beginning of each row to the slot that is next behind the active ones; those for which it was still
        there."""
        found: list[Row] = []
        for row in rows:
            target, n_shared = len(active) + len(found), row.request.prompt.n_shared
            source, kept = _slot(row, [*active, *found]), self._kept_of(row)
            if source is not None:
                cache.copy_prefix(source, target, n_shared)
            elif kept is not None:
                cache.put_prefix(target, kept)
                self._forget(row)  # the slot is the copy from now on
            else:
                continue
            row.n_stored = n_shared
            found.append(row)
        return found

    def leave(self, slot: int, active: Sequence[Row], coming: Iterable[Row], cache: KVCache | None) -> None:
        """The row in a slot leaves: what it shares is kept if others, or those that are `coming`, may want it and none
        of the active ones has it."""
        row = active[slot]
        if cache is None or not row.n_stored:
            return
        if any(one.n_stored and one is not row and one.begins_like(row) for one in active):
            return
        n_shared = row.request.prompt.n_shared
        is_wanted = row.more_follow or any(one.begins_like(row) for one in coming)
        if is_wanted and self._has_room(cache.n_bytes + cache.n_bytes_of(n_shared)):
            self._keep(row, cache, slot)

    def _keep(self, row: Row, cache: KVCache, slot: int) -> None:
        """Where there is no memory for that, it is not kept: it would be computed again."""
        audio, n_shared = row.request.prompt.audio, row.request.prompt.n_shared
        if audio is None:
            return
        try:
            self._kept.setdefault(audio, {})[n_shared] = cache.prefix(slot, n_shared)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            release(error, cache.keys[0].device)

    def _has_room(self, n_bytes: int) -> bool:
        return self._max_bytes is None or n_bytes + self.n_bytes <= self._max_bytes

    def clear(self) -> None:
        self._kept.clear()

    def _kept_of(self, row: Row) -> KeptPrefix | None:
        prompt = row.request.prompt
        return None if prompt.audio is None else self._kept.get(prompt.audio, {}).get(prompt.n_shared)

    def _forget(self, row: Row) -> None:
        prompt = row.request.prompt
        if prompt.audio is not None:
            self._kept.get(prompt.audio, {}).pop(prompt.n_shared, None)


def firsts(rows: Iterable[Row]) -> list[Row]:
    """The rows without those that begin like one before them."""
    found: list[Row] = []
    for row in rows:
        if not any(row.begins_like(one) for one in found):
            found.append(row)
    return found


def _slot(row: Row, active: Sequence[Row]) -> int | None:
    """A slot that has what a row begins with."""
    return next((slot for slot, one in enumerate(active) if one.n_stored and one.begins_like(row)), None)
