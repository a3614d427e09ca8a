"""One call at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from moss_cli.errors import UsageError


class OneAtATime:
    """Whose turn it is: another thread waits for it, and the same one, which would wait for ever, is told so."""

    def __init__(self) -> None:
        self._lock, self._thread = threading.Lock(), 0

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Raises UsageError where this thread has it already."""
        if self._lock.locked() and self._thread == threading.get_ident():
            hint = "take all its results first, as with list(...), or close() it"
            raise UsageError("an iterator of results is not at its end", hint=hint)
        with self._lock:
            self._thread = threading.get_ident()
            try:
                yield
            finally:
                self._thread = 0
