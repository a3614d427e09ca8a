"""Why a request has no answer, in the shape in which the OpenAI API says it."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from moss_cli.errors import AnswerError, AudioError, DeviceError, ModelError, MossError, UsageError

_STATUS: tuple[tuple[type[MossError], int], ...] = (
    (UsageError, HTTPStatus.BAD_REQUEST),
    (AudioError, HTTPStatus.BAD_REQUEST),
    (AnswerError, HTTPStatus.UNPROCESSABLE_ENTITY),  # the model does not keep to the form that was asked for
    (ModelError, HTTPStatus.SERVICE_UNAVAILABLE),
    (DeviceError, HTTPStatus.SERVICE_UNAVAILABLE),
)
_CODES = {"too_long": "context_length_exceeded", "usage": "invalid_value"}  # under which clients know them
MOST_MESSAGE = 500  # characters; a grammar's errors quote all of it


class Refusal(Exception):
    """A request that is not answered: an HTTP status, and what stands in the error's body.

    `param` names the field at fault, `code` is for programs.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = int(status), message, code, param
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, Any]:
        """The error as JSON."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        if self.status == HTTPStatus.TOO_MANY_REQUESTS:
            kind = "rate_limit_error"
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


def bad_request(message: str, *, param: str | None = None, code: str = "invalid_value") -> Refusal:
    """The refusal of a request that cannot be meant."""
    return Refusal(HTTPStatus.BAD_REQUEST, message, code=code, param=param)


def refusal_of(error: MossError, *, hides: str = "", name: str = "the audio", param: str | None = None) -> Refusal:
    """The refusal that says what a MossError says. `hides` is the path under which a temporary file was read, in whose
    place stands `name`; hints are left out, they are about the command line."""
    message = error.message.replace(hides, name) if hides else error.message
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
    if error.code == "stopped":
        status = HTTPStatus.SERVICE_UNAVAILABLE
    if error.code == "grammar":  # the grammar's fault, not the model's
        status = HTTPStatus.BAD_REQUEST
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        message = "the server failed to answer; its log says why"
    code = _CODES.get(error.code, error.code)
    message = (message.splitlines() or [""])[0][:MOST_MESSAGE]
    return Refusal(status, message, code=code, param=param if status == HTTPStatus.BAD_REQUEST else None)
