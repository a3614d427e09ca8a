"""`moss serve --status` and `--stop`: the servers that run on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from moss_cli.errors import MossError, UsageError
from moss_cli.serve.running import running_servers, stop

if TYPE_CHECKING:
    from moss_cli.cli.console import Console
    from moss_cli.serve.address import Address
    from moss_cli.serve.running import RunningServer

STOP_WITHIN_S = 30.0  # that --stop waits; chosen


def show_servers() -> int:
    servers = running_servers()
    for one in servers:
        typer.echo(
            f"{one.url}  {one.model}  pid {one.pid}, since {one.started}" + (f", log {one.log}" if one.log else "")
        )
    if not servers:
        raise MossError("no server is running", hint="start one with `moss serve --detach`")
    return 0


def stop_server(console: Console, address: Address | None) -> int:
    server = _meant(address)
    if not stop(server, STOP_WITHIN_S):
        hint = "run the same command once more to end it at once"
        raise MossError(f"the server at {server.url} is still finishing what it was asked", hint=hint)
    console.note(f"stopped the server at {server.url}")
    return 0


def _meant(address: Address | None) -> RunningServer:
    """The server at an address, or the only one."""
    servers = running_servers()
    found = servers if address is None else [one for one in servers if one.url == address.url]
    if len(found) == 1:
        return found[0]
    if not found:
        where = "" if address is None else f" at {address.url}"
        raise MossError(f"no server is running{where}", hint="see `moss serve --status`" if servers else None)
    raise UsageError(
        f"{len(found)} servers are running", hint="say which, with --port or --socket; see `moss serve --status`"
    )
