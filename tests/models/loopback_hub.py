"""A hub on this machine: what huggingface_hub asks for, of models that a test gives it, and broken on purpose.

The library's own download works with it (test_loopback_hub.py). Large files are kept apart, as the hub keeps them:
their address redirects to another host, and they are known by their SHA-256; small ones by the SHA-1 that git has.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = 100_000  # bytes from which a file is kept apart; the hub decides by .gitattributes
_BLOCK = 16_384


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass(frozen=True)
class Trouble:
    """What goes wrong with the next requests for a file, or for the list of files (name "").

    status, code and headers: an error as the hub gives it. cut_at: the connection breaks after so many bytes of the
    answer. content: what is sent in the place of what is asked for. whole: ranges are ignored. slow_s: between blocks.
    """

    name: str
    times: int = 1
    status: int | None = None
    code: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    cut_at: int | None = None
    content: bytes | None = None
    whole: bool = False
    slow_s: float = 0.0


@dataclass(frozen=True)
class Request:
    """One that came. name: of the file, "" for the list. start: of the range. n_sent: bytes of the answer."""

    host: str
    name: str
    start: int = 0
    authorization: str | None = None
    n_sent: int = 0


@dataclass
class LoopbackHub:
    """Models by hub id and commit, each with its files; `main` is the last that was added. n_bytes: sent of files;
    n_open: answers that are being sent."""

    url: str
    models: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)
    heads: dict[str, str] = field(default_factory=dict)
    troubles: list[Trouble] = field(default_factory=list)
    log: list[Request] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    n_bytes: int = 0
    n_open: int = 0

    def add(self, hub_id: str, files: dict[str, bytes]) -> str:
        """Publish a model, or a new version of it, and return its commit."""
        commit = git_sha1(json.dumps({name: sha256(content) for name, content in files.items()}).encode())
        self.models.setdefault(hub_id, {})[commit] = files
        self.heads[hub_id] = commit
        return commit

    def trouble(self, name: str, **what: Any) -> None:
        self.troubles.append(Trouble(name, **what))

    def next_trouble(self, name: str) -> Trouble:
        with self.lock:
            for i, one in enumerate(self.troubles):
                if one.name == name and one.times:
                    self.troubles[i] = replace(one, times=one.times - 1)
                    return one
        return Trouble(name)

    @property
    def requests(self) -> list[Request]:
        """All that came, once the answers that are being sent have come to their end, or to nobody."""
        while self.n_open:
            time.sleep(0.001)
        return self.log

    def came(self, name: str) -> list[Request]:
        """The requests for a file's content."""
        return [one for one in self.requests if one.name == name]

    def n_sent(self, name: str) -> int:
        """Bytes of a file that were sent, all requests together."""
        return sum(one.n_sent for one in self.came(name))

    def commit(self, hub_id: str, revision: str) -> str | None:
        known = self.models.get(hub_id, {})
        return self.heads[hub_id] if revision == "main" and known else revision if revision in known else None


def _entry(name: str, content: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"size": len(content), "blobId": git_sha1(content)}
    if len(content) >= LARGE:
        entry["lfs"] = {"sha256": sha256(content), "size": len(content), "pointerSize": 130}
        entry["blobId"] = git_sha1(name.encode())  # that of the pointer
    return entry


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: LoopbackHub

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/").split("/")
        try:
            if path[:2] == ["api", "models"]:
                self._api("/".join(path[2:4]), path[4:])
            elif path[0] == "large":
                self._large(path[1])
            elif len(path) == 5 and path[2] == "resolve":
                self._resolve("/".join(path[:2]), path[3], path[4])
            else:
                self._refuse(404)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _api(self, hub_id: str, rest: list[str]) -> None:
        self.hub.log.append(Request(self.headers["Host"], "", 0, self.headers.get("Authorization")))
        trouble = self.hub.next_trouble("")
        if self._in_trouble(trouble):
            return None
        if trouble.content is not None:
            return self._send(200, trouble.content, {"Content-Type": "application/json"})
        revision = rest[1] if rest else "main"
        commit = self.hub.commit(hub_id, revision)
        if hub_id not in self.hub.models:
            return self._refuse(401, "RepoNotFound")
        if commit is None:
            return self._refuse(404, "RevisionNotFound")
        files = self.hub.models[hub_id][commit]
        if rest[:1] == ["tree"]:
            tree: Any = [{"type": "file", "path": name, **_entry(name, content)} for name, content in files.items()]
            for one in tree:
                one["oid"] = one.pop("blobId")
                if "lfs" in one:
                    one["lfs"]["oid"] = one["lfs"].pop("sha256")
            return self._send(200, json.dumps(tree).encode(), {"Content-Type": "application/json"})
        siblings = [{"rfilename": name, **_entry(name, content)} for name, content in files.items()]
        info = {"id": hub_id, "modelId": hub_id, "sha": commit, "siblings": siblings}
        return self._send(200, json.dumps(info).encode(), {"Content-Type": "application/json"})

    def _resolve(self, hub_id: str, revision: str, name: str) -> None:
        commit = self.hub.commit(hub_id, revision)
        content = self.hub.models.get(hub_id, {}).get(commit or "", {}).get(name)
        if content is None:
            return self._refuse(404, "EntryNotFound")
        about = {"X-Repo-Commit": str(commit), "Accept-Ranges": "bytes"}
        if len(content) < LARGE:
            return self._content(name, content, about | {"ETag": f'"{git_sha1(content)}"'})
        digest = sha256(content)
        about |= {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content))}
        port = self.server.server_address[1]
        return self._send(302, b"", about | {"Location": f"http://localhost:{port}/large/{digest}"})

    def _large(self, digest: str) -> None:
        for commits in self.hub.models.values():
            for files in commits.values():
                for name, content in files.items():
                    if sha256(content) == digest:
                        return self._content(name, content, {"ETag": f'"{digest}"', "Accept-Ranges": "bytes"})
        return self._refuse(404)

    def _content(self, name: str, content: bytes, headers: dict[str, str]) -> None:
        if self.command == "HEAD":
            return self._send(200, content, headers)
        trouble = self.hub.next_trouble(name)
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        request = Request(self.headers["Host"], name, start, self.headers.get("Authorization"))
        if trouble.status is not None:
            self.hub.log.append(request)
        if self._in_trouble(trouble):
            return None
        content = content if trouble.content is None else trouble.content
        status = 200
        if start and not trouble.whole:
            if start >= len(content):
                self.hub.log.append(request)
                return self._send(416, b"", {"Content-Range": f"bytes */{len(content)}"})
            status = 206
            headers = headers | {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
            content = content[start:]
        return self._send(status, content, headers, trouble, request)

    def _in_trouble(self, trouble: Trouble) -> bool:
        if trouble.status is None:
            return False
        self._refuse(trouble.status, trouble.code, dict(trouble.headers))
        return True

    def _refuse(self, status: int, code: str | None = None, headers: dict[str, str] | None = None) -> None:
        self._send(status, b"", ({"X-Error-Code": code} if code else {}) | (headers or {}))

    def _send(
        self,
        status: int,
        content: bytes,
        headers: dict[str, str],
        trouble: Trouble | None = None,
        request: Request | None = None,
    ) -> None:
        trouble = trouble or Trouble("")
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        sent = 0
        with self.hub.lock:
            self.hub.n_open += 1
        try:
            while self.command != "HEAD" and sent < len(content):
                if trouble.cut_at is not None and sent >= trouble.cut_at:
                    self.close_connection = True
                    break
                block = content[sent : sent + _BLOCK]
                self.wfile.write(block if trouble.cut_at is None else block[: trouble.cut_at - sent])
                n_more = len(block) if trouble.cut_at is None else min(len(block), trouble.cut_at - sent)
                sent += n_more
                if request is not None:
                    with self.hub.lock:
                        self.hub.n_bytes += n_more
                if trouble.slow_s:
                    time.sleep(trouble.slow_s)
        finally:
            with self.hub.lock:
                self.hub.n_open -= 1
                if request is not None:
                    self.hub.log.append(replace(request, n_sent=sent))


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that is gone is nothing to speak of."""


@contextmanager
def serving() -> Iterator[LoopbackHub]:
    """A hub without models, until the end of the block."""
    handler = type("Handler", (_Handler,), {})
    server = _Server(("127.0.0.1", 0), handler)
    hub = LoopbackHub(f"http://127.0.0.1:{server.server_address[1]}")
    handler.hub = hub
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
