"""Running the server: its socket, its signals, its end."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from types import FrameType

import uvicorn

from moss_cli.audio.torch_threads import usual_threads
from moss_cli.backends.opening import OpenBackend, open_backend, return_memory
from moss_cli.backends.protocol import Backend
from moss_cli.errors import counted
from moss_cli.serve.address import BACKLOG
from moss_cli.serve.app import make_app
from moss_cli.serve.config import ServeConfig
from moss_cli.serve.connection import ASKS_WITHIN_S, PunctualProtocol
from moss_cli.serve.desk import Desk
from moss_cli.serve.engine_thread import EngineThread

log = logging.getLogger(__name__)

MOST_CONNECTIONS = 512  # chosen: half of the files that a process may usually have open
CUT_WITHIN_S = 2.0  # for those that are cut off to be told so, which a step of the engine may delay; chosen


class GracefulServer(uvicorn.Server):
    """The first SIGTERM or SIGINT lets nobody in any more, and ends it when those who are in have their answers; the
    second one ends it at once."""

    def __init__(self, config: uvicorn.Config, desk: Desk, on_ready: Callable[[GracefulServer], None]) -> None:
        super().__init__(config)
        self._desk, self._on_ready = desk, on_ready
        self.was_cut: int | None = None  # by this signal
        self._ends_at: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready(self)

    async def on_tick(self, counter: int) -> bool:
        if self._desk.admission.is_draining and not self._desk.admission.n_requests:
            self.should_exit = True
        if self._ends_at is not None and time.monotonic() > self._ends_at:
            self.should_exit = self.force_exit = True
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """What a signal does; `sig` is its number."""
        if self._desk.admission.is_draining:
            if self._desk.admission.n_requests:
                self.was_cut = sig
            self._ends_at = time.monotonic() + CUT_WITHIN_S
            self._desk.cut()
        else:
            if n_requests := self._desk.admission.n_requests:
                what = counted(n_requests, "request")
                log.warning("finishing %s, then stopping; a second signal stops at once", what)
            self._desk.admission.is_draining = True


def serve(
    config: ServeConfig,
    made: socket.socket,
    on_ready: Callable[[GracefulServer], None],
    open_backend: OpenBackend = open_backend,
) -> int | None:
    """Load the model and serve on a socket that listens, until a signal ends it; that signal, if it cut off answers.

    Raises what loading the model raises. `on_ready` is called when requests are taken.
    """
    usual_threads()  # asked first, before the engine sets how many it wants

    def opened() -> Backend:
        job = config.job
        return open_backend(job.model, device=job.device, dtype=job.dtype, n_together=job.batch_size, has_forms=True)

    engine = EngineThread(opened, keep_alive_s=config.keep_alive_s, on_closed=return_memory)
    engine.start()
    desk = Desk(config, engine)
    try:
        settings = uvicorn.Config(
            make_app(desk),
            http=PunctualProtocol,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=round(ASKS_WITHIN_S),
            limit_concurrency=MOST_CONNECTIONS,
            backlog=BACKLOG,
        )
        server = GracefulServer(settings, desk, on_ready)
        server.run(sockets=[made])
        return server.was_cut
    finally:
        desk.close()
