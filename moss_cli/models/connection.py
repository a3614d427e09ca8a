"""Requests to a server over HTTP, and what goes wrong with them. The key comes from MOSS_API_KEY and goes nowhere else.

No redirect is followed: it would take recordings, and the key, to where nobody chose to send them.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import (
    BadStatusLine,
    HTTPConnection,
    HTTPException,
    HTTPResponse,
    HTTPSConnection,
    RemoteDisconnected,
    UnknownProtocol,
)
from ssl import SSLCertVerificationError, SSLError
from typing import Any
from urllib.parse import urlsplit

from moss_cli import __version__
from moss_cli.errors import UsageError
from moss_cli.models.address import Server
from moss_cli.models.server_fault import KEY_VARIABLE, TIMEOUT_VARIABLE, ServerFault
from moss_cli.settings import parse_time

CONNECT_S = 10.0  # chosen: a second handshake packet is sent after 1 s, then after 3 and 7
SILENCE_S = (
    300.0  # chosen: ten minutes of audio wait for other requests, and are taken in, before the first token comes
)
_LONGEST_LINE = 1 << 26  # of a stream: an answer in one event, and far more
MOST_SAID = 300  # characters of a server's own words that are repeated


class Stream:
    """A response of which only the head has been read. Iterating gives its lines. `close` it; `hang_up`, from any
    thread, ends it for whoever reads it."""

    def __init__(self, response: HTTPResponse, opened: socket.socket | None, connection: HTTPConnection) -> None:
        self._response, self._socket, self._connection = response, opened, connection

    def __iter__(self) -> Iterator[bytes]:
        while line := self._response.readline(_LONGEST_LINE):
            yield line

    def read(self, most: int = -1) -> bytes:
        return self._response.read() if most < 0 else self._response.read(most)

    def close(self) -> None:
        self._response.close()
        self._connection.close()

    def hang_up(self) -> None:
        with suppress(OSError):  # it has ended meanwhile
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)


class Connection:
    """Requests to one server, from any number of threads, each over a connection of its own. Raises UsageError for a
    key that can be none."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._key, self._silence_s = _key(), _silence_s()
        self._proxy = None if server.is_local else _proxy(server)
        self._headers = {"User-Agent": f"moss/{__version__}", "Content-Type": "application/json", "Connection": "close"}
        if self._key:
            self._headers["Authorization"] = f"Bearer {self._key}"

    @property
    def has_key(self) -> bool:
        return bool(self._key)

    def get(self, path: str) -> Any:
        """The JSON below the API's path. Raises ServerFault."""
        response = self._opened("GET", path, None)
        try:
            return json.loads(response.read())
        except (HTTPException, OSError) as error:
            raise self.fault(error) from error
        except (ValueError, RecursionError) as error:
            raise ServerFault("garbage", "it is not JSON") from error
        finally:
            response.close()

    def post(self, path: str, body: bytes) -> Stream:
        """The response to a JSON document. Raises ServerFault."""
        return self._opened("POST", path, body)

    def fault(self, error: Exception) -> ServerFault:
        """What went wrong between here and there, after it could be reached."""
        if isinstance(error, TimeoutError):
            return ServerFault("silent", f"nothing came for {self._silence_s:g} s")
        if isinstance(error, (UnknownProtocol, BadStatusLine)) and not isinstance(error, RemoteDisconnected):
            return ServerFault("garbage", "it is not HTTP")
        return ServerFault("cut", "the connection was closed")

    def _opened(self, method: str, path: str, body: bytes | None) -> Stream:
        connection = self._connected()
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # it may have answered before it has read all
                connection.request(method, self._target(path), body, self._headers)
            opened = connection.sock  # the response takes it away from the connection
            head = connection.getresponse()
            response = Stream(head, opened, connection)
            if head.status == 200:
                return response
            text = response.read(1 << 16).decode("utf-8", "replace")
        except (HTTPException, OSError) as error:
            connection.close()
            raise self.fault(error) from error
        response.close()
        raise self._refusal(head.status, text, head.headers)

    def _connected(self) -> HTTPConnection:
        """A connection that is made. Raises ServerFault."""
        connection = self._connection()
        try:
            connection.connect()
        except SSLCertVerificationError as error:
            raise ServerFault("untrusted", self._plain(error.verify_message)) from error
        except SSLError as error:
            raise ServerFault("garbage", "it is not TLS, so the address may begin with http://") from error
        except OSError as error:
            said = error.strerror or "no answer to the connection"
            raise ServerFault("unreachable", self._plain(said[:1].lower() + said[1:])) from error
        connection.sock.settimeout(self._silence_s)
        return connection

    def _connection(self) -> HTTPConnection:
        server = self.server
        if server.socket is not None:
            return _SocketConnection(server.socket)
        kind = HTTPSConnection if server.scheme == "https" else HTTPConnection
        if self._proxy is None:
            return kind(server.host, server.port, timeout=CONNECT_S)
        connection = kind(*self._proxy, timeout=CONNECT_S)
        if server.scheme == "https":
            connection.set_tunnel(server.host, server.port)
        return connection

    def _target(self, path: str) -> str:
        is_told_whole = self._proxy is not None and self.server.scheme == "http"
        return (self.server.url if is_told_whole else self.server.path) + path

    def _refusal(self, status: int, text: str, headers: Any) -> ServerFault:
        message, field = _told(text)
        if 300 <= status < 400:
            message = f"to {headers.get('Location', 'nowhere').split('?')[0]}"
        after = headers.get("Retry-After", "")
        return ServerFault(
            "status",
            self._plain(message or "without a reason"),
            status=status,
            field=field,
            retry_after_s=float(after) if after.isascii() and after.isdigit() and len(after) < 7 else None,
        )

    def _plain(self, text: str) -> str:
        """A server's words in one short line, without the key."""
        if self._key:
            text = text.replace(self._key, "***")
        line = " ".join(text.split())
        return line if len(line) <= MOST_SAID else line[:MOST_SAID] + "…"


def _told(text: str) -> tuple[str, str]:
    """What an error's body says and of which field: of OpenAI's and vLLM's form (under `error`), of SGLang's (at the
    top), of FastAPI's (under `detail`), or anything else."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return "" if text.lstrip().startswith("<") else text, ""
    if isinstance(body, dict):
        error = body.get("error", body)
        if isinstance(error, str):
            return error, ""
        if isinstance(error, dict):
            message = error.get("message") or error.get("detail")
            field = error.get("param")
            if message is not None:
                return message if isinstance(message, str) else json.dumps(message), str(field or "")
    return text, ""


def _key() -> str:
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not all("!" <= char <= "~" for char in key):
        raise UsageError(f"{KEY_VARIABLE} holds characters that no key has")
    return key


def _silence_s() -> float:
    text = os.environ.get(TIMEOUT_VARIABLE)
    if not text:
        return SILENCE_S
    try:
        seconds = parse_time(text)
    except UsageError as error:
        raise UsageError(f"{TIMEOUT_VARIABLE}: {error.message}", hint=error.hint) from error
    if not seconds:
        raise UsageError(f"{TIMEOUT_VARIABLE} must be greater than zero")
    return seconds


def _proxy(server: Server) -> tuple[str, int] | None:
    """The host and port that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name for a server, as for curl. Raises UsageError."""
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass

    found = getproxies()
    named = found.get(server.scheme) or found.get("all")
    if not named or proxy_bypass(server.origin) or proxy_bypass(server.host):
        return None
    try:
        parts = urlsplit(named if "://" in named else f"http://{named}")
        host, port = parts.hostname, parts.port or 80
    except ValueError:
        host, port = None, 0
    if not host or parts.scheme != "http":
        raise UsageError(f"{server.scheme.upper()}_PROXY is no http:// address", hint="set NO_PROXY to do without one")
    return host, port


class _SocketConnection(HTTPConnection):
    """A connection to a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(CONNECT_S)
        self.sock.connect(self._path)


FIRST_WAIT_S = 0.5  # then 1, 2, 4 and 8 s: a server that is started again is back within these
LONGEST_WAIT_S = 30.0


@dataclass(frozen=True)
class Retry:
    """How often a request is made again, and after how long."""

    most: int = 6
    most_silent: int = 2  # each has taken minutes already
    first_s: float = field(default_factory=lambda: FIRST_WAIT_S)
    longest_s: float = field(default_factory=lambda: LONGEST_WAIT_S)

    def wait_s(self, fault: ServerFault, n_made: int, draw: float) -> float | None:
        """Seconds until the next attempt after `n_made` of them; None where there is none. `draw`, 0..1, is the jitter:
        without it all that were refused together would come back together."""
        most = self.most_silent if fault.kind == "silent" else self.most
        if not fault.may_pass or n_made >= most:
            return None
        wait = min(self.first_s * 2.0 ** (n_made - 1), self.longest_s) * (0.5 + draw / 2)
        return max(wait, min(fault.retry_after_s or 0.0, self.longest_s))
