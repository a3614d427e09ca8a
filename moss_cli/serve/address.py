"""Where a server listens."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from moss_cli.errors import MossError, UsageError

BACKLOG = 512  # connections that wait to be taken; chosen: as many as are taken at most
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True)
class Address:
    """A host and a port, or the path of a Unix socket."""

    host: str = "127.0.0.1"
    port: int = 8642
    path: Path | None = None

    @property
    def url(self) -> str:
        """What clients are given as base URL."""
        if self.path is not None:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/v1"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        if self.path is not None or self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def host_names(self) -> frozenset[str]:
        """The Host headers that mean it, if it is local."""
        own = f"[{self.host}]" if ":" in self.host else self.host
        return LOOPBACK_NAMES | {own.lower()}


def listening(address: Address) -> socket.socket:
    """A socket that listens: who connects now waits until the model is loaded. Raises MossError."""
    try:
        made = _bound_path(address.path) if address.path is not None else _bound_port(address)
        made.listen(BACKLOG)
        return made
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno == errno.EADDRINUSE:
            hint = "see `moss serve --status`, or let --port 0 take one that is free"
            raise MossError(f"something listens on port {address.port} already", hint=hint, code="in_use") from error
        where = str(address.path) if address.path is not None else f"{address.host}, port {address.port}"
        raise UsageError(f"cannot listen on {where}: {reason}") from error


def _bound_port(address: Address) -> socket.socket:
    [(family, kind, protocol, _, where), *_] = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(where)
    except OSError:
        made.close()
        raise
    return made


def _bound_path(path: Path) -> socket.socket:
    """A socket that only this user can connect to; one that a dead server left is replaced."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise UsageError(f"{path} is there already, and is no socket", hint="give another path to --socket")
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(path)) == 0:
                raise MossError(f"a server listens on {path} already", hint="see `moss serve --status`", code="in_use")
        path.unlink()
    made = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o177)
    try:
        made.bind(str(path))
    except OSError:
        made.close()
        raise
    finally:
        os.umask(mask)
    return made
