"""The decode loop: requests go in at any time, and every step moves all that are being decoded on by one token.

Rows have the slots 0 to n - 1 of one cache. A slot that falls free is given to the next request at once; where none
waits, the last row moves into it, so that a step never computes or gathers for empty slots.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from moss_cli.engine.cache import KVCache, bucket, cache_bytes
from moss_cli.engine.choose import choose
from moss_cli.engine.graphs import Steps
from moss_cli.engine.memory import is_out_of_memory, out_of_memory, release
from moss_cli.engine.model import MossAudio
from moss_cli.engine.prefill import prefill, prefill_groups
from moss_cli.engine.row import DecodeRequest, Generation, Row, check_fits
from moss_cli.engine.shared_prefixes import SharedPrefixes, firsts

GROWTH = 1.25  # of the cache's length, at least; chosen: a long answer then costs few copies of the cache

Forward = Callable[[Sequence[Row], int, KVCache], Tensor]  # logits [B, V] of the rows in the slots from so many on


@dataclass(frozen=True)
class Decoded:
    """A token was chosen. `ids`: all of the answer so far; `n_settled` of them stand, see `Generation`."""

    ticket: int
    ids: tuple[int, ...]
    n_settled: int


@dataclass(frozen=True)
class Ended:
    """An answer is at its end."""

    ticket: int
    generation: Generation


@dataclass(frozen=True)
class Broken:
    """A request failed, for a reason of its own."""

    ticket: int
    error: Exception


Event = Decoded | Ended | Broken


class Decoding:
    """Decodes up to `n_slots` requests at a time; the others wait, in the order in which they came.

    max_cache_bytes: what the cache may take. A request is admitted only if the cache still fits when every row becomes
    as long as it may; one is always admitted. When memory runs out all the same, `n_slots` is lowered for good and what
    was decoded so far is prefilled again: nothing is lost, or told twice. What the prompts of questions about one clip
    begin with is prefilled once, see `SharedPrefixes`. `graphs`: see `Steps`.
    """

    def __init__(
        self,
        model: MossAudio,
        stop_ids: frozenset[int],
        *,
        n_slots: int,
        max_cache_bytes: int | None = None,
        graphs: bool = True,
    ) -> None:
        self.n_slots = n_slots
        self.n_steps = 0  # forward passes of decode steps so far
        self.n_audio_prefilled = 0  # positions of audio that were prefilled so far
        self._model, self._stop_ids, self._max_cache_bytes = model, stop_ids, max_cache_bytes
        self._steps = Steps(model, graphs=graphs)
        self._tickets = itertools.count()
        self._waiting: deque[Row] = deque()
        self._joining: list[Row] = []  # being prefilled
        self._active: list[Row] = []  # by slot
        self._cache: KVCache | None = None
        self._prefixes = SharedPrefixes(max_cache_bytes)
        self._events: list[Event] = []

    @property
    def n_waiting(self) -> int:
        return len(self._waiting)

    @property
    def n_active(self) -> int:
        return len(self._active)

    def submit(self, request: DecodeRequest) -> int:
        """Put a request in the queue; the ticket that its events carry. Raises UsageError for one that does not fit the
        model."""
        check_fits(request, self._model.config.language.max_position_embeddings)
        row = Row(next(self._tickets), request, self._stop_ids)
        try:
            row.take_prefix()
        except Exception as error:  # noqa: BLE001 - told as the request's own
            self._events.append(Broken(row.ticket, error))
            return row.ticket
        if row.finish_reason is not None:
            self._events.append(Ended(row.ticket, row.generation))
        else:
            self._waiting.append(row)
        return row.ticket

    def cancel(self, ticket: int) -> None:
        """Forget a request; nothing more is told of it. One that has ended is none of its business."""
        self._waiting = deque(row for row in self._waiting if row.ticket != ticket)
        self._joining = [row for row in self._joining if row.ticket != ticket]
        self._events = [event for event in self._events if event.ticket != ticket]
        self._leave([slot for slot, row in enumerate(self._active) if row.ticket == ticket])

    @torch.inference_mode()
    def step(self) -> list[Event]:
        """Admit what there is room for, then decode one token of every row. What has come of it; after running out of
        memory, or with nothing left to do, perhaps nothing."""
        failure: Exception | None = None
        try:
            self._admit()
            if self._active:
                self._reserve(self._active)
                self._advance(self._active, 0, self._steps)
                self.n_steps += 1
        except Exception as error:  # noqa: BLE001 - told as the requests' own
            failure = error
        if failure is not None and is_out_of_memory(failure):
            self._make_do_with_less(failure)
        elif failure is not None:
            self._give_up(failure)
        events, self._events = self._events, []
        return events

    def _admit(self) -> None:
        """Prefill what waits, as far as there are slots and memory. Rows that end at once make room for more."""
        while self._waiting and self._has_room():
            while self._waiting and self._has_room():
                self._joining.append(self._waiting.popleft())
            self._reserve([*self._active, *self._joining], n_more=1)
            while self._joining:
                self._join()

    def _join(self) -> None:
        """Give slots to those that join: first to what has the beginning of its prompt stored elsewhere, and then to
        one of each that begin alike."""
        assert self._cache is not None
        stored = self._prefixes.stored(self._joining, self._active)
        for group in prefill_groups(stored, have_stored=True):
            self._take_in(self._prefixes.brought(group, self._active, self._cache))
        stored = self._prefixes.stored(self._joining, self._active)
        for group in prefill_groups(firsts(row for row in self._joining if row not in stored)):
            self._take_in(group)

    def _take_in(self, group: Sequence[Row]) -> None:
        """Prefill rows, which have the next slots."""
        if not group:
            return
        self._joining = [row for row in self._joining if row not in group]
        self._active += group
        self._advance(group, len(self._active) - len(group), self._prefill)

    def _has_room(self) -> bool:
        """Whether the next request's row fits beside the others, were all to become as long as they may. What is kept
        of prefixes makes room."""
        rows = [*self._active, *self._joining, self._waiting[0]]
        most = max(row.request.most_positions for row in rows)
        if len(rows) > max(1, self.n_slots):
            return False
        if not self._fits(len(rows), most):
            self._prefixes.clear()
        return len(rows) == 1 or self._fits(len(rows), most)

    def _fits(self, n_slots: int, n_positions: int) -> bool:
        """Whether a cache of this size may be there beside what is kept."""
        needed = cache_bytes(self._model.config.language, n_slots, n_positions, self._model.dtype)
        return self._max_cache_bytes is None or needed + self._prefixes.n_bytes <= self._max_cache_bytes

    def _reserve(self, rows: Sequence[Row], n_more: int = 0) -> None:
        """Bring the cache to a size that holds what the rows have, and `n_more` positions of each."""
        model, n_slots, n_positions = self._model, len(rows), max(row.n_positions for row in rows) + n_more
        if self._cache is None:
            self._cache = KVCache(model.config.language, 0, 0, device=model.device, dtype=model.dtype)
        held_slots, held = self._cache.n_slots, self._cache.n_positions
        if n_positions > held:
            held = max(int(held * GROWTH), self._steps.positions_for(rows))
        # It never shrinks in one direction but to grow in the other.
        roomy = (
            max(held_slots, n_slots, min(self._steps.rows_for(n_slots), self.n_slots)),
            bucket(max(n_positions, held)),
        )
        self._cache.resize(*(roomy if self._fits(*roomy) else (n_slots, n_positions)))

    def _advance(self, rows: Sequence[Row], first: int, forward: Forward) -> None:
        """Choose the next token of each of the rows, which have the slots from `first` on."""
        leaving = []
        for slot, (row, token) in enumerate(zip(rows, self._tokens(rows, first, forward), strict=True), first):
            if not self._take(row, token):
                leaving.append(slot)
        self._leave(leaving)

    def _tokens(self, rows: Sequence[Row], first: int, forward: Forward) -> list[int | Exception]:
        """The rows' next tokens. Where choosing them together fails, each row is tried alone, so that only the one at
        fault has the error in its place. Raises what says that memory ran out."""
        assert self._cache is not None
        try:
            return list(choose(forward(rows, first, self._cache), rows))
        except Exception as error:
            if is_out_of_memory(error):
                raise
            release(error, self._model.device)
            failure = error
        if len(rows) == 1:
            return [failure]
        return [token for slot, row in enumerate(rows, first) for token in self._tokens([row], slot, forward)]

    def _prefill(self, rows: Sequence[Row], first: int, cache: KVCache) -> Tensor:
        tokens, past = prefill(rows, first, cache, self._model.device)
        logits: Tensor = self._model(tokens, past)
        for row in rows:
            if not row.n_stored:
                self.n_audio_prefilled += int(row.request.prompt.audio_mask.sum())
                row.n_stored = row.request.prompt.n_shared
        return logits

    def _take(self, row: Row, token: int | Exception) -> bool:
        """Give a row its token and tell of it; whether the row goes on."""
        try:
            if isinstance(token, Exception):
                raise token
            n_before = len(row.ids)
            row.take(token)
        except Exception as error:  # noqa: BLE001 - told as the request's own
            self._events.append(Broken(row.ticket, error))
            row.is_over = True
            return False
        if len(row.ids) > n_before:
            self._events.append(Decoded(row.ticket, tuple(row.ids), row.n_settled))
        if row.finish_reason is not None:
            self._events.append(Ended(row.ticket, row.generation))
            row.is_over = True
        return not row.is_over

    def _leave(self, slots: Sequence[int]) -> None:
        """Free some slots, moving the last rows into the gaps."""
        for slot in sorted(slots, reverse=True):
            self._prefixes.leave(slot, self._active, (*self._waiting, *self._joining), self._cache)
            last = len(self._active) - 1
            if slot < last:
                assert self._cache is not None
                self._cache.move(last, slot)
                self._active[slot] = self._active[last]
            self._active.pop()

    def _taken_out(self) -> list[Row]:
        """The rows that are being decoded and have not ended, in the order in which they came; the cache is dropped."""
        rows = {row.ticket: row for row in (*self._active, *self._joining) if not row.is_over}
        self._active, self._joining, self._cache = [], [], None
        self._prefixes.clear()
        self._steps.forget()
        for row in rows.values():
            row.n_stored = 0
        return [rows[ticket] for ticket in sorted(rows)]

    def _give_up(self, failure: Exception) -> None:
        """Something broke that is no row's own, like the making of the cache: all that are decoded have failed."""
        rows = self._taken_out()
        release(failure, self._model.device)
        self._events += [Broken(row.ticket, failure) for row in rows]

    def _make_do_with_less(self, shortage: Exception) -> None:
        """Put the rows back in front of the queue, drop the cache, and let fewer of them in from now on. What does not
        fit alone has failed."""
        is_alone = (self._cache is None or self._cache.n_slots == 1) and not self._prefixes.n_bytes
        rows = self._taken_out()
        is_alone = is_alone and len(rows) == 1
        release(shortage, self._model.device)
        if is_alone:
            self._events.append(Broken(rows[0].ticket, out_of_memory(self._model.device, shortage)))
            return
        if len(rows) > 1:
            self.n_slots = min(self.n_slots, len(rows) // 2)
        self._waiting.extendleft(reversed(rows))
