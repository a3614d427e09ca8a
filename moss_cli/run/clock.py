"""Time that several things share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

Took = Callable[[float], None]  # so many seconds


class SharedClock:
    """Tells each of those that share it its part of the time that passes while it runs."""

    def __init__(self, takers: Sequence[Took]) -> None:
        self._takers = takers
        self._since: float | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """What happens in here takes time."""
        self._since = time.monotonic()
        try:
            yield
        finally:
            self._tell()
            self._since = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Within `running`: what happens in here does not count."""
        self._tell()
        try:
            yield
        finally:
            self._since = time.monotonic()

    def _tell(self) -> None:
        assert self._since is not None
        share_s = (time.monotonic() - self._since) / len(self._takers)
        for took in self._takers:
            took(share_s)
