"""Malformed requests to `moss serve`: none may be answered with a 5xx, bring it down, or leave a file behind.

    python benchmarks/serve_fuzz.py [--requests 5000] [--seed 0]

Starts `moss serve -m tiny` with small limits and sends it requests that are valid but for something: bytes of the JSON
changed, fields of wrong kinds, deep nesting, audio that is cut, changed or none, base64 that is broken, forms that do
not end, headers that lie about the length, lines that are no HTTP. Every answer must be a whole HTTP response with a
status below 500 (503 and 504 for nothing: the limits are not reached), errors in OpenAI's shape, and at the end a valid
request must be answered as before. The temporary folder, the folder it runs in and the state folder must hold what they
held before.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import soundfile

JUNK: tuple[Any, ...] = (
    None, True, -1, 0, 1e308, 2**70, "", "x", "\ud83d\ude00", "\x00", [], {}, [[]], {"a": 1}, "../../etc/passwd",
    "file:///etc/passwd", "http://127.0.0.1:1/x", "<|im_end|>", "x" * 5000,
)  # fmt: skip
FIELDS = (
    "model", "messages", "stream", "stream_options", "temperature", "top_p", "top_k", "seed", "max_tokens", "moss",
    "max_completion_tokens", "response_format", "structured_outputs", "guided_grammar", "guided_json", "n", "stop",
    "chat_template_kwargs", "mm_processor_kwargs", "thinking_token_budget", "tools", "user", "logprobs", "unknown",
)  # fmt: skip
FORM_FIELDS = (
    "model",
    "response_format",
    "temperature",
    "language",
    "prompt",
    "timestamp_granularities[]",
    "seed",
    "x",
)
FORMATS = ("WAV", "FLAC", "OGG", "MP3")
GRAMMARS = ("start:", "start: A", 'start: "a"', "start: start", "%json {}", "start: /(/", "start: /(a{9}){9}/", "🙂")


def clip(kind: str) -> bytes:
    """A fifth of a second of noise."""
    file = io.BytesIO()
    soundfile.write(file, np.random.default_rng(0).uniform(-0.1, 0.1, 3200).astype(np.float32), 16_000, format=kind)
    return file.getvalue()


CLIPS = [clip(kind) for kind in FORMATS]


def broken(data: bytes, draw: random.Random) -> bytes:
    """Bytes with something wrong in them."""
    kind = draw.randrange(5)
    place = draw.randrange(len(data)) if data else 0
    if kind == 0:
        return data[:place]
    if kind == 1:
        return data[:place] + draw.randbytes(draw.randrange(1, 9)) + data[place + 4 :]
    if kind == 2:
        return draw.randbytes(draw.randrange(64))
    if kind == 3:
        return data[:place] + data[: place // 2] + data[place:]
    return data


def valid(draw: random.Random) -> dict[str, Any]:
    """A chat request that is right."""
    data = base64.b64encode(draw.choice(CLIPS)).decode()
    audio = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    text = {"type": "text", "text": "Transcribe the audio."}
    return {"model": "tiny", "messages": [{"role": "user", "content": [audio, text]}], "max_tokens": 2}


def places(value: Any) -> list[tuple[Any, Any]]:
    """Each container in a value with each of its keys."""
    if not isinstance(value, dict | list):
        return []
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]


def chat(draw: random.Random) -> bytes:
    """A chat request with something wrong."""
    body = valid(draw)
    kind = draw.randrange(7)
    if kind == 0:
        for _ in range(draw.randrange(1, 4)):
            body[draw.choice(FIELDS)] = draw.choice(JUNK)
    elif kind == 1:
        container, key = draw.choice(places(body))
        container[key] = draw.choice(JUNK)
    elif kind == 2:
        data = broken(draw.choice(CLIPS), draw)
        body["messages"][0]["content"][0]["input_audio"]["data"] = base64.b64encode(data).decode()
    elif kind == 3:
        text = body["messages"][0]["content"][0]["input_audio"]["data"]
        place = draw.randrange(len(text))
        body["messages"][0]["content"][0]["input_audio"]["data"] = text[:place] + draw.choice("=%\n é-_") + text[place:]
    elif kind == 4:
        body["structured_outputs"] = {"grammar": draw.choice(GRAMMARS)}
        if draw.random() < 0.5:
            body["response_format"] = {"type": "json_schema", "json_schema": {"schema": {"type": draw.choice(JUNK)}}}
            del body["structured_outputs"]
    raw = json.dumps(body).encode()
    if kind == 5:
        raw = broken(raw, draw)
    elif kind == 6:
        raw = draw.choice(
            (b"[" * 20_000, b'{"a":' * 20_000, b"", b"null", b"\xff\xfe{}", b'{"messages": NaN}', raw * 2)
        )
    return posted("/v1/chat/completions", "application/json", raw, draw)


def form(draw: random.Random) -> bytes:
    """A form with something wrong."""
    mark = "xyzzy"
    names = [("file", draw.choice(CLIPS), draw.choice(("a.wav", "../../a.wav", "\x00", "a" * 3000, "")))]
    names += [(draw.choice(FORM_FIELDS), str(draw.choice(JUNK)).encode("utf-8", "replace"), None)] * draw.randrange(3)
    kind = draw.randrange(5)
    if kind == 0:
        names[0] = ("file", broken(names[0][1], draw), names[0][2])
    elif kind == 1:
        names = names * 2 if draw.random() < 0.5 else names[1:]
    body = b""
    for name, value, filename in names:
        named = f'; filename="{filename}"' if filename is not None else ""
        body += f'--{mark}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'.encode() + value + b"\r\n"
    body += f"--{mark}--\r\n".encode()
    if kind == 2:
        body = broken(body, draw)
    kinds = (
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "text/plain",
        "multipart/form-data; boundary=\xff",
    )
    content = draw.choice(kinds) if kind == 3 else f"multipart/form-data; boundary={mark}"
    return posted("/v1/audio/transcriptions", content, body, draw)


def posted(path: str, kind: str, body: bytes, draw: random.Random) -> bytes:
    """A POST, whose headers lie now and then."""
    length: object = len(body)
    if draw.random() < 0.05:
        length = draw.choice((0, len(body) // 2, 10**9, 10**30, -1, "x"))
    host = "localhost" if draw.random() < 0.97 else draw.choice(("", "evil.example", "[", "\xff"))
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode("latin-1") + body


def line(draw: random.Random) -> bytes:
    """Something else than a POST to where one belongs."""
    start = draw.choice(("GET", "POST", "PUT", "OPTIONS", "get", "")) + " "
    start += draw.choice(
        ("/", "/v1/models/..", "/v1/models/%ff%00", "/v1/chat/completions", "/metrics?x=%", "*", "//e")
    )
    end = draw.choice((" HTTP/1.1", " HTTP/1.0", " HTTP/9", ""))
    head = (
        f"{start}{end}\r\nHost: localhost\r\nConnection: close\r\n{draw.choice(('', 'X: y' * 9000, 'Expect: 1'))}\r\n"
    )
    return draw.randbytes(99) if draw.random() < 0.1 else head.encode() + b"\r\n"


MAKERS: tuple[Callable[[random.Random], bytes], ...] = (chat, chat, chat, form, form, line)


def sent(port: int, request: bytes) -> bytes:
    """What is answered to some bytes. Of a request that is shorter than it says, the end is told."""
    head, _, body = request.partition(b"\r\n\r\n")
    said = re.search(rb"Content-Length: (\d+)", head)
    with socket.create_connection(("127.0.0.1", port), timeout=60) as made:
        with suppress(OSError):  # it may be refused before all of it is sent
            made.sendall(request)
            if said is None or int(said[1]) > len(body):
                made.shutdown(socket.SHUT_WR)
        answer = b""
        with suppress(ConnectionResetError):
            while block := made.recv(65_536):
                answer += block
    return answer


def complaint(answer: bytes) -> str | None:
    """What is wrong with an answer."""
    if not answer:
        return None  # a client that says no more is gone, for HTTP/1.1
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head[9:12].decode()
    if not (head.startswith(b"HTTP/1.1 ") and status.isdigit()) or int(status) >= 500:
        return f"{head[:200]!r} {body[:300]!r}"
    if int(status) >= 400 and b"application/json" in head:
        error = json.loads(body)["error"]
        if set(error) != {"message", "type", "param", "code"}:
            return f"not in shape: {body[:300]!r}"
        if b"/dev/fd" in body or b"/tmp/" in body:
            return f"tells a path: {body[:300]!r}"
    return None


def fuzz(port: int, n_requests: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Statuses and complaints of so many requests."""
    draw, statuses, complaints = random.Random(seed), Counter[str](), list[str]()
    for i in range(n_requests):
        request = draw.choice(MAKERS)(draw)
        answer = sent(port, request)
        statuses[answer[9:12].decode("latin-1") or "none"] += 1
        if (said := complaint(answer)) is not None:
            complaints.append(f"request {i}: {said} to {request[:300]!r}")
    return statuses, complaints


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        places = {name: Path(folder, name) for name in ("state", "tmp", "here")}
        for place in places.values():
            place.mkdir()
        python_path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "MOSS_STATE_DIR": str(places["state"]), "TMPDIR": str(places["tmp"])}
        environment["PYTHONPATH"] = python_path
        command = [sys.executable, "-m", "moss_cli", "serve"]
        wanted = [*command, "-m", "tiny", "--dtype", "fp32", "--port", "0", "--detach"]
        done = subprocess.run(wanted, env=environment, cwd=places["here"], capture_output=True, text=True, check=True)
        port = urlsplit(done.stdout.strip()).port or 0

        def held() -> list[str]:
            return sorted(str(file) for file in Path(folder).rglob("*"))

        before = held()
        right = posted(
            "/v1/chat/completions", "application/json", json.dumps(valid(random.Random(0))).encode(), random.Random(1)
        )
        try:
            first = sent_whole(port, right)
            statuses, complaints = fuzz(port, options.requests, options.seed)
            last = sent_whole(port, right)
            print(dict(statuses.most_common()))
            print(f"{len(complaints)} complaints", *complaints[:10], sep="\n")
            is_same = answer_of(first) == answer_of(last)
            print("a valid request is answered as before:", is_same)
            print("files that are new:", sorted(set(held()) - set(before)))
            return 0 if not complaints and is_same and held() == before else 1
        finally:
            subprocess.run([*command, "--stop"], env=environment, check=True)
            print(*(log.read_text()[-3000:] for log in places["state"].glob("serve/*.log")))


def sent_whole(port: int, request: bytes) -> bytes:
    """The answer to a request of a client that stays."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as made:
        made.sendall(request)
        answer = b""
        while block := made.recv(65_536):
            answer += block
    return answer


def answer_of(response: bytes) -> str:
    """The text of an answer."""
    text: str = json.loads(response.partition(b"\r\n\r\n")[2])["choices"][0]["message"]["content"]
    return text


if __name__ == "__main__":
    sys.exit(main())
