"""`moss serve` as a process: in front, in the background, and what it refuses to start with."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cli_run import Run

from moss_cli.serve.address import Address
from moss_cli.serve.running import announced

pytest.importorskip("uvicorn", reason="needs moss-cli[serve]")
pytest.importorskip("starlette", reason="needs moss-cli[serve]")

MOSS = [sys.executable, "-m", "moss_cli", "serve"]
SOON_S = 120
STOPS = "runs in the background; its messages are in"


def moss_serve(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*MOSS, *words], capture_output=True, text=True, timeout=SOON_S)


@pytest.fixture
def stopped() -> Iterator[None]:
    """Ends what a test may have left running."""
    yield
    for file in Path(os.environ["MOSS_STATE_DIR"]).glob("serve/*.json"):
        os.kill(json.loads(file.read_text())["pid"], signal.SIGKILL)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host", "0.0.0.0"], "0.0.0.0 can be reached from other machines, so a token is needed"),
        (["--host", "example.org"], "example.org can be reached from other machines, so a token is needed"),
        (["--max-upload", "lots"], "--max-upload lots is no size"),
        (["--timeout", "0"], "--timeout must be greater than zero"),
        (["--keep-alive", "soon"], "--keep-alive: 'soon' is not a time"),
        (["--token-file", "gone"], "the token file gone cannot be read: No such file or directory"),
        (["--socket", "."], ". is there already, and is no socket"),
        (["--batch-size", "0"], "--batch-size 0 is neither auto nor a positive number"),
    ],
)
def test_what_it_cannot_start_with_is_a_usage_error(moss: Callable[..., Run], words: list[str], said: str) -> None:
    run = moss("serve", "-m", "tiny", *words)
    assert (run.code, run.out, run.err[0]) == (2, "", f"moss: error: {said}")


@pytest.mark.parametrize("token", ["short", "with a blank in it", "zwölf-und-noch-mehr-zeichen"])
def test_a_token_that_is_none_is_a_usage_error(
    moss: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("MOSS_SERVER_TOKEN", token)
    run = moss("serve", "-m", "tiny")
    said = "the token in MOSS_SERVER_TOKEN must have 16 printable ASCII characters or more, and no blanks"
    assert (run.code, run.err[0]) == (2, f"moss: error: {said}")


def test_a_server_s_address_is_no_model_to_serve_and_is_not_asked(
    moss: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOSS_MODEL", "http://user:secret@127.0.0.1:1/v1")
    run = moss("serve")
    assert (run.code, run.err) == (
        2,
        [
            "moss: error: the model that is set is on a server; moss serve needs one on this machine",
            "hint: choose one, for example `moss serve --model tiny`",
        ],
    )


def test_a_port_that_is_taken_is_an_error_before_anything_is_loaded(moss: Callable[..., Run]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = moss("serve", "-m", "tiny", "--port", str(port))
    hint = "hint: see `moss serve --status`, or let --port 0 take one that is free"
    assert (run.code, run.err) == (1, [f"moss: error: something listens on port {port} already", hint])


def test_where_nothing_runs_there_is_nothing_to_show_or_stop(moss: Callable[..., Run]) -> None:
    for word in ("--status", "--stop"):
        run = moss("serve", word)
        assert (run.code, run.out, run.err[0]) == (1, "", "moss: error: no server is running")


def test_which_server_is_to_stop_has_to_be_clear(moss: Callable[..., Run]) -> None:
    one, other = Address("127.0.0.1", 8001), Address("127.0.0.1", 8002)
    with announced(one, "tiny", None):
        missed = moss("serve", "--stop", "--port", "8003")
        with announced(other, "tiny", None):
            unclear = moss("serve", "--stop")
            shown = moss("serve", "--status")
    error = "moss: error: no server is running at http://127.0.0.1:8003/v1"
    assert (missed.code, missed.err) == (1, [error, "hint: see `moss serve --status`"])
    hint = "hint: say which, with --port or --socket; see `moss serve --status`"
    assert (unclear.code, unclear.err) == (2, ["moss: error: 2 servers are running", hint])
    assert [line.split()[0] for line in shown.out.splitlines()] == [one.url, other.url]


def test_in_the_background_it_answers_until_it_is_stopped(stopped: None, tmp_path: Path) -> None:
    started = moss_serve("-m", "tiny", "--port", "0", "--detach")
    assert started.returncode == 0 and STOPS in started.stderr
    url = started.stdout.strip()
    with urllib.request.urlopen(f"{url}/models", timeout=SOON_S) as response:
        assert json.load(response)["data"][0]["id"] == "tiny"
    shown = moss_serve("--status")
    assert shown.returncode == 0 and shown.stdout.startswith(f"{url}  tiny  pid ")
    again = moss_serve("-m", "tiny", "--port", str(urlsplit(url).port), "--detach")
    assert again.returncode == 1 and "already" in again.stderr
    done = moss_serve("--stop")
    assert (done.returncode, done.stderr) == (0, f"moss: stopped the server at {url}\n")
    assert moss_serve("--status").returncode == 1


def test_a_socket_is_for_this_user_alone_and_goes_with_the_server(stopped: None, tmp_path: Path) -> None:
    path = tmp_path / "moss.sock"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))  # of a server that was killed
    dead.close()
    server = subprocess.Popen([*MOSS, "-m", "tiny", "--socket", str(path), "-v"], stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    try:
        for line in server.stderr:
            if line == f"moss: serving tiny at unix:{path}\n":
                break
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with socket.socket(socket.AF_UNIX) as made:
            made.connect(str(path))
            made.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert made.recv(15) == b"HTTP/1.1 200 OK"
        server.terminate()
        assert server.wait(SOON_S) == 0
        assert not path.exists()
        assert " INFO GET /health 200 " in server.stderr.read()
    finally:
        server.kill()


def test_one_that_does_not_come_up_in_the_background_says_why() -> None:
    started = moss_serve("-m", "no-such-model", "--port", "0", "--detach")
    assert (started.returncode, started.stdout) == (5, "")
    assert started.stderr.splitlines()[0] == "moss: error: no model named no-such-model"


def test_the_help_needs_nothing_that_is_heavy() -> None:
    code = "import sys; from moss_cli.cli.main import run; run(['serve', '--help']); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=SOON_S)
    modules = done.stdout.splitlines()[-1]
    assert not [name for name in ("torch", "numpy", "starlette", "uvicorn") if f"'{name}'" in modules]


def test_killed_servers_are_not_listed(stopped: None) -> None:
    server = subprocess.Popen([*MOSS, "-m", "tiny", "--port", "0"], stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    for line in server.stderr:
        if line.startswith("moss: serving"):
            break
    server.kill()
    server.wait(SOON_S)
    until = time.monotonic() + SOON_S
    while moss_serve("--status").returncode == 0 and time.monotonic() < until:
        pass
    assert list(Path(os.environ["MOSS_STATE_DIR"]).glob("serve/*.json")) == []
