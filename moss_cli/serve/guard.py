"""Who may ask at all: a token, the names under which the server may be addressed, and no pages of other sites."""

from __future__ import annotations

import hmac
from http import HTTPStatus

from starlette.datastructures import Headers

from moss_cli.serve.refusals import Refusal, bad_request

OPEN_TO_ALL = ("/health",)  # also without a token: those who watch a server have none


def check_caller(headers: Headers, path: str, *, token: str | None, hosts: frozenset[str] | None) -> None:
    """Raise Refusal for a caller who may not ask."""
    _check_host(headers, hosts)
    _check_origin(headers)
    if token is not None and path not in OPEN_TO_ALL:
        _check_token(headers, token)


def _check_host(headers: Headers, hosts: frozenset[str] | None) -> None:
    """A page can have its own name lead to this machine (DNS rebinding); its requests then carry that name."""
    if hosts is None:
        return
    named = headers.getlist("host")
    if len(named) != 1:
        raise bad_request("there must be one Host header", code="invalid_host")
    if _host_of(named[0]) not in hosts:
        message = "this server is not to be addressed by that name; `moss serve --allow-host NAME` allows it"
        raise Refusal(HTTPStatus.FORBIDDEN, message, code="host_not_allowed")


def _host_of(value: str) -> str:
    """A Host header's name, in lower case, without its port."""
    value = value.strip().lower()
    if value.startswith("["):
        return value.partition("]")[0] + "]"
    return value.partition(":")[0].rstrip(".")


def _check_origin(headers: Headers) -> None:
    """A browser says which site a page is from; only this server's own has any business here, and it has no pages."""
    origin, host = headers.get("origin"), headers.get("host", "")
    is_foreign = origin is not None and origin.lower() not in (f"http://{host.lower()}", f"https://{host.lower()}")
    if is_foreign or headers.get("sec-fetch-site", "none").lower() not in ("none", "same-origin"):
        raise Refusal(HTTPStatus.FORBIDDEN, "pages of other sites may not use this server", code="cross_origin")


def _check_token(headers: Headers, token: str) -> None:
    kind, _, given = headers.get("authorization", "").partition(" ")
    is_right = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token.encode())
    if kind.lower() != "bearer" or not is_right:
        raise Refusal(
            HTTPStatus.UNAUTHORIZED,
            "a token is needed: Authorization: Bearer TOKEN",
            code="invalid_api_key",
            headers={"www-authenticate": "Bearer"},
        )
