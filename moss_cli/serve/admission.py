"""How many requests are taken on, and how much of them is held in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from moss_cli.serve.config import Limits
from moss_cli.serve.refusals import Refusal

SOONEST_S, LATEST_S = 1, 60  # of a Retry-After


class Admission:
    """Who is in. `is_draining`: nobody comes in any more, and those who are in end. Used from one thread."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.is_draining = False
        self.n_requests = 0
        self.n_bytes = 0
        self._usual_s = float(SOONEST_S)  # that a request takes

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """A request is in as long as the context lasts. Raises Refusal where there is no room."""
        if self.is_draining:
            raise Refusal(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "the server is stopping",
                code="stopping",
                headers={"retry-after": str(SOONEST_S), "connection": "close"},
            )
        if self.n_requests >= self._limits.max_requests:
            raise self._full("too many requests are waiting")
        self.n_requests += 1
        try:
            yield
        finally:
            self.n_requests -= 1

    @contextmanager
    def held(self, n_bytes: int) -> Iterator[None]:
        """So many bytes of a body are in memory. Raises Refusal where that would be too much together."""
        if self.n_bytes and self.n_bytes + n_bytes > self._limits.max_json_bytes_together:
            raise self._full("too much audio is waiting")
        self.n_bytes += n_bytes
        try:
            yield
        finally:
            self.n_bytes -= n_bytes

    def took(self, seconds: float) -> None:
        """A request that was answered took so long."""
        self._usual_s += (seconds - self._usual_s) / 8

    def _full(self, message: str) -> Refusal:
        after_s = round(min(max(self._usual_s, SOONEST_S), LATEST_S))
        return Refusal(
            HTTPStatus.TOO_MANY_REQUESTS, message, code="rate_limit_exceeded", headers={"retry-after": str(after_s)}
        )
