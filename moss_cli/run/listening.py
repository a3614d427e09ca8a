"""Clips that are listened to together: while the answers to others are decoded, where a backend can do both at once."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from moss_cli.audio.results import Samples
from moss_cli.backends.protocol import Backend, Clip
from moss_cli.errors import MossError, as_moss_error

Heard = Sequence[Clip | MossError]


class Listening:
    """Listens to some clips, [n] float32 at 16 kHz each, in a thread of its own if the backend `listens_beside`."""

    def __init__(self, backend: Backend, clips: Sequence[Samples]) -> None:
        self._backend, self._clips = backend, clips
        self._heard: Heard = ()
        self._failure: BaseException | None = None
        self._is_done = threading.Event()
        if backend.listens_beside:
            # A daemon: a run that is interrupted does not wait for it.
            threading.Thread(target=self._run, name="listening", daemon=True).start()
        else:
            self._run()

    @property
    def is_done(self) -> bool:
        return self._is_done.is_set()

    def heard(self) -> Heard:
        """The clips, which are waited for; in the place of one that failed why. What is true of all stands in each."""
        self._is_done.wait()
        if self._failure is None:
            return self._heard
        if not isinstance(self._failure, Exception):
            raise self._failure
        return [as_moss_error(self._failure)] * len(self._clips)

    def _run(self) -> None:
        try:
            self._heard = self._backend.listen(self._clips)
        except BaseException as error:  # noqa: BLE001 - told where the clips are wanted
            self._failure = error
        finally:
            self._is_done.set()
