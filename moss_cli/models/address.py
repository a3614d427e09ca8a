"""The address of a server that answers for a model: `http(s)://host:port/v1[#model]` or `unix:PATH[#model]`."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from moss_cli.errors import UsageError

_SERVER = re.compile(r"(https?://|unix:)", re.IGNORECASE)
_PORTS = {"http": 80, "https": 443}
API_PATH = "/v1"


@dataclass(frozen=True)
class Server:
    """Where a server listens, without anything secret. `socket`: the path of a Unix socket, in the place of host and
    port. `path`: where its API begins, without a slash at the end."""

    scheme: str
    host: str
    port: int
    path: str = API_PATH
    socket: str | None = None

    @property
    def origin(self) -> str:
        """Host and port as they stand in an envelope: `127.0.0.1:8642`; of a socket `unix:PATH`."""
        if self.socket is not None:
            return f"unix:{self.socket}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The address as a user would write it, without the model."""
        return self.origin if self.socket is not None else f"{self.scheme}://{self.origin}{self.path}"

    @property
    def is_local(self) -> bool:
        """Whether what is sent there stays on this machine."""
        if self.socket is not None or self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def is_server(name: str) -> bool:
    """Whether a model's name is the address of a server."""
    return _SERVER.match(name) is not None


def parse_server(address: str) -> tuple[Server, str | None]:
    """A server's address and the model that it names, if it names one.

    Raises UsageError for one that cannot be meant, and for one with a password or a query in it, which other users of
    the machine could read; neither is repeated in the error.
    """
    if address.lower().startswith("unix:"):
        path, _, model = address[len("unix:") :].partition("#")
        if not path:
            raise UsageError("unix: needs the path of a socket", hint="write `-m unix:/run/user/1000/moss.sock`")
        return Server("http", "localhost", 80, API_PATH, path), model or None
    try:
        parts = urlsplit(address)
        host, port, has_secret = parts.hostname, parts.port, "@" in parts.netloc or bool(parts.query)
    except ValueError as error:
        raise UsageError(f"not the address of a server: {error}", hint=_FORM) from error
    if has_secret:
        raise UsageError("the address of a server cannot hold a name, password or query", hint=_KEY_HINT)
    if not host or any(char.isspace() or not char.isprintable() for char in address):
        raise UsageError("the address of a server needs a host", hint=_FORM)
    scheme, path = parts.scheme.lower(), parts.path.rstrip("/")
    server = Server(scheme, host, _PORTS[scheme] if port is None else port, path or API_PATH)
    return server, unquote(parts.fragment) or None


_FORM = "write `-m http://127.0.0.1:8642/v1`, or with a model of it `-m http://127.0.0.1:8642/v1#NAME`"
_KEY_HINT = "put the key into the environment variable MOSS_API_KEY"
