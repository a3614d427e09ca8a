"""The thread that a backend belongs to, and through which all requests of all clients go to it.

Clips are listened to and answers decoded together, whoever asked: what comes in while others are being answered takes
the next slot that falls free. Where the backend can listen beside decoding, it does so in a second thread.
"""

from __future__ import annotations

import gc
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from moss_cli.audio.results import Samples
from moss_cli.backends.protocol import Backend, BackendInfo, Clip, Delta, Event, Failed, Request
from moss_cli.errors import MossError, as_moss_error
from moss_cli.serve.engine_work import (
    NO_TICKET,
    AskedRequest,
    Load,
    OnClip,
    OnEvent,
    WantedClip,
    call,
    first_of,
)

log = logging.getLogger(__name__)

MOST_TIMES = 2  # as many clips as are answered together are listened to at most before their turn; chosen


class EngineThread:
    """Opens a backend and drives it. All methods can be called from any thread.

    `keep_alive_s`: how long the backend is kept while nothing is asked of it; it is opened again when something is.
    `on_closed` is called once one has been dropped.
    """

    def __init__(
        self,
        open_backend: Callable[[], Backend],
        *,
        keep_alive_s: float | None = None,
        on_closed: Callable[[], None] = lambda: None,
    ) -> None:
        self._open_backend, self._keep_alive_s, self._on_closed = open_backend, keep_alive_s, on_closed
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._backend: Backend | None = None
        self._info: BackendInfo | None = None
        self._n_slots = 0
        self._unheard: list[WantedClip] = []
        self._listened_for: list[WantedClip] = []
        self._is_listening = False
        self._open: dict[int, AskedRequest] = {}
        self._ends = False
        self.n_tokens = 0  # decoded so far
        self.n_loads = 0
        self._listener = ThreadPoolExecutor(1, thread_name_prefix="listening")
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Load the model and begin. Raises what opening the backend raises."""
        ready: queue.SimpleQueue[MossError | None] = queue.SimpleQueue()
        self._inbox.put(lambda: ready.put(self._load_error()))
        self._thread.start()
        if (error := ready.get()) is not None:
            self.close()
            raise error

    @property
    def info(self) -> BackendInfo:
        """What the backend said of itself when it was opened last."""
        assert self._info is not None
        return self._info

    @property
    def n_slots(self) -> int:
        """How many requests are answered together."""
        return max(1, self._n_slots)

    @property
    def load(self) -> Load:
        """How busy the engine is, roughly: it goes on meanwhile."""
        n_open = len(self._open)
        n_waiting = len(self._unheard) + len(self._listened_for) + max(0, n_open - self.n_slots)
        return Load(self._backend is not None, min(n_open, self.n_slots), self.n_slots, n_waiting)

    def fits(self, prompt: str) -> bool:
        """Whether an instruction without audio leaves room for an answer, as far as that is known at this moment."""
        backend = self._backend
        return backend is None or backend.fits(prompt)

    def listen(self, samples: Samples, on_clip: OnClip) -> WantedClip:
        """Have a clip listened to, [n] float32 at 16 kHz."""
        heard = WantedClip(samples, on_clip)
        self._inbox.put(lambda: self._unheard.append(heard))
        return heard

    def submit(self, request: Request, on_event: OnEvent) -> AskedRequest:
        """Ask."""
        asked = AskedRequest(request, on_event)
        self._inbox.put(lambda: self._submit(asked))
        return asked

    def cancel(self, one: WantedClip | AskedRequest) -> None:
        """Forget a clip or a request; nothing more is told of it, but for what is being told just now."""
        one.is_cancelled = True
        self._inbox.put(lambda: self._forget(one))

    def end(self) -> None:
        """Stop after the step that is going on. What is being answered is told that it failed."""
        self._ends = True
        self._inbox.put(lambda: None)

    def close(self) -> None:
        """Stop, and wait for the thread a little."""
        self.end()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(5.0)  # a step of a large model, or the loading of one, may take longer
        self._listener.shutdown(wait=False, cancel_futures=True)

    # What follows runs in the engine's thread.

    def _run(self) -> None:
        last_used = time.monotonic()
        while not self._ends:
            try:
                self._turn(last_used)
            except Exception:
                log.exception("the engine's thread goes on after an error that is nobody's")
            if self._is_busy:
                last_used = time.monotonic()
        self._fail_all(MossError("the server is stopping", code="stopped"))
        self._drop_backend()

    def _turn(self, last_used: float) -> None:
        self._take_from_inbox(last_used)
        if self._unheard:
            self._listen()
        if self._open:
            self._step()
        if not self._is_busy and self._backend is not None and self._is_idle_since(last_used):
            self._drop_backend()

    @property
    def _is_busy(self) -> bool:
        return bool(self._open or self._unheard or self._is_listening)

    def _is_idle_since(self, last_used: float) -> bool:
        return self._keep_alive_s is not None and time.monotonic() - last_used >= self._keep_alive_s

    def _take_from_inbox(self, last_used: float) -> None:
        """Do what was asked meanwhile; wait for it where nothing else is to be done."""
        try:
            if not self._open:
                self._inbox.get(timeout=self._patience_s(last_used))()
            while True:
                self._inbox.get_nowait()()
        except queue.Empty:
            pass

    def _patience_s(self, last_used: float) -> float | None:
        if self._unheard and not self._is_listening:
            return 0.0
        if self._keep_alive_s is None or self._backend is None or self._is_busy:
            return None
        return max(0.0, last_used + self._keep_alive_s - time.monotonic())

    def _opened(self) -> Backend:
        """The backend, which is opened if it is not. Raises what opening it raises."""
        if self._backend is None:
            self._backend = backend = self._open_backend()
            self._info, self._n_slots = backend.info, backend.n_together
            self.n_loads += 1
        return self._backend

    def _load_error(self) -> MossError | None:
        try:
            self._opened()
        except Exception as error:  # noqa: BLE001 - told to whoever waits for it
            return as_moss_error(error)
        return None

    def _drop_backend(self) -> None:
        if self._backend is not None:
            self._backend.close()
            self._backend = None
            gc.collect()
            self._on_closed()

    def _listen(self) -> None:
        """Have the clips that wait listened to, as far as they are wanted soon."""
        try:
            backend = self._opened()
        except Exception as error:  # noqa: BLE001 - told to all that wait for a clip
            waiting, self._unheard = self._unheard, []
            self._tell_clips(waiting, [as_moss_error(error)] * len(waiting))
            return
        n_ahead = len(self._open)
        has_time = n_ahead < (MOST_TIMES if backend.listens_beside else 1) * backend.n_together
        if self._is_listening or not has_time:
            return
        together, self._unheard = first_of(self._unheard, backend.n_together)
        self._listened_for, self._is_listening = together, True
        clips = [one.samples for one in together]
        if backend.listens_beside:
            self._listener.submit(self._listen_to, backend, clips)
        else:
            self._listen_to(backend, clips)

    def _listen_to(self, backend: Backend, clips: Sequence[Samples]) -> None:
        """Listen, in whichever thread."""
        heard: Sequence[Clip | MossError]
        try:
            heard = backend.listen(clips)
        except Exception as error:  # noqa: BLE001 - told in the place of each clip
            heard = [as_moss_error(error)] * len(clips)
        self._inbox.put(lambda: self._take_clips(heard))

    def _take_clips(self, heard: Sequence[Clip | MossError]) -> None:
        waiting, self._listened_for, self._is_listening = self._listened_for, [], False
        if waiting:  # else they have been told already that all is over
            self._tell_clips(waiting, heard)

    def _tell_clips(self, waiting: Sequence[WantedClip], heard: Sequence[Clip | MossError]) -> None:
        for one, clip in zip(waiting, heard, strict=True):
            if not one.is_cancelled:
                call(one.on_clip, clip)

    def _submit(self, asked: AskedRequest) -> None:
        if asked.is_cancelled:
            return
        try:
            asked.ticket = self._opened().submit(asked.request)
        except Exception as error:  # noqa: BLE001 - told as the request's own
            call(asked.on_event, Failed(NO_TICKET, as_moss_error(error)))
            return
        self._open[asked.ticket] = asked

    def _step(self) -> None:
        backend = self._opened()
        try:
            events = backend.step()
        except Exception as error:  # the backend does not say whose fault it is
            log.exception("a decode step failed")
            for ticket in self._open:
                backend.cancel(ticket)
            self._fail_open(as_moss_error(error))
            return
        self._n_slots = backend.n_together  # it lowers them when memory runs out
        for event in events:
            self._tell(event)

    def _tell(self, event: Event) -> None:
        asked = self._open.get(event.ticket)
        if asked is None:
            return
        if isinstance(event, Delta):
            self.n_tokens += 1
            if event.text and asked.request.tells:
                call(asked.on_event, event)
            return
        del self._open[event.ticket]
        call(asked.on_event, event)

    def _forget(self, one: WantedClip | AskedRequest) -> None:
        if isinstance(one, WantedClip):
            self._unheard = [other for other in self._unheard if other is not one]
        elif one.ticket is not None and self._open.pop(one.ticket, None) is not None and self._backend is not None:
            self._backend.cancel(one.ticket)

    def _fail_all(self, error: MossError) -> None:
        """Tell all that wait for anything that it does not come."""
        waiting, self._unheard = [*self._listened_for, *self._unheard], []
        self._listened_for = []
        self._tell_clips(waiting, [error] * len(waiting))
        self._fail_open(error)

    def _fail_open(self, error: MossError) -> None:
        asked, self._open = list(self._open.values()), {}
        for one in asked:
            call(one.on_event, Failed(NO_TICKET, error))
