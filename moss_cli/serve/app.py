"""The routes, and what every request goes through before and after them."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from functools import partial
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from moss_cli import __version__
from moss_cli.backends.wire import KEY, facts
from moss_cli.errors import MossError, as_moss_error
from moss_cli.serve.chat import chat
from moss_cli.serve.desk import REQUEST_STACK, Desk
from moss_cli.serve.guard import check_caller
from moss_cli.serve.refusals import Refusal, refusal_of
from moss_cli.serve.transcriptions import transcriptions
from moss_cli.serve.waiting import ClientGone

log = logging.getLogger(__name__)

Handler = Callable[[HttpRequest, Desk], Awaitable[Response]]
CLIENT_GONE = 499  # as nginx notes it: nobody is there to get a status


def make_app(desk: Desk) -> ASGIApp:
    """The server as an ASGI application."""
    routes = [
        Route("/health", partial(_handled, health, desk), methods=["GET"]),
        Route("/metrics", partial(_handled, metrics, desk), methods=["GET"]),
        Route("/v1/models", partial(_handled, models, desk), methods=["GET"]),
        Route("/v1/models/{name:path}", partial(_handled, model, desk), methods=["GET"]),
        Route("/v1/chat/completions", partial(_handled, chat, desk), methods=["POST"]),
        Route("/v1/audio/transcriptions", partial(_handled, transcriptions, desk), methods=["POST"]),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _http_error})
    return Door(app, desk, {route.path for route in routes})


async def health(http: HttpRequest, desk: Desk) -> Response:
    """Whether it can be asked."""
    if desk.admission.is_draining:
        return JSONResponse({"status": "stopping"}, HTTPStatus.SERVICE_UNAVAILABLE)
    return JSONResponse({"status": "ok", "moss": __version__, "model_loaded": desk.engine.load.is_loaded})


async def metrics(http: HttpRequest, desk: Desk) -> Response:
    """What was counted, for Prometheus."""
    text = desk.metrics.text(desk.engine.load, n_requests=desk.admission.n_requests, n_loads=desk.engine.n_loads)
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4")


async def models(http: HttpRequest, desk: Desk) -> Response:
    """The one model that there is."""
    return JSONResponse({"object": "list", "data": [_model(desk)]})


async def model(http: HttpRequest, desk: Desk) -> Response:
    """The one model by its name."""
    if http.path_params["name"] != desk.config.model.entry.name:
        raise Refusal(HTTPStatus.NOT_FOUND, "there is no such model here", code="model_not_found", param="model")
    return JSONResponse(_model(desk))


def _model(desk: Desk) -> dict[str, Any]:
    """`moss` holds what only this server says: how the weights are held, and what models.toml says."""
    resolved, n_slots = desk.config.model, desk.engine.n_slots
    return {
        "id": resolved.entry.name,
        "object": "model",
        "created": int(desk.metrics.started_at),
        "owned_by": KEY,
        KEY: facts(resolved.entry, desk.engine.info, revision=resolved.revision, n_together=n_slots),
    }


async def _handled(handler: Handler, desk: Desk, http: HttpRequest) -> Response:
    """A handler's response, or the refusal that it raises."""
    try:
        return await handler(http, desk)
    except Refusal as refusal:
        return _refused(refusal)
    except MossError as error:
        log.error("a request failed", exc_info=error)
        return _refused(refusal_of(error))
    except ClientGone:
        desk.metrics.n_cancelled += 1
        return Response(status_code=CLIENT_GONE)
    except OSError as error:
        log.exception("a request failed")
        message = f"the server has no room for the audio: {error.strerror}"
        return _refused(Refusal(HTTPStatus.INSUFFICIENT_STORAGE, message, code="no_space"))
    except Exception as error:
        log.exception("a request failed")
        return _refused(refusal_of(as_moss_error(error)))


def _refused(refusal: Refusal) -> Response:
    return JSONResponse(refusal.body, refusal.status, headers=refusal.headers)


async def _http_error(http: HttpRequest, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = "there is no such route" if error.status_code == HTTPStatus.NOT_FOUND else error.detail.lower()
    code = HTTPStatus(error.status_code).name.lower()
    return _refused(Refusal(error.status_code, message, code=code, headers=error.headers))


class Door:
    """Lets in who may come in and as many as there is room for, counts, and says with --verbose what came of each."""

    def __init__(self, app: ASGIApp, desk: Desk, paths: set[str]) -> None:
        self._app, self._desk, self._paths = app, desk, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        started, status = time.monotonic(), CLIENT_GONE

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._answer(scope, receive, noting)
        finally:
            self._note(scope, status, time.monotonic() - started)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        config, admission = self._desk.config, self._desk.admission
        with ExitStack() as stack:
            scope[REQUEST_STACK] = stack
            try:
                check_caller(Headers(scope=scope), scope["path"], token=config.token, hosts=config.hosts)
                if scope["method"] == "POST":
                    stack.enter_context(admission.admitted())
            except Refusal as refusal:
                await _refused(refusal)(scope, receive, send)
                return
            try:
                await self._app(scope, receive, send)
            except Exception:  # of a stream that has begun: its connection is closed
                log.exception("a stream failed")

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = scope["path"] if scope["path"] in self._paths else "other"
        self._desk.metrics.responded(route, status, seconds)
        if scope["method"] == "POST" and status == HTTPStatus.OK:
            self._desk.admission.took(seconds)
        client = scope.get("client")
        log.info("%s %s %d %.3f s %s", scope["method"], route, status, seconds, client[0] if client else "socket")
