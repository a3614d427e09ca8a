"""A connection whose client has to ask something within a time: uvicorn waits for the first request for ever."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

ASKS_WITHIN_S = 60.0  # of being connected, or of the last answer, a request's headers must have come; chosen


class PunctualProtocol(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it; a connection on which no request comes is closed, also one on which it comes
    byte by byte."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_request()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def _expect_request(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(ASKS_WITHIN_S, self._close_unless_asked, self.cycle)

    def _close_unless_asked(self, before: object) -> None:
        if self.cycle is before:
            self.transport.close()
