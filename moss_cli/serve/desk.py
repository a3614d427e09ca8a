"""What the routes of one server share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TypeVar

from starlette.requests import Request as HttpRequest

from moss_cli.serve.admission import Admission
from moss_cli.serve.config import ServeConfig
from moss_cli.serve.engine_thread import EngineThread
from moss_cli.serve.metrics import Metrics
from moss_cli.serve.runs import Runs

READERS = 2  # threads that decode the audio of chats; chosen
REQUEST_STACK = "moss.stack"

T = TypeVar("T")


class Desk:
    """One server's engine, and who may use how much of it."""

    def __init__(self, config: ServeConfig, engine: EngineThread) -> None:
        self.config, self.engine = config, engine
        self.admission, self.metrics = Admission(config.limits), Metrics()
        self.runs = Runs(config, engine)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="audio")

    async def read(self, work: Callable[[], T]) -> T:
        """What comes of some work, done beside the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)

    def cut(self) -> None:
        """Have whatever is in work fail, soon."""
        self.runs.stop()
        self.engine.end()

    def close(self) -> None:
        """Stop whatever is in work, and let go of everything."""
        self.cut()
        self._readers.shutdown(wait=False, cancel_futures=True)
        self.engine.close()


def of_request(http: HttpRequest) -> ExitStack:
    """What is left when the request is over, its response sent."""
    stack: ExitStack = http.scope[REQUEST_STACK]
    return stack
