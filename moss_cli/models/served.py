"""A model that a server answers for: which one it is, and what the server says of it.

`GET models` is asked once, when a model is chosen: a server that is not there is an error at once, as a checkpoint is.
`moss serve` says all that stands in models.toml of its model; of others it is known by the name of a released one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from moss_cli.errors import ModelError, MossError
from moss_cli.models.address import Server
from moss_cli.models.connection import Connection, Retry
from moss_cli.models.server_fault import ServerFault, as_model_error

MOSS = "moss"  # owned_by of what `moss serve` serves, and the key under which it says more than others do


@dataclass(frozen=True)
class Served:
    """A model on a server. `id`: its name there. `owner`: what kind of server it is: moss, vllm, sglang, or another.
    `n_positions`: tokens of prompt and answer together, if the server says. `told`: what `moss serve` says of it."""

    server: Server
    id: str
    owner: str = ""
    root: str = ""
    n_positions: int | None = None
    told: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def is_moss(self) -> bool:
        return self.owner == MOSS

    @property
    def name(self) -> str:
        """As it stands in an envelope: `tiny @ 127.0.0.1:8642`."""
        return f"{self.id} @ {self.server.origin}"


def find_served(server: Server, model: str | None) -> Served:
    """The model of this name on a server, or its only one. Raises ModelError and UsageError.

    Waits a little, and asks again, where the server is busy or about to be ready; not where nobody listens.
    """
    connection = Connection(server)
    try:
        answer = _asked(connection)
    except ServerFault as fault:
        raise as_model_error(fault, server) from fault
    models = [_served(server, one) for one in _listed(answer, server)]
    if model is None:
        if len(models) == 1:
            return models[0]
        raise _several(server, models)
    for one in models:
        if one.id == model:
            return one
    raise ModelError(f"{server.url} has no model {model}", code="model_missing", hint=_choice(server, models))


def _asked(connection: Connection) -> Any:
    import time

    retry = Retry(most=4)
    for n_made in range(1, retry.most + 1):
        try:
            return connection.get("/models")
        except ServerFault as fault:
            wait_s = retry.wait_s(fault, n_made, 1.0) if fault.kind == "status" else None
            if wait_s is None:
                raise
        time.sleep(wait_s)
    raise AssertionError("the last attempt raises")


def _listed(answer: Any, server: Server) -> Sequence[Mapping[str, Any]]:
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, list):
        raise as_model_error(ServerFault("garbage", "it is no list of models"), server)
    found = [one for one in data if isinstance(one, dict) and isinstance(one.get("id"), str)]
    if not found:
        raise ModelError(f"{server.url} has no model", code="model_missing")
    return found


def _served(server: Server, one: Mapping[str, Any]) -> Served:
    told, positions = one.get(MOSS), one.get("max_model_len")
    return Served(
        server,
        one["id"],
        owner=_text(one.get("owned_by")).lower(),
        root=_text(one.get("root")),
        n_positions=positions if isinstance(positions, int) and positions > 0 else None,
        told=told if isinstance(told, dict) else {},
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _several(server: Server, models: Sequence[Served]) -> MossError:
    return ModelError(f"{server.url} has {len(models)} models", code="model_missing", hint=_choice(server, models))


def _choice(server: Server, models: Sequence[Served]) -> str:
    names = ", ".join(one.id for one in models[:10])
    return f"name one of its models ({names}), as in `-m '{server.url}#{models[0].id}'`"
