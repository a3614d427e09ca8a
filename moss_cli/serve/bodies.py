"""Receiving a body: not more of it than is allowed, and not for longer."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request

from moss_cli.serve.refusals import Refusal, bad_request
from moss_cli.serve.waiting import ClientGone, stalls_never


def declared_bytes(headers: Headers) -> int | None:
    """How long the body is to be, where the client says. Raises Refusal for what is no length."""
    text = headers.get("content-length")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise bad_request("the content-length is not a number")
    return int(text)


def check_length(headers: Headers, most: int) -> None:
    """Raise Refusal for a body that says of itself that it is too long."""
    if (declared_bytes(headers) or 0) > most:
        raise _too_large(most)


def check_kind(headers: Headers, wanted: str) -> None:
    """Raise Refusal unless the body is of a media type: a page in a browser can post others across origins unasked."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != wanted:
        raise Refusal(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the content-type must be {wanted}", code="unsupported_media_type"
        )


async def blocks(request: Request, most: int, stall_s: float) -> AsyncGenerator[bytes, None]:
    """The blocks of a body. Raises Refusal where there are more than `most` bytes or none come for `stall_s`, and
    ClientGone where the client leaves."""
    n_bytes, stream = 0, request.stream()
    while True:
        try:
            block = await stalls_never(anext(stream), stall_s)
        except StopAsyncIteration:
            return
        except ClientDisconnect:
            raise ClientGone from None
        n_bytes += len(block)
        if n_bytes > most:
            raise _too_large(most)
        yield block


def _too_large(most: int) -> Refusal:
    return Refusal(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body has more than {most} bytes",
        code="too_large",
        headers={"connection": "close"},
    )
