"""Waiting for something on behalf of a client that may go away meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from contextlib import suppress
from http import HTTPStatus
from typing import Any, TypeVar

from starlette.types import Receive

from moss_cli.serve.refusals import Refusal

T = TypeVar("T")


class ClientGone(Exception):
    """Nobody waits for the answer any more."""


async def until_gone(receive: Receive) -> None:
    """Wait until the client has gone away. Its body must have been received."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def unless_gone(wanted: Coroutine[Any, Any, T], receive: Receive, timeout_s: float) -> T:
    """What is waited for. Raises ClientGone, or Refusal where it takes too long; it is cancelled then."""
    waited, gone = asyncio.ensure_future(wanted), asyncio.ensure_future(until_gone(receive))
    try:
        done, _ = await asyncio.wait({waited, gone}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if waited in done:
            return waited.result()
        if gone in done:
            raise ClientGone
        raise too_slow()
    finally:
        for one in (waited, gone):
            await _cancelled(one)


async def _cancelled(task: asyncio.Future[Any]) -> None:
    if not task.done():
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def stalls_never(message: Awaitable[T], stall_s: float) -> T:
    """What comes next of a body. Raises Refusal where the client sends nothing for too long."""
    try:
        async with asyncio.timeout(stall_s):
            return await message
    except TimeoutError:
        raise Refusal(
            HTTPStatus.REQUEST_TIMEOUT,
            "the rest of the body did not come",
            code="request_timeout",
            headers={"connection": "close"},
        ) from None


def too_slow() -> Refusal:
    """The refusal of a request that took too long."""
    return Refusal(HTTPStatus.GATEWAY_TIMEOUT, "the answer took too long", code="timeout")
