"""A server in a thread of the tests, and plain requests to it."""

from __future__ import annotations

import base64
import http.client
import io
import json
import secrets
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import soundfile
from scripted_backend import ScriptedBackend, opening

from moss_cli.answers import Sampling
from moss_cli.audio.results import Samples
from moss_cli.backends.opening import OpenBackend
from moss_cli.models.registry import resolve
from moss_cli.run.job import Job
from moss_cli.serve.address import Address, listening
from moss_cli.serve.config import ServeConfig
from moss_cli.serve.server import GracefulServer, serve
from moss_cli.tasks.transcribe import Transcribe

SOON_S = 20
JOB = Job(Transcribe(), resolve("tiny"), dtype="fp32", sampling=Sampling(0.0, 1.0, 50))


@dataclass(frozen=True)
class Got:
    """A response."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> Any:
        """Of an error in OpenAI's shape, which must be whole."""
        error = self.json["error"]
        assert set(error) == {"message", "type", "param", "code"} and error["message"]
        return error["code"]


@dataclass
class Served:
    """A server that listens on `port`."""

    port: int
    server: GracefulServer

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def ask(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Got:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SOON_S)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Got(response.status, response.read(), {k.lower(): v for k, v in response.getheaders()})
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Got:
        return self.ask("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def chat(self, body: Any, **headers: str) -> Got:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("POST", "/v1/chat/completions", raw, {"content-type": "application/json", **named})

    def transcribe(self, audio: bytes, fields: Sequence[tuple[str, str]] = (), name: str = "a.wav") -> Got:
        body, kind = multipart([("file", audio, name), *((key, value.encode(), None) for key, value in fields)])
        return self.ask("POST", "/v1/audio/transcriptions", body, {"content-type": kind})

    def open_chat(self, body: Any) -> socket.socket:
        """A connection on which a chat request was sent, and nothing read."""
        raw = json.dumps(body).encode()
        made = socket.create_connection(("127.0.0.1", self.port), timeout=SOON_S)
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(raw)}\r\n"
        made.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + raw)
        return made


def multipart(parts: Sequence[tuple[str, bytes, str | None]]) -> tuple[bytes, str]:
    """A form's body and its content type; parts are (name, bytes, file name)."""
    mark = secrets.token_hex(8)
    body = b""
    for name, value, filename in parts:
        named = f'; filename="{filename}"' if filename is not None else ""
        body += f'--{mark}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'.encode() + value + b"\r\n"
    return body + f"--{mark}--\r\n".encode(), f"multipart/form-data; boundary={mark}"


def wav(samples: Samples | None = None, rate: int = 16_000) -> bytes:
    """A WAV file; of noise, if nothing is given."""
    if samples is None:
        samples = np.random.default_rng(0).uniform(-0.1, 0.1, 1600).astype(np.float32)
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="FLOAT")
    return file.getvalue()


def about(audio: bytes, prompt: str = "What is this?", **more: Any) -> dict[str, Any]:
    """The body of a chat about some audio."""
    part = {"type": "input_audio", "input_audio": {"data": base64.b64encode(audio).decode(), "format": "wav"}}
    return {"messages": [{"role": "user", "content": [part, {"type": "text", "text": prompt}]}], **more}


@contextmanager
def serving(
    config: ServeConfig | None = None, backend: ScriptedBackend | OpenBackend | None = None
) -> Iterator[Served]:
    """A server on a free port, until the context is left. Of `tiny`, unless a backend is given."""
    config = config or ServeConfig(JOB)
    made = listening(Address(port=0))
    ready = threading.Event()
    servers: list[GracefulServer] = []
    failures: list[BaseException] = []

    def on_ready(server: GracefulServer) -> None:
        servers.append(server)
        ready.set()

    def run() -> None:
        try:
            if backend is None:
                serve(config, made, on_ready)
            else:
                serve(config, made, on_ready, opening(backend) if isinstance(backend, ScriptedBackend) else backend)
        except BaseException as error:  # noqa: BLE001 - raised below
            failures.append(error)
            ready.set()

    port = made.getsockname()[1]
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(SOON_S)
    if failures:
        raise failures[0]
    try:
        yield Served(port, servers[0])
    finally:
        servers[0].should_exit = servers[0].force_exit = True
        thread.join(SOON_S)
        assert not thread.is_alive()
        made.close()
