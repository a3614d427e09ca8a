"""A model that is loaded in a thread, while the first input is read."""

from __future__ import annotations

import threading
from collections.abc import Callable

from moss_cli.backends.protocol import Backend


class Loading:
    """Opens a backend once, in a thread of its own, as soon as `start` is called."""

    def __init__(self, open_backend: Callable[[], Backend]) -> None:
        self._open_backend = open_backend
        self._result: Backend | BaseException | None = None
        self._is_done = threading.Event()
        # A daemon: a run that is interrupted, or has nothing to ask, does not wait for it.
        self._thread = threading.Thread(target=self._run, name="loading", daemon=True)

    def start(self) -> None:
        """Begin, unless it was begun."""
        if self._thread.ident is None:
            self._thread.start()

    def result(self) -> Backend:
        """The backend, which is waited for. Raises what opening it has raised, each time."""
        self.start()
        self._is_done.wait()
        if isinstance(self._result, BaseException):
            raise self._result
        assert self._result is not None
        return self._result

    @property
    def has_failed(self) -> bool:
        """Whether it is known that there is no backend."""
        return isinstance(self._result, BaseException)

    def _run(self) -> None:
        try:
            self._result = self._open_backend()
        except BaseException as error:  # noqa: BLE001 - raised where the backend is wanted
            self._result = error
        finally:
            self._is_done.set()
