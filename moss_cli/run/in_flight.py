"""Conversations in flight: each goes on as soon as what it waits for has come, and fails alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from moss_cli.backends.protocol import Answered, Backend, Delta, Event
from moss_cli.errors import MossError, as_moss_error
from moss_cli.run.conversation import Conversation, Listen

OnEnd = Callable[[Any], None]  # what the conversation returned, or the MossError that it ended with


@dataclass(eq=False)
class _Open:
    """A conversation that waits for an answer. `text`: as much of it as has come and is certain."""

    owner: Hashable
    conversation: Conversation[Any]
    on_end: OnEnd
    on_seconds: Callable[[float], None]
    on_text: Callable[[str], None] | None
    text: str = ""


class InFlight:
    """Conversations with one backend. `on_decoded` is told how much has come of an answer, by whose it is."""

    def __init__(self, backend: Backend, on_decoded: Callable[[Hashable, int], None]) -> None:
        self.backend = backend
        self._on_decoded = on_decoded
        self._open: dict[int, _Open] = {}

    def __len__(self) -> int:
        return len(self._open)

    @property
    def has_room(self) -> bool:
        """Whether the backend could be at one more."""
        return len(self._open) < self.backend.n_together

    def begin(
        self,
        owner: Hashable,
        conversation: Conversation[Any],
        on_end: OnEnd,
        *,
        on_seconds: Callable[[float], None],
        on_text: Callable[[str], None] | None = None,
    ) -> None:
        """Begin a conversation: it may come to its end before this returns.

        `on_end` gets what it returns, or the MossError with which it failed. `on_seconds` is told the time it takes,
        and `on_text` each time the beginning of the answer that has come.
        """
        started = time.monotonic()
        self._go_on(_Open(owner, conversation, on_end, on_seconds, on_text))
        on_seconds(time.monotonic() - started)

    def step(self) -> None:
        """Go on a little with all of them."""
        if not self._open:
            return
        started, going = time.monotonic(), list(self._open.values())
        try:
            events = self.backend.step()
        except Exception as error:  # noqa: BLE001 - the backend does not say whose fault it is
            failure = as_moss_error(error)
            for ticket in list(self._open):
                self.backend.cancel(ticket)
                self._end(ticket, failure)
        else:
            for event in events:
                self._take(event)
        share_s = (time.monotonic() - started) / len(going)
        for one in going:
            one.on_seconds(share_s)

    def drop(self, owner: Hashable) -> None:
        """Forget the conversations of an owner."""
        for ticket in [ticket for ticket, one in self._open.items() if one.owner == owner]:
            self.backend.cancel(ticket)
            self._open.pop(ticket).conversation.close()

    def drop_all(self) -> None:
        """Forget all of them."""
        for owner in {one.owner for one in self._open.values()}:
            self.drop(owner)

    def _take(self, event: Event) -> None:
        one = self._open.get(event.ticket)
        if one is None:  # dropped since
            return
        if isinstance(event, Delta):
            one.text += event.text
            self._on_decoded(one.owner, event.n_decoded)
            if one.on_text is not None and event.text:
                one.on_text(one.text)
        elif isinstance(event, Answered):
            self._go_on(self._open.pop(event.ticket), event.reply)
        else:
            self._end(event.ticket, event.error)

    def _end(self, ticket: int, error: MossError) -> None:
        """An answer that does not come: the conversation may know what to do without it."""
        one = self._open.pop(ticket, None)
        if one is not None:  # its owner's end may have dropped it
            self._go_on(one, error=error)

    def _go_on(self, one: _Open, value: Any = None, error: MossError | None = None) -> None:
        """Send a conversation what it waits for, until it waits for an answer or is at its end."""
        while True:
            try:
                wanted = one.conversation.throw(error) if error is not None else one.conversation.send(value)
            except StopIteration as end:
                one.on_end(end.value)
                return
            except Exception as failure:  # noqa: BLE001 - one conversation must not take the others with it
                one.on_end(as_moss_error(failure))
                return
            value = error = None
            try:
                if isinstance(wanted, Listen):
                    value = self.backend.listen(wanted.samples)
                    continue
                ticket = self.backend.submit(wanted)
            except Exception as failure:  # noqa: BLE001 - likewise
                error = as_moss_error(failure)
                continue
            one.text = ""
            self._open[ticket] = one
            return
