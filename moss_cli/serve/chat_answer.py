"""A chat's answer on its way from the engine's thread to the event loop."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from moss_cli.audio.results import Samples
from moss_cli.backends.protocol import Clip, Event, Failed, Request
from moss_cli.errors import MossError
from moss_cli.serve.engine_thread import EngineThread
from moss_cli.serve.engine_work import NO_TICKET, AskedRequest, WantedClip


class ChatAnswer:
    """One question, asked of the engine when this is made. Its events are taken in the event loop; `cancel` gives its
    slot back, and does nothing once the answer is there."""

    def __init__(self, engine: EngineThread, request: Request, samples: Samples | None) -> None:
        self._engine, self._request = engine, request
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._is_cancelled = False
        self._waits_for: WantedClip | AskedRequest
        if samples is None:
            self._waits_for = engine.submit(request, self._tell)
        else:
            self._waits_for = engine.listen(samples, self._heard)

    async def event(self) -> Event:
        """The next event: the text that has come if the request `tells`, then `Answered` or `Failed`."""
        return await self._events.get()

    async def event_within(self, seconds: float) -> Event | None:
        """The next event; None where there is none so soon."""
        try:
            async with asyncio.timeout(seconds):
                return await self._events.get()
        except TimeoutError:
            return None

    def cancel(self) -> None:
        self._is_cancelled = True
        self._engine.cancel(self._waits_for)

    # What follows is called in the engine's thread.

    def _heard(self, clip: Clip | MossError) -> None:
        if isinstance(clip, MossError):
            self._tell(Failed(NO_TICKET, clip))
            return
        self._waits_for = self._engine.submit(replace(self._request, clip=clip), self._tell)
        if self._is_cancelled:  # meanwhile, when it was still the clip that was waited for
            self._engine.cancel(self._waits_for)

    def _tell(self, event: Event) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)
