"""Runs in which a server decodes: the seven commands, and what becomes of a folder when that server fails."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from chat_server import ChatServer, Heard, Kind, Said
from cli_run import Run

import moss_cli
from moss_cli.answers import Form, Grammar, JsonSchema, Sampling
from moss_cli.backends.local import LocalBackend
from moss_cli.backends.protocol import Answered, Request
from moss_cli.engine.engine import load_engine

Moss = Callable[..., Run]
Wav = Callable[..., Path]

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples"
HELLO = "[0.00]hello there[0.05]"
COMMANDS = {
    "transcribe": ["transcribe", str(SAMPLES / "meeting.wav")],
    "describe-speaker": ["describe-speaker", str(SAMPLES / "voice.wav")],
    "emotion": ["emotion", str(SAMPLES / "emotion.wav")],
    "scene": ["scene", str(SAMPLES / "scene.wav")],
    "music": ["music", str(SAMPLES / "music.wav")],
    "ask": ["ask", "what is said", str(SAMPLES / "question.wav")],
    "summarize": ["summarize", str(SAMPLES / "minutes.wav")],
}
# tiny, behind a server that says nothing of it
REMOTE = """
[models.remote]
url = "{url}"
model = "moss-audio"
max_seconds = 30
piece_seconds = {{ transcribe = 8 }}
thinking = true
thinks_over = ["emotion", "ask", "summarize"]
text_only = false
tasks = ["transcribe", "describe-speaker", "emotion", "scene", "music", "ask", "summarize"]
"""


@pytest.fixture
def backend() -> None:
    """The usual backends."""


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moss_cli.models.connection.FIRST_WAIT_S", 0.0)
    monkeypatch.setattr("moss_cli.models.connection.LONGEST_WAIT_S", 0.0)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


class EngineAnswers:
    """tiny, asked as a server asks its model: it knows nothing but the fields of the request."""

    def __init__(self) -> None:
        folder = Path(moss_cli.__file__).parent / "weights" / "tiny"
        self._backend = LocalBackend(load_engine(folder, device="cpu", dtype="fp32"), 1)
        self._lock = threading.Lock()

    def __call__(self, heard: Heard) -> Said:
        with self._lock:
            return self._answer(heard)

    def _answer(self, heard: Heard) -> Said:
        body = heard.body
        form: Form | None = None
        if heard.schema:
            form = JsonSchema(json.dumps(heard.schema))
        elif heard.regex:
            form = Grammar("start: /" + heard.regex.replace("/", "\\/") + "/")
        clip = None
        if heard.samples is not None:
            [clip] = self._backend.listen([heard.samples])
            assert not isinstance(clip, Exception)
        think = body.get("chat_template_kwargs", {}).get("enable_thinking")
        request = Request(
            heard.text,
            clip,
            form,
            max_new_tokens=body["max_tokens"],
            time_markers=body.get("mm_processor_kwargs", {}).get("enable_time_marker"),
            think=think,
            may_think=think is not False,
            sampling=Sampling(body["temperature"], body.get("top_p", 1.0), max(0, body.get("top_k", 0))),
            seed=body.get("seed", 0),
        )
        self._backend.submit(request)
        while True:
            for event in self._backend.step():
                if isinstance(event, Answered):
                    reply = event.reply
                    return Said(reply.text, reply.thought or "", reply.finish_reason)


@pytest.fixture(scope="module")
def engine() -> EngineAnswers:
    return EngineAnswers()


@pytest.fixture(scope="module")
def local() -> dict[str, Run]:
    """The envelopes of local runs, made once each."""
    return {}


def name_it(server: ChatServer) -> None:
    """Makes `remote` a model of models.toml."""
    Path(os.environ["MOSS_CONFIG_DIR"], "models.toml").write_text(REMOTE.format(url=server.url))


@pytest.mark.parametrize("kind", ["vllm", "sglang"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_gives_what_it_gives_locally(
    moss: Moss, engine: EngineAnswers, local: dict[str, Run], command: str, kind: Kind
) -> None:
    line = [*COMMANDS[command], "-f", "json"]
    if command not in local:
        local[command] = moss(*line, "-m", "tiny", "--dtype", "fp32", "--device", "cpu")
    expected = json.loads(local[command].out)
    with ChatServer(engine, kind, max_model_len=4096) as server:
        name_it(server)
        ran = moss(*line, "-m", "remote")
        assert (ran.code, ran.err) == (0, local[command].err), "\n".join(ran.err)
        found = json.loads(ran.out)
        assert found["model"] == {
            "name": f"moss-audio @ {server.origin}",
            "revision": None,
            "dtype": "server",
            "device": "server",
            "demo": False,
        }
    for key in ("result", "text", "thinking", "chunks", "warnings", "params", "status"):
        assert found[key] == expected[key], key
