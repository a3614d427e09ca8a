"""Servers for the tests of the client: they behave as vLLM and SGLang do, and say what a test wants.

Routes, fields and error bodies are those of vLLM (entrypoints/openai: api_server.py, engine/protocol.py,
chat_completion/protocol.py; up to 0.6 it forbade unknown fields, since then it leaves them out) and of SGLang
(srt/entrypoints: http_server.py, openai/protocol.py, openai/serving_base.py; it took no `input_audio` before
August 2026).
"""

from __future__ import annotations

import base64
import io
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self

import numpy as np
import soundfile

from moss_cli.audio.results import Samples

Kind = Literal["vllm", "vllm-0.6", "sglang", "sglang-new", "plain"]
PROBE = "Say hello."

_OPENAI = {
    *("messages", "model", "max_tokens", "max_completion_tokens", "response_format", "seed", "stream", "top_p"),
    *("stream_options", "temperature", "n", "stop", "user"),
}
_KNOWN: dict[Kind, set[str]] = {
    "vllm": _OPENAI | {"top_k", "chat_template_kwargs", "mm_processor_kwargs", "structured_outputs"},
    "vllm-0.6": _OPENAI | {"top_k"},
    "sglang": _OPENAI | {"top_k", "regex", "ebnf", "chat_template_kwargs"},
    "sglang-new": _OPENAI | {"top_k", "regex", "ebnf", "chat_template_kwargs"},
    "plain": {"messages", "model", "max_tokens", "stream", "temperature", "top_p"},
}


@dataclass(frozen=True)
class Heard:
    """A request as a server has understood it. `body` has only the fields that it knows."""

    text: str
    samples: Samples | None
    schema: dict[str, Any] | None
    regex: str | None
    body: dict[str, Any]
    n: int  # of the request, counted from 1, the short questions at the beginning left out


@dataclass(frozen=True)
class Fault:
    """An answer with another status than 200."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Said:
    """An answer in pieces. `cut`: the connection ends after them; `raw`: bytes in the place of all of it; `hang_s`: so
    long nothing comes before it."""

    text: str = ""
    thought: str = ""
    finish_reason: str = "stop"
    cut: bool = False
    raw: bytes | None = None
    hang_s: float = 0.0
    extra: dict[str, Any] = field(default_factory=dict)


Say = Callable[[Heard], str | Said | Fault]


@dataclass
class ChatServer:
    """One that listens while it is entered. `holds_forms`: whether an answer keeps to the form that was asked for."""

    say: Say
    kind: Kind = "vllm"
    model: str = "moss-audio"
    key: str | None = None
    max_model_len: int | None = 40_960
    most_bytes: int = 1 << 30
    models: Fault | list[dict[str, Any]] | None = None
    asked: list[Heard] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    most_together: int = 0
    n_gone: int = 0  # clients that hung up while they were answered
    _n_now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _http: ThreadingHTTPServer | None = None
    is_closing: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._http = _Http(("127.0.0.1", 0), _Handler)
        self._http.chat = self  # type: ignore[attr-defined]
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Listen no longer, as a server that was killed."""
        assert self._http is not None
        if not self.is_closing.is_set():
            self.is_closing.set()
            self._http.shutdown()
            self._http.server_close()

    @property
    def port(self) -> int:
        assert self._http is not None
        return int(self._http.server_address[1])

    @property
    def origin(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.origin}/v1"

    def heard(self, body: dict[str, Any]) -> Heard | Fault:
        """What is understood of a body, or what refuses it."""
        known = _KNOWN[self.kind]
        unknown = sorted(set(body) - known)
        if unknown and self.kind == "vllm-0.6":
            said = f"[{{'type': 'extra_forbidden', 'loc': ('body', '{unknown[0]}'), "
            said += "'msg': 'Extra inputs are not permitted', 'input': 1}]"
            return self.refusal(400, said, "BadRequestError")
        if unknown and self.kind == "plain":
            said = f"Unrecognized request argument supplied: {unknown[0]}"
            return Fault(
                400, {"error": {"message": said, "type": "invalid_request_error", "param": None, "code": None}}
            )
        body = {name: value for name, value in body.items() if name in known}
        if body.get("model") != self.model and not self.kind.startswith("sglang"):
            return self.refusal(404, f"The model `{body.get('model')}` does not exist.", "NotFoundError")
        content = body["messages"][-1]["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        for part in parts:
            takes = {"sglang": ("text", "audio_url"), "plain": ("text", "input_audio")}
            if part["type"] not in takes.get(self.kind, ("text", "audio_url", "input_audio")):
                said = "1 validation error:\n  {'type': 'literal_error', 'loc': ('body', 'messages', 0, 'content')}"
                return self.refusal(400, said, "BadRequestError")
        audio = next((part for part in parts if part["type"] != "text"), None)
        samples = None if audio is None else _samples(audio)
        text = next(part["text"] for part in parts if part["type"] == "text")
        n_prompt = len(text) // 4 + (0 if samples is None else round(len(samples) / 16_000 * 13.9))
        if self.max_model_len and n_prompt + body.get("max_tokens", 1) > self.max_model_len:
            said = f"This model's maximum context length is {self.max_model_len} tokens. However, your request has "
            return self.refusal(400, f"{said}{n_prompt} input tokens.", "BadRequestError", "input_tokens")
        schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
        regex = body.get("regex") or body.get("structured_outputs", {}).get("regex")
        if self.kind == "vllm-0.6":
            regex = None
        with self._lock:
            is_probe = text == PROBE
            one = Heard(text, samples, schema, regex, body, len(self.asked) + (not is_probe))
            if not is_probe:
                self.asked.append(one)
        return one

    def refusal(self, status: int, said: str, kind: str, param: str | None = None) -> Fault:
        inner = {"message": said, "type": kind, "param": param, "code": status}
        return Fault(status, {"error": inner} if self.kind == "vllm" else {"object": "error", **inner})

    def answer(self, one: Heard) -> Said | Fault:
        if one.text == PROBE:
            return Said('{"held": true}' if one.schema else "held" if one.regex == "(?:held)" else "Hello!")
        said = self.say(one)
        return Said(said) if isinstance(said, str) else said

    def listed(self) -> Any:
        if isinstance(self.models, list):
            return {"object": "list", "data": self.models}
        owner = "vllm" if self.kind.startswith("vllm") else "sglang" if self.kind.startswith("sglang") else "me"
        card = {"id": self.model, "object": "model", "created": 1, "owned_by": owner, "root": self.model}
        if owner != "me":
            card["max_model_len"] = self.max_model_len
        return {"object": "list", "data": [card]}

    def enter(self, by: int) -> None:
        with self._lock:
            self._n_now += by
            self.most_together = max(self.most_together, self._n_now)


def _samples(part: dict[str, Any]) -> Samples:
    data = part["input_audio"]["data"] if part["type"] == "input_audio" else part["audio_url"]["url"].partition(",")[2]
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(data, validate=True)), dtype="float32")
    assert rate == 16_000 and samples.ndim == 1
    return np.ascontiguousarray(samples)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no failure of a test; all else is told."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def chat(self) -> ChatServer:
        return self.server.chat  # type: ignore[attr-defined,no-any-return]

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        self.chat.keys.append(self.headers.get("Authorization"))
        if not self._may_enter():
            return
        if isinstance(self.chat.models, Fault):
            self._fault(self.chat.models)
        elif self.path == "/v1/models":
            self._json(200, self.chat.listed())
        elif self.path == "/health":
            self._json(200, None)
        else:
            self._json(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        self.chat.keys.append(self.headers.get("Authorization"))
        n_bytes = int(self.headers["Content-Length"])
        if not self._may_enter():
            return
        if n_bytes > self.chat.most_bytes:
            self._json(413, {"detail": "Request Entity Too Large"})
            self.close_connection = True
            return
        raw = self.rfile.read(n_bytes)
        if self.path != "/v1/chat/completions":
            self._json(404, {"detail": "Not Found"})
            return
        body = json.loads(raw)
        self.chat.bodies.append(body)
        one = self.chat.heard(body)
        if isinstance(one, Fault):
            self._fault(one)
            return
        self.chat.enter(1)
        try:
            said = self.chat.answer(one)
            if isinstance(said, Fault):
                self._fault(said)
            else:
                self._stream(said, body)
        except (BrokenPipeError, ConnectionResetError):
            self.chat.n_gone += 1
            self.close_connection = True
        finally:
            self.chat.enter(-1)

    def _may_enter(self) -> bool:
        if self.chat.key is None or self.headers.get("Authorization") == f"Bearer {self.chat.key}":
            return True
        self._json(401, {"error": "Unauthorized"})
        self.close_connection = True
        return False

    def _fault(self, fault: Fault) -> None:
        if fault.status == 999:  # bytes of something else
            self.wfile.write(fault.body.encode())
            self.close_connection = True
            return
        self._json(fault.status, fault.body, fault.headers)

    def _json(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        data = value.encode() if isinstance(value, str) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, said: Said, body: dict[str, Any]) -> None:
        self.chat.is_closing.wait(said.hang_s)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if said.raw is not None:
            self._chunk(said.raw)
        else:
            for event in self._events(said, body):
                self._chunk(b"data: " + json.dumps(event).encode() + b"\n\n")
            if said.cut:
                self.close_connection = True
                self.wfile.flush()
                self.connection.close()
                return
            self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _events(self, said: Said, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": int(time.time()), "model": "m"}
        field = "reasoning" if self.chat.kind == "vllm" else "reasoning_content"

        def event(delta: dict[str, Any], **more: Any) -> dict[str, Any]:
            return head | {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None, **more}]}

        yield event({"role": "assistant", "content": ""})
        pieces = [said.thought[i : i + 7] for i in range(0, len(said.thought), 7)]
        for piece in pieces:
            yield event({field: piece})
        for i in range(0, len(said.text), 7):
            yield event({"content": said.text[i : i + 7]})
        if said.cut:
            return
        yield event({}, finish_reason=said.finish_reason, **said.extra)
        if body.get("stream_options", {}).get("include_usage"):
            usage = {"prompt_tokens": 100, "completion_tokens": len(said.text), "total_tokens": 100 + len(said.text)}
            yield head | {"choices": [], "usage": usage}

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()
