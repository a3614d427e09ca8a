"""Runs in which a server decodes: the seven commands, and what becomes of a folder when that server fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chat_server import ChatServer, Fault, Heard, Kind, Said
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


# --- what goes wrong ---

A, B, C = 1600, 3200, 4800  # samples, by which a server tells the recordings apart


def of_b(fault: Callable[[], Said | Fault]) -> Callable[[Heard], str | Said | Fault]:
    """Answers all but the second recording, for which the fault comes every time."""
    return lambda heard: fault() if heard.samples is not None and len(heard.samples) == B else HELLO


@pytest.fixture
def folder(wav: Wav) -> Path:
    wav("in/a.wav", A)
    wav("in/b.wav", B)
    return wav("in/c.wav", C).parent


def line_of(server: ChatServer, *inputs: str) -> list[str]:
    return ["transcribe", *(inputs or ("in",)), "-m", server.url, "--no-vad", "--batch-size", "1"]


FAULTS: dict[str, tuple[Callable[[], Said | Fault], int, str, int]] = {
    # what comes: the exit code of that input alone, what is said of it, and how often it is asked for
    "400 too long": (
        lambda: Fault(400, {"error": {"message": "This model's maximum context length is 9 tokens.", "code": 400}}),
        2,
        "finds it too long (400): This model's maximum context length is 9 tokens.",
        2,
    ),
    "400": (lambda: Fault(400, {"detail": "no"}), 2, "refuses it (400): no", 1),
    "413": (lambda: Fault(413, "<html>"), 2, "finds it too long (413): without a reason", 2),
    "429": (lambda: Fault(429, {"error": "full"}, {"Retry-After": "0"}), 5, "is too busy (429): full", 6),
    "500": (lambda: Fault(500, {"object": "error", "message": "CUDA error"}), 5, "failed (500): CUDA error", 6),
    "503": (lambda: Fault(503, {"error": {"message": "loading"}}), 5, "failed (503): loading", 6),
    "401": (lambda: Fault(401, {"error": "Unauthorized"}), 5, "refuses access (401): Unauthorized", 1),
    "cut": (lambda: Said("[0.00]hel", cut=True), 5, "broke off its answer: ", 6),
    "no end": (
        lambda: Said(raw=b'data: {"choices": []}\n\ndata: [DONE]\n\n'),
        5,
        "broke off its answer: it has no end",
        6,
    ),
    "garbage": (lambda: Said(raw=b"data: {oops\n\n"), 5, "cannot be read: an event is not JSON", 6),
    "a web page": (lambda: Said(raw=b"<html>hello</html>\n"), 5, "cannot be read: it is no stream of events", 6),
    "error in the stream": (
        lambda: Said(raw=b'data: {"error": {"message": "out of memory", "code": 500}}\n\ndata: [DONE]\n\n'),
        5,
        "failed (500): out of memory",
        6,
    ),
    "hanging": (lambda: Said(hang_s=60), 5, "did not answer: nothing came for 1 s", 2),
    "redirect": (
        lambda: Fault(307, "", {"Location": "http://elsewhere/v1?key=1"}),
        5,
        "not followed: to http://elsewhere/v1",
        1,
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_costs_its_input_alone_and_the_next_run_does_just_that(
    moss: Moss, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    fault, code, said, n_asked = FAULTS[name]
    monkeypatch.setenv("MOSS_SERVER_TIMEOUT", "1" if name == "hanging" else "60")
    with ChatServer(of_b(fault)) as server:
        ran = moss(*line_of(server), "-o", "out/")
        assert ran.code == 3
        [error] = [line for line in ran.err if line.startswith("moss: error:")]
        assert said in error
        assert error.startswith("moss: error: in/b.wav: ") == (code == 5)
        assert sorted(path.name for path in Path("out").glob("*.txt")) == ["a.txt", "c.txt"]
        assert [len(one.samples) for one in server.asked if one.samples is not None].count(B) == n_asked
        if name == "hanging":
            return
        alone = moss(*line_of(server, "in/b.wav"))
        assert alone.code == code
        server.say = lambda heard: HELLO
        server.asked.clear()
        again = moss(*line_of(server), "-o", "out/")
        assert (again.code, again.err) == (0, [])
        assert [len(one.samples) for one in server.asked if one.samples is not None] == [B]
        assert sorted(path.name for path in Path("out").glob("*.txt")) == ["a.txt", "b.txt", "c.txt"]


@pytest.mark.parametrize(
    "fault",
    [Fault(503, {"error": "busy"}), Fault(429, {"error": "busy"}, {"Retry-After": "1"}), Said("[0.00]hel", cut=True)],
)
def test_what_passes_is_asked_for_again_and_nobody_is_told(moss: Moss, folder: Path, fault: Said | Fault) -> None:
    with ChatServer(lambda heard: fault if heard.n % 2 else HELLO) as server:
        ran = moss(*line_of(server), "-o", "out/")
        assert (ran.code, ran.err) == (0, [])
        assert len(server.asked) == 6


def test_the_chunks_of_a_long_recording_that_were_answered_are_not_asked_for_again(moss: Moss, wav: Wav) -> None:
    wav("in/long.wav", 16_000 * 9)
    line = ("transcribe", "in", "--no-vad", "--chunk", "2", "--batch-size", "1", "-o", "out/")
    with ChatServer(lambda heard: Fault(400, {"error": "no"}) if heard.n == 4 else HELLO) as server:
        assert moss(*line, "-m", server.url).code == 2
        first, server.asked[:] = [one.samples for one in server.asked], []
        server.say = lambda heard: HELLO
        assert moss(*line, "-m", server.url).code == 0
        second = [one.samples for one in server.asked]
    assert len(first) == 4
    assert not [one for one in second for other in first[:3] if one is not None and np.array_equal(one, other)]
    assert second[0] is not None and np.array_equal(second[0], first[3])


def test_a_server_that_goes_away_costs_nothing_that_is_done(moss: Moss, folder: Path) -> None:
    with ChatServer(lambda heard: HELLO) as server:
        url = server.url

        def leave(heard: Heard) -> Said:
            server.close()
            return Said(HELLO)

        server.say = leave
        ran = moss("transcribe", "in", "-m", url, "--no-vad", "--batch-size", "1", "-o", "out/")
    assert ran.code == 3
    assert [line for line in ran.err if "error" in line] == [
        f"moss: error: in/{name}.wav: cannot reach {url}: connection refused" for name in "bc"
    ]
    assert [path.name for path in Path("out").glob("*.txt")] == ["a.txt"]


@pytest.mark.parametrize("option", [(), ("-f", "json")])
def test_a_server_that_is_not_there_ends_the_run_at_once(moss: Moss, folder: Path, option: tuple[str, ...]) -> None:
    with ChatServer(lambda heard: HELLO) as server:
        url = server.url
    ran = moss("transcribe", "in", "-m", url, *option)
    assert ran.code == 5
    assert ran.err == [
        f"moss: error: cannot reach {url}: connection refused",
        "hint: start it with `moss serve`, or check the address",
    ]


@pytest.mark.parametrize(
    ("models", "said"),
    [
        (Fault(404, {"detail": "Not Found"}), "does not have what was asked for (404): Not Found"),
        (Fault(200, "hello"), "gave an answer that cannot be read: it is not JSON"),
        (Fault(200, "[]"), "gave an answer that cannot be read: it is no list of models"),
        (Fault(500, "<html>"), "failed (500): without a reason"),
        ([], "has no model"),
        (Fault(999, "SSH-2.0-OpenSSH_9.2\r\n"), "gave an answer that cannot be read: it is not HTTP"),
    ],
)
def test_what_is_no_such_server_ends_the_run_at_once(moss: Moss, folder: Path, models: Any, said: str) -> None:
    with ChatServer(lambda heard: HELLO, models=models) as server:
        ran = moss(*line_of(server), "-o", "out/")
        assert ran.code == 5
        assert ran.err[0] == f"moss: error: {server.url} {said}"
        assert not server.bodies


def test_of_several_models_one_has_to_be_named_and_a_wrong_one_is_not_replaced(moss: Moss, folder: Path) -> None:
    cards = [{"id": "moss-audio", "owned_by": "vllm"}, {"id": "other", "owned_by": "vllm"}]
    with ChatServer(lambda heard: HELLO, models=cards) as server:
        url = server.url
        hint = f"hint: name one of its models (moss-audio, other), as in `-m '{url}#moss-audio'`"
        assert moss(*line_of(server)).err == [f"moss: error: {url} has 2 models", hint]
        gone = moss("transcribe", "in", "-m", f"{url}#gone")
        assert (gone.code, gone.err) == (5, [f"moss: error: {url} has no model gone", hint])
        assert moss("transcribe", "in", "-m", f"{url}#moss-audio", "--no-vad").code == 0


def test_a_key_is_needed_sent_and_never_shown(
    moss: Moss, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ChatServer(of_b(lambda: Fault(500, {"error": "with sk-secret"})), key="sk-secret") as server:
        refused = moss(*line_of(server))
        assert (refused.code, refused.err) == (
            5,
            [
                f"moss: error: {server.url} refuses access (401): Unauthorized",
                "hint: set MOSS_API_KEY to a key of that server",
            ],
        )
        monkeypatch.setenv("MOSS_API_KEY", "sk-secret")
        ran = moss(*line_of(server), "-f", "json", "--debug", "-v", "--report", "report.json")
        assert ran.code == 3
        assert set(server.keys[1:]) == {"Bearer sk-secret"}
        shown = "\n".join([ran.out, *ran.err, *ran.summary, Path("report.json").read_text()])
        assert "with ***" in shown
        assert "sk-secret" not in shown


def test_where_audio_is_sent_is_said_once_unless_it_stays_here(
    moss: Moss, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ChatServer(lambda heard: HELLO) as server:
        assert moss(*line_of(server), "-o", "out/").err == []
        elsewhere = f"http://0.0.0.0:{server.port}/v1"  # leads here, too, but no name or number of this machine says so
        line = ("transcribe", "in", "-m", elsewhere, "--no-vad", "-o", "far/")
        note = f"moss: audio is sent to {elsewhere}, to the model moss-audio"
        assert moss(*line).err == [note]
        assert moss(*line).err == []  # nothing is left to be sent
        monkeypatch.setenv("MOSS_API_KEY", "k")
        risk = f"moss: warning: the key for 0.0.0.0:{server.port} and the audio go there unencrypted"
        assert moss(*line, "--force").err == [note, risk]


def test_the_wrong_scheme_is_told(moss: Moss, folder: Path) -> None:
    with ChatServer(lambda heard: HELLO) as server:
        url = server.url.replace("http:", "https:")
        ran = moss("transcribe", "in", "-m", url)
    what = "it is not TLS, so the address may begin with http://"
    assert (ran.code, ran.err) == (5, [f"moss: error: {url} gave an answer that cannot be read: {what}"])


@pytest.mark.parametrize("address", ["http://me:sk-secret@host/v1", "https://host/v1?key=sk-secret"])
def test_an_address_with_a_secret_is_refused_without_repeating_it(moss: Moss, folder: Path, address: str) -> None:
    ran = moss("transcribe", "in", "-m", address)
    assert ran.code == 2
    assert ran.err == [
        "moss: error: the address of a server cannot hold a name, password or query",
        "hint: put the key into the environment variable MOSS_API_KEY",
    ]


def test_what_a_server_cannot_do_is_said_once_and_lived_without(moss: Moss, folder: Path) -> None:
    line = ("--temperature", "1", "--no-time-markers", "--no-think")
    with ChatServer(lambda heard: "hello there", "plain") as server:
        ran = moss(*line_of(server), *line, "-o", "out/")
        assert ran.code == 0
        lost = [line for line in ran.err if server.origin in line]
        assert lost == [
            f"moss: warning: {server.origin}: {what}"
            for what in (
                "it does not hold answers to a grammar, so times may be missing or out of order",
                "it does not know seed",
                "it does not know top_k",
                "it decides about time markers itself",
                "it decides itself whether the model thinks",
            )
        ]
        assert all("hello there" in path.read_text() for path in Path("out").glob("*.txt"))
        again = moss("scene", "in", "-m", server.url, "--batch-size", "1")
        schema = "it does not hold answers to a JSON schema, so more of them may be unreadable"
        assert [schema in line for line in again.err].count(True) == 1


def test_so_many_are_in_flight_as_batch_size_says(moss: Moss, wav: Wav) -> None:
    for n in range(12):
        wav(f"in/{n}.wav", 1600)
    meet = threading.Barrier(3)

    def say(heard: Heard) -> str:
        meet.wait(60)
        return HELLO

    with ChatServer(say) as server:
        ran = moss("transcribe", "in", "-m", server.url, "--no-vad", "--batch-size", "3", "-o", "out/")
        assert (ran.code, server.most_together) == (0, 3)


def test_audio_reaches_the_server_as_it_is(moss: Moss, wav: Wav) -> None:
    exact = np.random.default_rng(1).uniform(-0.5, 0.5, 1600).astype(np.float32)
    wav("a.wav", exact, subtype="FLOAT")
    with ChatServer(lambda heard: HELLO) as server:
        assert moss(*line_of(server, "a.wav")).code == 0
        [heard] = server.asked
        assert heard.samples is not None and np.array_equal(heard.samples, exact)


def test_a_server_may_be_chosen_by_the_variable_and_needs_no_torch(wav: Wav, tmp_path: Path) -> None:
    wav("a.wav", 16_000)
    code = (
        "import sys; from moss_cli.cli.main import run; code = run(sys.argv[1:]); "
        "print(sorted({'torch', 'av', 'tokenizers', 'transformers', 'pysubs2'} & set(sys.modules)), code)"
    )
    with ChatServer(lambda heard: HELLO) as server:
        done = subprocess.run(
            [sys.executable, "-c", code, "transcribe", "a.wav", "-o", "a.txt"],
            cwd=tmp_path,
            env=os.environ | {"MOSS_MODEL": server.url},
            capture_output=True,
            text=True,
        )
    assert (done.stdout, done.stderr) == ("[] 0\n", "moss: a.wav: no speech found\n")


def test_a_command_that_needs_weights_says_so(moss: Moss) -> None:
    with ChatServer(lambda heard: HELLO) as server:
        ran = moss("models", "path", server.url)
        assert ran.code == 2
        assert ran.err[0].startswith("moss: error: the weights of moss-audio @ ")
