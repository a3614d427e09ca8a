"""Conversations in flight: each goes on as soon as what it waits for has come, and fails alone.

Clips are listened to together: as many as have come when one is needed or, where the backend can listen beside
answering, when it has nothing else to listen to. So it need not take in each by itself as soon as there is room. What
several conversations want is listened to once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from moss_cli.audio.results import SAMPLE_RATE
from moss_cli.backends.protocol import Answered, Backend, Clip, Delta, Event
from moss_cli.errors import MossError, as_moss_error
from moss_cli.run.conversation import Conversation, Listen
from moss_cli.run.listening import Listening

AHEAD_S = 64.0  # of clips that wait though there is no room for their answers; chosen: 16 of the encoder's windows
MOST_TIMES = 2  # as many as are answered together are in flight at most; chosen

OnEnd = Callable[[Any], None]  # what the conversation returned, or the MossError that it ended with


@dataclass(eq=False)
class _Open:
    """A conversation that waits for a clip or for an answer. `text`: as much of it as has come and is certain."""

    owner: Hashable
    conversation: Conversation[Any]
    on_end: OnEnd
    on_seconds: Callable[[float], None]
    on_text: Callable[[str], None] | None
    text: str = ""
    is_dropped: bool = False


class InFlight:
    """Conversations with one backend. `on_decoded` is told how much has come of an answer, by whose it is."""

    def __init__(self, backend: Backend, on_decoded: Callable[[Hashable, int], None]) -> None:
        self.backend = backend
        self._on_decoded = on_decoded
        self._unheard: dict[_Open, Listen] = {}  # that wait for a clip, in the order in which they came
        self._listening: Listening | None = None  # to the clips of these:
        self._listened_for: dict[Hashable, list[_Open]] = {}  # by piece
        self._clips: WeakValueDictionary[Hashable, Clip] = WeakValueDictionary()  # by piece, that are asked about
        self._open: dict[int, _Open] = {}  # that wait for an answer, by ticket

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> list[_Open]:
        given = [one for them in self._listened_for.values() for one in them if not one.is_dropped]
        return [*self._unheard, *given, *self._open.values()]

    @property
    def has_room(self) -> bool:
        """Whether the backend could be at one more, or could listen to one more together with those that wait."""
        n_together, n_all = self.backend.n_together, len(self)
        waiting = _by_piece(self._unheard)
        waiting_s = sum(len(wanted.samples) for wanted, _ in waiting.values()) / SAMPLE_RATE
        return n_all < n_together or (
            len(self._unheard) < n_together - 1 and waiting_s < AHEAD_S and n_all < MOST_TIMES * n_together
        )

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
        if not len(self):
            return
        started, going = time.monotonic(), self._all()
        self._listen()
        if self._open:
            self._decode()
        share_s = (time.monotonic() - started) / len(going)
        for one in going:
            one.on_seconds(share_s)

    def _listen(self) -> None:
        """Take the clips that have been listened to, and listen to all that wait, where it is time for that. Waits for
        them only where nothing else is to be done."""
        self._take_clips()
        has_time = self.backend.listens_beside or len(self._open) < self.backend.n_together
        if self._unheard and self._listening is None and has_time:
            waiting = _by_piece(self._unheard)
            self._unheard.clear()
            self._listened_for = {piece: them for piece, (_, them) in waiting.items()}
            self._listening = Listening(self.backend, [wanted.samples for wanted, _ in waiting.values()])
            self._take_clips()

    def _take_clips(self) -> None:
        if self._listening is None or (self._open and not self._listening.is_done):
            return
        heard, listened_for = self._listening.heard(), self._listened_for
        self._listening, self._listened_for = None, {}
        found = dict(zip(listened_for, heard, strict=True))
        self._clips.update({piece: clip for piece, clip in found.items() if not isinstance(clip, MossError)})
        for piece, them in listened_for.items():
            clip = found.pop(piece)
            for one in them:
                if one.is_dropped:
                    continue
                if isinstance(clip, MossError):
                    self._go_on(one, error=clip)
                else:
                    self._go_on(one, clip)

    def _decode(self) -> None:
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

    def drop(self, owner: Hashable) -> None:
        """Forget the conversations of an owner."""
        for ticket in [ticket for ticket, one in self._open.items() if one.owner == owner]:
            self.backend.cancel(ticket)
            self._forget(self._open.pop(ticket))
        given = [one for them in self._listened_for.values() for one in them]
        for one in [one for one in (*self._unheard, *given) if one.owner == owner]:
            self._unheard.pop(one, None)
            self._forget(one)

    def _forget(self, one: _Open) -> None:
        one.is_dropped = True
        one.conversation.close()

    def drop_all(self) -> None:
        """Forget all of them."""
        for owner in {one.owner for one in self._all()}:
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
        """Send a conversation what it waits for, until it waits for a clip or an answer, or is at its end."""
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
            if isinstance(wanted, Listen):
                value = self._clips.get(wanted.piece) if wanted.piece is not None else None
                if value is not None:
                    continue
                if wanted.piece in self._listened_for:
                    self._listened_for[wanted.piece].append(one)
                else:
                    self._unheard[one] = wanted
                return
            try:
                ticket = self.backend.submit(wanted)
            except Exception as failure:  # noqa: BLE001 - likewise
                error = as_moss_error(failure)
                continue
            one.text = ""
            self._open[ticket] = one
            return


def _by_piece(unheard: Mapping[_Open, Listen]) -> dict[Hashable, tuple[Listen, list[_Open]]]:
    """What is to be listened to, and who waits for it. What stands for no piece is its own."""
    found: dict[Hashable, tuple[Listen, list[_Open]]] = {}
    for one, wanted in unheard.items():
        piece = one if wanted.piece is None else wanted.piece
        found.setdefault(piece, (wanted, []))[1].append(one)
    return found
