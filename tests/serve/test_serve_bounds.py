"""What a server takes on and what it refuses; whose slot falls free when; and what it leaves behind: nothing."""

from __future__ import annotations

import base64
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from scripted_backend import HELLO, ScriptedBackend, noise
from served import JOB, SOON_S, Served, about, multipart, serving, wav

from moss_cli.errors import DeviceError
from moss_cli.serve.config import Limits, ServeConfig


def config(**limits: float | int) -> ServeConfig:
    return ServeConfig(JOB, limits=replace(Limits(), **limits))


def becomes(true: Callable[[], bool]) -> bool:
    """Whether something comes to hold."""
    until = time.monotonic() + SOON_S
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def gauge(served: Served, name: str) -> float:
    lines = served.get("/metrics").body.decode().splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(f"moss_{name} "))


class Held:
    """A backend that answers nothing until it is let go."""

    def __init__(self, n_together: int = 4) -> None:
        self.go = threading.Event()
        self.backend = ScriptedBackend(n_together=n_together, pace=1, at_step=self._wait)

    def _wait(self, n: int) -> None:
        if not self.go.is_set():
            self.go.wait(0.01)
            for ticket, (request, said, _) in list(self.backend._open.items()):
                self.backend._open[ticket] = (request, said, 0)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    """All audio is speech."""
    monkeypatch.setattr("moss_cli.run.speech_pieces.silent_stretches", lambda *_: [])
    return Held()


def test_a_body_that_says_it_is_too_long_is_refused_unread() -> None:
    with serving(config(max_json_bytes=1000), ScriptedBackend()) as served:
        got = served.chat(about(wav()))
        assert (got.status, got.code, got.headers["connection"]) == (413, "too_large", "close")


def test_a_body_that_proves_too_long_is_refused() -> None:
    with serving(config(max_json_bytes=1000, max_upload_bytes=1000), ScriptedBackend()) as served:
        for path, kind in (
            ("/v1/chat/completions", "application/json"),
            ("/v1/audio/transcriptions", "multipart/form-data; boundary=x"),
        ):
            blocks = iter([b"--x\r\n", *[b"y" * 500] * 4])  # without a length: sent in chunks
            got = served.ask("POST", path, blocks, {"content-type": kind, "transfer-encoding": "chunked"})  # type: ignore[arg-type]
            assert got.status in (400, 413)  # a form may be found out earlier


def test_a_clip_or_a_file_that_lasts_too_long_is_refused() -> None:
    with serving(ServeConfig(replace(JOB, max_duration_s=20.0)), ScriptedBackend()) as served:
        got = served.chat(about(wav(noise(20.5))))
        assert (got.status, got.code) == (400, "context_length_exceeded")
        assert got.json["error"]["param"] == "messages.0.content.0.input_audio"
        assert got.json["error"]["message"] == "the audio is at least 20.5 s long; the limit is 20 s"
        got = served.transcribe(wav(noise(20.5)))
        assert (got.status, got.json["error"]["message"]) == (400, "a.wav is at least 20.5 s long; the limit is 20 s")


def test_more_requests_than_there_is_room_for_are_sent_away_until_later(held: Held) -> None:
    with serving(config(max_requests=2), held.backend) as served:
        waiting = [served.open_chat(about(wav())) for _ in range(2)]
        assert becomes(lambda: len(held.backend.asked) == 2)
        got = served.chat(about(wav()))
        assert (got.status, got.code, got.json["error"]["type"]) == (429, "rate_limit_exceeded", "rate_limit_error")
        assert 1 <= int(got.headers["retry-after"]) <= 60
        held.go.set()
        assert all(one.recv(15) == b"HTTP/1.1 200 OK" for one in waiting)
        assert served.chat(about(wav())).status == 200


def test_more_audio_than_memory_is_set_aside_for_is_sent_away(held: Held) -> None:
    with serving(config(max_json_bytes_together=20_000), held.backend) as served:
        waiting = served.open_chat(about(wav(noise(0.5))))
        assert becomes(lambda: len(held.backend.asked) == 1)
        assert served.chat(about(wav(noise(0.5)))).status == 429
        held.go.set()
        assert waiting.recv(15) == b"HTTP/1.1 200 OK"
        assert becomes(lambda: served.chat(about(wav(noise(0.5)))).status == 200)


def test_a_client_that_goes_away_frees_its_slot(held: Held) -> None:
    with serving(config(), held.backend) as served:
        gone = [served.open_chat(about(wav(), stream=stream)) for stream in (False, True)]
        assert becomes(lambda: len(held.backend.asked) == 2 and gauge(served, "slots_busy") == 2)
        for one in gone:
            one.close()
        assert becomes(lambda: gauge(served, "requests_open") == 0 and gauge(served, "slots_busy") == 0)
        assert len(held.backend.cancelled) == 2 and not held.backend._open
        assert gauge(served, "cancelled_total") == 2


def test_a_client_that_goes_away_ends_its_transcription(held: Held) -> None:
    with serving(config(), held.backend) as served:
        body, kind = multipart([("file", wav(noise(4)), "a.wav")])
        head = f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        gone = socket.create_connection(("127.0.0.1", served.port), timeout=SOON_S)
        gone.sendall(f"{head}Content-Type: {kind}\r\n\r\n".encode() + body)
        assert becomes(lambda: gauge(served, "slots_busy") == 1)
        gone.close()
        assert becomes(lambda: gauge(served, "requests_open") == 0 and gauge(served, "slots_busy") == 0)
        assert not held.backend._open


def test_an_answer_that_takes_too_long_is_given_up(held: Held) -> None:
    with serving(config(timeout_s=0.2), held.backend) as served:
        got = served.chat(about(wav()))
        assert (got.status, got.code) == (504, "timeout")
        got = served.transcribe(wav(noise(4)))
        assert (got.status, got.code) == (504, "timeout")
        *_, last = served.chat(about(wav(), stream=True)).body.decode().strip().split("\n\n")
        assert '"code": "timeout"' in last
        assert becomes(lambda: not held.backend._open)


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    with serving(config(stall_s=0.1), ScriptedBackend()) as served:
        slow = socket.create_connection(("127.0.0.1", served.port), timeout=SOON_S)
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
        slow.sendall(f"{head}Content-Type: application/json\r\n\r\n{{".encode())
        assert slow.recv(12) == b"HTTP/1.1 408"


@pytest.mark.parametrize("said", [b"", b"GET /health HTTP/1.1\r\nHo"])
def test_a_connection_on_which_no_request_comes_is_closed(monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    monkeypatch.setattr("moss_cli.serve.connection.ASKS_WITHIN_S", 0.2)
    with serving(config(), ScriptedBackend()) as served:
        idle = socket.create_connection(("127.0.0.1", served.port), timeout=SOON_S)
        idle.sendall(said)
        assert idle.recv(1) == b""
        assert served.get("/health").status == 200


def test_what_is_in_work_is_finished_after_a_signal_and_nothing_else_comes_in(held: Held) -> None:
    with serving(config(), held.backend) as served:
        waiting = served.open_chat(about(wav()))
        assert becomes(lambda: len(held.backend.asked) == 1)
        served.server.handle_exit(15, None)
        assert becomes(lambda: served.get("/health").status == 503)
        got = served.chat(about(wav()))
        assert (got.status, got.code, got.headers["connection"]) == (503, "stopping", "close")
        held.go.set()
        assert waiting.recv(15) == b"HTTP/1.1 200 OK"
        assert becomes(lambda: served.server.should_exit)
        assert served.server.was_cut is None


def test_a_second_signal_ends_it_at_once(held: Held) -> None:
    with serving(config(), held.backend) as served:
        waiting = served.open_chat(about(wav()))
        assert becomes(lambda: len(held.backend.asked) == 1)
        served.server.handle_exit(15, None)
        served.server.handle_exit(15, None)
        assert served.server.was_cut == 15
        assert waiting.recv(12) == b"HTTP/1.1 503"
        assert becomes(lambda: served.server.should_exit)


def test_requests_share_the_slots(held: Held) -> None:
    with serving(config(), held.backend) as served:
        waiting = [served.open_chat(about(wav(), f"question {i}")) for i in range(6)]
        assert becomes(lambda: gauge(served, "slots_busy") == 4 and gauge(served, "queue") == 2)
        held.go.set()
        assert all(one.recv(15) == b"HTTP/1.1 200 OK" for one in waiting)
        assert held.backend.most_together == 4


def test_what_fails_in_the_engine_is_said_and_the_next_request_is_answered() -> None:
    def say(request: object, n: int) -> str | Exception:
        return [DeviceError("out of memory on cpu", code="out_of_memory"), RuntimeError("secret"), HELLO][n - 1]

    with serving(config(), ScriptedBackend(say=say)) as served:
        got = served.chat(about(wav()))
        assert (got.status, got.code, got.json["error"]["type"]) == (503, "out_of_memory", "server_error")
        got = served.chat(about(wav()))
        assert (got.status, got.code) == (500, "internal") and b"secret" not in got.body
        assert served.chat(about(wav())).json["choices"][0]["message"]["content"] == HELLO


def test_no_upload_stays_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: Held) -> None:
    """Files without names: also of a process that is killed nothing is left."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with serving(config(), held.backend) as served:
        waiting = threading.Thread(target=served.transcribe, args=(wav(noise(30)),))
        waiting.start()
        assert becomes(lambda: gauge(served, "slots_busy") == 1)
        assert os.listdir(tmp_path) == []  # noqa: PTH208 - plain names
        held.go.set()
        waiting.join(SOON_S)
        assert served.chat(about(wav())).status == 200


def test_no_file_and_no_url_of_a_request_is_opened(tmp_path: Path) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(wav())
    with serving(config(), ScriptedBackend()) as served:
        for url in (f"file://{secret}", str(secret), "http://127.0.0.1:1/a.wav"):
            part = {"type": "audio_url", "audio_url": {"url": url}}
            got = served.chat({"messages": [{"role": "user", "content": [part, {"type": "text", "text": "?"}]}]})
            assert (got.status, got.code) == (400, "unsupported_url")
        playlist = f"#EXTM3U\n#EXTINF:1,\n{secret}\n".encode()
        assert served.transcribe(playlist, name="a.m3u8").status == 400
        data = "data:audio/wav;base64," + base64.b64encode(wav()).decode()
        part = {"type": "audio_url", "audio_url": {"url": data}}
        got = served.chat({"messages": [{"role": "user", "content": [part, {"type": "text", "text": "?"}]}]})
        assert got.json["choices"][0]["message"]["content"] == HELLO


def test_float_samples_at_16_khz_reach_the_engine_bit_for_bit() -> None:
    samples = noise(1.0) * 1.5
    backend = ScriptedBackend()
    with serving(config(), backend) as served:
        assert served.chat(about(wav(samples))).status == 200
    assert backend.heard[0].tobytes() == samples.tobytes()
