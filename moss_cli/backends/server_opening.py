"""Opens the backend of a model on a server: finds out what that server can do."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from http.client import HTTPException
from typing import Literal

import numpy as np

from moss_cli.answers import Form, Grammar, JsonSchema, Sampling
from moss_cli.audio.results import SAMPLE_RATE
from moss_cli.backends.abilities import HELD, Abilities, find_out
from moss_cli.backends.chat_body import CHAT, ChatRequest, body
from moss_cli.backends.chat_stream import Incoming, events
from moss_cli.backends.server import ServerBackend
from moss_cli.backends.wire import info_from
from moss_cli.models.connection import Connection, Retry
from moss_cli.models.registry import Resolved
from moss_cli.models.served import Served
from moss_cli.models.server_fault import ServerFault, as_model_error

USUAL_TOGETHER = 8  # chosen: keeps a GPU's batch filled, and few enough for a server with a queue of its own
PROBE_S = 0.5
_HELD_JSON = '{"type": "object", "properties": {"held": {"type": "boolean"}}, "required": ["held"]}'


def open_server(model: Resolved, *, n_together: int | None, has_forms: bool) -> ServerBackend:
    """The backend of a model on a server; of another than `moss serve` it is found out what it can do. Raises
    ModelError."""
    served = model.served
    assert served is not None
    started = time.monotonic()
    told = served.told.get("n_together")
    usual = told if isinstance(told, int) and 0 < told <= 256 else USUAL_TOGETHER
    connection = Connection(served.server)
    able = Abilities("lark") if served.is_moss else _found_out(served, connection, has_forms=has_forms)
    info = replace(info_from(served.told), load_seconds=time.monotonic() - started, warnings=_risks(connection))
    return ServerBackend(
        served, connection, able, n_together=n_together or usual, thinks=model.entry.thinking, info=info
    )


def _found_out(served: Served, connection: Connection, *, has_forms: bool) -> Abilities:
    retry = Retry()
    silence = (np.random.default_rng(0).standard_normal(round(PROBE_S * SAMPLE_RATE)) * 1e-3).astype(np.float32)

    forms: dict[str | None, Form] = {"json": JsonSchema(_HELD_JSON), "grammar": Grammar(f'start: "{HELD}"')}

    def probe(able: Abilities, form: Literal["json", "grammar"] | None) -> str:
        asked = ChatRequest(
            served.id,
            "Say hello.",
            24,
            silence,
            forms.get(form),
            sampling=Sampling(temperature=1.0, top_k=50),  # so that all there is to it is sent
            time_markers=True,
            think=False,
        )
        for n_made in range(1, retry.most + 1):
            try:
                return _said(connection, asked, able)
            except ServerFault as fault:
                wait_s = retry.wait_s(fault, n_made, random.random())
                if wait_s is None or fault.status in (500, 501):
                    raise
            time.sleep(wait_s)
        raise AssertionError("the last attempt raises")

    try:
        return find_out(served.owner, probe, has_forms=has_forms)
    except ServerFault as fault:
        raise as_model_error(fault, served.server) from fault


def _said(connection: Connection, asked: ChatRequest, able: Abilities) -> str:
    response, answer = connection.post(CHAT, body(asked, able)), Incoming()
    try:
        for event in events(response):
            answer.take(event)
    except (HTTPException, OSError) as error:
        raise connection.fault(error) from error
    finally:
        response.close()
    return answer.reply(may_think=True).text


def _risks(connection: Connection) -> tuple[str, ...]:
    server = connection.server
    if connection.has_key and server.scheme == "http" and not server.is_local:
        return (f"the key for {server.origin} and the audio go there unencrypted",)
    return ()
