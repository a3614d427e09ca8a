"""The pieces of the client: addresses, WAV files, grammars as expressions, what servers can do, streams, retries."""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import soundfile
from chat_server import ChatServer, Fault, Heard, Said
from hypothesis import given
from hypothesis import strategies as st

from moss_cli.answers import Cost, Grammar, JsonSchema, Sampling
from moss_cli.backends.abilities import Abilities, find_out
from moss_cli.backends.chat_body import ChatRequest, body
from moss_cli.backends.chat_stream import Incoming, events, once, split_thought
from moss_cli.backends.protocol import Answered, BackendInfo, Delta, Event, Failed, Reply, Request
from moss_cli.backends.regex_form import as_regex
from moss_cli.backends.server import ServerBackend
from moss_cli.backends.wav import wav
from moss_cli.backends.wire import Ending, Extra, ending_from, extra_from, facts, info_from
from moss_cli.errors import UsageError
from moss_cli.models.address import is_server, parse_server
from moss_cli.models.connection import Connection, Retry
from moss_cli.models.registry import ModelEntry, resolve
from moss_cli.models.served import Served
from moss_cli.models.server_fault import ServerFault
from moss_cli.tasks.scene import EVENTS_FORM
from moss_cli.tasks.transcribe import SEGMENTS_FORM, SPEAKER_SEGMENTS_FORM, SPEAKERS_FORM

NO_WAIT = Retry(first_s=0.0, longest_s=0.0)


# --- addresses ---


@pytest.mark.parametrize(
    ("address", "url", "model", "is_local"),
    [
        ("http://127.0.0.1:8642/v1", "http://127.0.0.1:8642/v1", None, True),
        ("http://localhost:8000", "http://localhost:8000/v1", None, True),
        ("HTTPS://Host.example/api/v1/#org/name", "https://host.example:443/api/v1", "org/name", False),
        ("http://[::1]:1/v1#a%20b", "http://[::1]:1/v1", "a b", True),
        ("http://10.0.0.7:8000/v1", "http://10.0.0.7:8000/v1", None, False),
        ("unix:/run/moss.sock#tiny", "unix:/run/moss.sock", "tiny", True),
    ],
)
def test_an_address_names_a_server_and_perhaps_a_model(
    address: str, url: str, model: str | None, is_local: bool
) -> None:
    assert is_server(address)
    server, named = parse_server(address)
    assert (server.url, named, server.is_local) == (url, model, is_local)


@pytest.mark.parametrize(
    "address", ["http://", "http://h:99999/v1", "http://h:x/v1", "unix:", "http://a b/v1", "http://[::1"]
)
def test_an_address_that_is_none_is_a_usage_error(address: str) -> None:
    with pytest.raises(UsageError):
        parse_server(address)


@pytest.mark.parametrize("name", ["tiny", "./http", "org/model", "httpx://a", "ftp://a/b"])
def test_other_names_are_no_addresses(name: str) -> None:
    assert not is_server(name)


# --- audio ---


@given(st.lists(st.integers(-32768, 32767), max_size=50))
def test_samples_of_16_bits_go_in_16_bits_and_come_back_as_they_were(values: list[int]) -> None:
    samples = np.array(values, np.float32) / np.float32(32768)
    data = wav(samples)
    found, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    assert (rate, soundfile.info(io.BytesIO(data)).subtype) == (16_000, "PCM_16")
    assert np.array_equal(found, samples)


@given(st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=50))
def test_other_samples_come_back_bit_for_bit_too(values: list[float]) -> None:
    samples = np.array([*values, 0.1], np.float32)
    data = wav(samples)
    found, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    assert soundfile.info(io.BytesIO(data)).subtype == "FLOAT"
    assert np.array_equal(found, samples)
    coarse, _ = soundfile.read(io.BytesIO(wav(samples, exact=False)), dtype="float32")
    assert np.abs(coarse - np.clip(samples, -1, 32767 / 32768)).max() <= 0.5 / 32768 + 1e-9


# --- forms ---

SAID = ["", "[0.00]hello there[2.01][2.01]it is [laughter] nice[4.32]", "[0.00]hello", "hello", "[1.0]a[2.00]"]
LABELLED = ["[0.00][S01]hi[1.00]", "[S01]hi [S02]you", "[0.00]hi[1.00]"]


TEXTS = [*SAID, *LABELLED, "yes", "no", "yesno", "a", "a,b", ",a,b", "a,b,c,d", "a.b\n", "axb\n"]


@pytest.mark.parametrize(
    ("form", "holds"),
    [
        (SEGMENTS_FORM, ["", SAID[1], LABELLED[0], LABELLED[2]]),  # there a label is text
        (SPEAKER_SEGMENTS_FORM, ["", LABELLED[0]]),
        (SPEAKERS_FORM, ["", LABELLED[1]]),
        (Grammar('start: "yes" | "no"'), ["yes", "no"]),
        (Grammar('start: A? ("," A){0,2}\nA: /[ab]/'), ["", "a", "a,b", ",a,b"]),
        (Grammar('start: "a.b\\n"'), ["a.b\n"]),
    ],
)
def test_a_grammar_holds_as_an_expression_what_it_holds(form: Grammar, holds: list[str]) -> None:
    regex = as_regex(form)
    assert regex is not None
    assert [text for text in TEXTS if re.fullmatch(regex, text)] == holds


def test_events_are_an_expression_without_a_thousand_rounds() -> None:
    regex = as_regex(EVENTS_FORM)
    assert regex is not None
    assert "999" not in regex


@pytest.mark.parametrize("text", ["start: start", "begin: /a/", "start: @b", 'start: %json {"a": 1}', "start: A"])
def test_other_grammars_are_no_expressions(text: str) -> None:
    assert as_regex(Grammar(text)) is None


def test_limits_of_thousands_go_to_our_own_server_only() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "maxLength": 5000}}, "required": ["a"]}
    asked = ChatRequest("m", "p", 9, form=JsonSchema(json.dumps(schema)))

    def sent(able: Abilities) -> Any:
        return json.loads(body(asked, able))["response_format"]["json_schema"]["schema"]

    assert sent(Abilities("lark")) == schema
    assert sent(Abilities())["properties"] == {"a": {"type": "string"}}
    assert sent(Abilities())["required"] == ["a"]


def test_a_greedy_request_says_so_and_a_sampled_one_says_all() -> None:
    sampling = Sampling(0.7, 0.9, 0)
    greedy = json.loads(body(ChatRequest("m", "p", 9, seed=3), Abilities()))
    assert greedy == {
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 9,
        "temperature": 0.0,
        "messages": [{"role": "user", "content": "p"}],
    }
    drawn = json.loads(body(ChatRequest("m", "p", 9, sampling=sampling, seed=2**63 - 1), Abilities()))
    assert {name: drawn[name] for name in ("temperature", "top_p", "top_k", "seed")} == {
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": -1,
        "seed": 2**63 - 1,
    }


# --- what a server can do ---


def refusing(*unknown: str, named: bool = True) -> Any:
    """A probe of a server that refuses fields, and holds forms as long as it knows their fields."""
    asked: list[Abilities] = []

    def probe(able: Abilities, form: str | None) -> str:
        asked.append(able)
        field = {"json": "response_format", "grammar": "structured_outputs"}.get(form or "")
        sent = {"top_k", "seed", "stream_options", "input_audio", "chat_template_kwargs", "mm_processor_kwargs", field}
        for name in unknown:
            if name in sent and able.has(name) and not (form == "grammar" and field == name and able.grammar is None):
                raise ServerFault("status", f"no {name} here" if named else "no", status=400)
        if field and able.has(field):
            return '{"held": true}' if form == "json" else "held"
        return "Hello!"

    return probe, asked


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(
    "unknown", [(), ("seed",), ("response_format",), ("input_audio",), ("top_k", "seed", "mm_processor_kwargs")]
)
def test_just_what_is_refused_is_left_out(unknown: tuple[str, ...], named: bool) -> None:
    if not named and len(unknown) > 1:
        pytest.skip("several that are not named cost more than themselves")
    probe, _ = refusing(*unknown, named=named)
    able = find_out("vllm", probe, has_forms=True)
    assert able == Abilities("structured_outputs", frozenset(unknown))


def test_several_refusals_without_a_name_still_leave_a_server_that_answers() -> None:
    probe, asked = refusing("top_k", "seed", named=False)
    able = find_out("", probe, has_forms=True)
    assert {"top_k", "seed"} <= able.without
    assert len(asked) < 40


def test_a_grammar_that_is_refused_or_ignored_is_not_sent() -> None:
    probe, _ = refusing("structured_outputs")
    assert find_out("vllm", probe, has_forms=True).grammar is None
    assert find_out(
        "vllm", lambda able, form: '{"held": true}' if form == "json" else "Hello", has_forms=True
    ) == Abilities(None)
    ignored = find_out("vllm", lambda able, form: "Hello", has_forms=True)
    assert ignored == Abilities(None, frozenset({"response_format"}))


def test_a_fault_that_no_field_explains_is_raised() -> None:
    def probe(able: Abilities, form: str | None) -> str:
        raise ServerFault("status", "no", status=400)

    with pytest.raises(ServerFault, match="no"):
        find_out("vllm", probe, has_forms=True)


# --- streams ---


def lines(*data: Any) -> list[bytes]:
    return [line for one in data for line in (b"data: " + json.dumps(one).encode() + b"\n", b"\n")]


def choice(delta: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": None, **more}]}


def reply_of(*data: Any, may_think: bool = True) -> Reply:
    incoming = Incoming()
    for event in events(lines(*data)):
        incoming.take(event)
    return incoming.reply(may_think=may_think)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_text_thought_ending_and_cost_are_put_together(field: str) -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}
    found = reply_of(
        choice({field: "hm "}), choice({"content": "ye"}), choice({"content": "s"}, finish_reason="length"), usage
    )
    assert found == type(found)("yes", "length", "hm", "yes", Cost(7, 3))


@pytest.mark.parametrize(
    ("text", "thought", "answer"),
    [
        ("<think>\na\n</think>\n\nb", "a", "b"),
        ("a</think>b", "a", "b"),
        ("<think>\n\n</think>\n\nb", None, "b"),
        ("<think>a", "a", ""),
        ("b", None, "b"),
    ],
)
def test_a_thought_that_was_left_in_the_text_is_split_off(text: str, thought: str | None, answer: str) -> None:
    assert split_thought(text) == (thought, answer)
    found = reply_of(choice({"content": text}, finish_reason="stop"))
    assert (found.thought, found.text) == (thought, answer)


def test_of_a_model_that_may_not_think_the_text_is_left_as_it_is() -> None:
    found = reply_of(choice({"content": "a</think>b"}, finish_reason="stop"), may_think=False)
    assert (found.thought, found.text) == (None, "a</think>b")


def test_an_answer_that_repeats_itself_is_seen_and_kept_once() -> None:
    incoming = Incoming()
    n_taken = 0
    for _ in range(500):
        incoming.take(choice({"content": "and so on, "}))
        n_taken += 1
        if incoming.is_looping:
            break
    assert n_taken < 20
    found = incoming.reply(may_think=False)
    assert (found.finish_reason, found.text.strip()) == ("loop", "and so on,")
    assert once("no loop here") == "no loop here"


def test_what_moss_serve_says_of_the_ending_goes_first() -> None:
    ending = Ending("loop", "ab", "hm", "a", (1, 2))
    found = reply_of(choice({"content": "abab"}), choice({}, finish_reason="length", moss=ending.as_json()))
    assert (found.text, found.finish_reason, found.thought, found.settled) == ("ab", "loop", "hm", "a")
    assert found.prefix == (1, 2)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ([choice({"content": "a"})], "cut"),
        ([[1]], "garbage"),
        ([{"error": {"message": "no", "code": 503}}], "status"),
        ([{"object": "error", "message": "no", "code": 400}], "status"),
        ([choice({}, finish_reason="content_filter")], "status"),
        ([choice({}, finish_reason="stop", moss={"text": 1})], "garbage"),
    ],
)
def test_what_is_no_whole_answer_is_a_fault(data: Sequence[Any], kind: str) -> None:
    with pytest.raises(ServerFault) as fault:
        reply_of(*data)
    assert fault.value.kind == kind


@given(st.lists(st.binary(max_size=30), max_size=6))
def test_any_bytes_are_events_or_a_fault(raw: list[bytes]) -> None:
    incoming = Incoming()
    try:
        for event in events(b"\n".join(raw).splitlines(keepends=True)):
            incoming.take(event)
        incoming.reply(may_think=True)
    except ServerFault as fault:
        assert fault.kind in ("garbage", "cut", "status")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "delta", "usage", "content", "moss", "finish_reason", "error", "text", "prefix"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_any_json_is_an_event_or_a_fault(value: Any) -> None:
    incoming = Incoming()
    try:
        incoming.take(value)
        incoming.take({"choices": [value]})
        incoming.reply(may_think=True)
    except ServerFault as fault:
        assert fault.kind in ("garbage", "cut", "status")


def test_comments_and_other_fields_of_a_stream_are_passed_over() -> None:
    raw = [
        b": alive\r\n",
        b"\r\n",
        b"event: x\n",
        b"id: 1\n",
        b'data: {"a":\n',
        b"data: 1}\n",
        b"\n",
        b"data: [DONE]\n",
        b"\n",
        b"oops\n",
    ]
    assert list(events(raw)) == [{"a": 1}]


# --- what our server and its client tell each other ---


@given(
    st.integers(0, 10**6), st.integers(1, 10**6) | st.none(), st.booleans(), st.lists(st.integers(0, 10**6), max_size=4)
)
def test_what_goes_over_comes_back(n: int, most: int | None, may: bool, prefix: list[int]) -> None:
    extra = Extra(n, n, most, may, most, tuple(prefix))
    assert extra_from(json.loads(json.dumps(extra.as_json()))) == extra
    ending = Ending("stop", "é", None if may else "x", "é", tuple(prefix))
    assert ending_from(json.loads(json.dumps(ending.as_json()))) == ending


@pytest.mark.parametrize(
    "value",
    [
        1,
        {"n_characters": -1},
        {"n_least": "1"},
        {"may_think": 1},
        {"prefix": [-1]},
        {"prefix": "ab"},
        {"other": 1},
        {"max_new_tokens": 0},
        {"thinking_budget": True},
    ],
)
def test_what_cannot_be_in_a_request_is_a_value_error(value: Any) -> None:
    with pytest.raises(ValueError, match="moss"):
        extra_from(value)


def test_a_model_of_our_server_is_described_as_in_models_toml() -> None:
    tiny = resolve("tiny")
    info = BackendInfo("bf16", "cuda:0", time_markers=False, can_think=True)
    told = facts(tiny.entry, info, revision="r1", n_together=6)
    cards = [{"id": "tiny", "owned_by": "moss", "moss": json.loads(json.dumps(told))}]
    with ChatServer(lambda heard: "", models=cards) as server:
        found = resolve(server.url)
        entry, known = found.entry, tiny.entry
        assert (entry.name, entry.url, entry.model) == (f"tiny @ {server.origin}", server.url, "tiny")
        assert (found.revision, found.checkpoint) == ("r1", None)
    same = (
        "title",
        "languages",
        "tasks",
        "thinking",
        "thinks_over",
        "demo",
        "text_only",
        "max_seconds",
        "piece_seconds",
    )
    assert {name: getattr(entry, name) for name in same} == {name: getattr(known, name) for name in same}
    assert found.served is not None
    assert info_from(found.served.told) == info


def test_a_released_model_is_known_by_its_name_on_any_server() -> None:
    with ChatServer(lambda heard: "", model="/models/MOSS-Audio-8B-Thinking") as server:
        entry = resolve(server.url).entry
    assert (entry.thinking, entry.max_seconds, entry.hub, entry.size) == (True, 600, None, 18_111_010_792)


# --- requests ---


def backend_of(
    server: ChatServer, *, able: Abilities | None = None, n_together: int = 2, **served: Any
) -> ServerBackend:
    address, _ = parse_server(server.url)
    one = Served(address, server.model, **served)
    connection = Connection(address)
    info = BackendInfo("server", "server")
    return ServerBackend(one, connection, able or Abilities(), n_together=n_together, info=info, retry=NO_WAIT)


def told(backend: ServerBackend, n_ends: int) -> list[Event]:
    found: list[Event] = []
    while sum(not isinstance(event, Delta) for event in found) < n_ends:
        found += backend.step()
    return found


def replies(backend: ServerBackend, *requests: Request) -> list[Any]:
    tickets = [backend.submit(request) for request in requests]
    ends = {event.ticket: event for event in told(backend, len(tickets)) if not isinstance(event, Delta)}
    return [end.reply if isinstance(end, Answered) else end.error for end in (ends[ticket] for ticket in tickets)]


def test_a_cancelled_request_is_hung_up_on_and_nothing_more_is_told_of_it() -> None:
    is_asked, goes_on = threading.Event(), threading.Event()

    def say(heard: Heard) -> str:
        is_asked.set()
        goes_on.wait(60)
        return "x" * 10_000_000

    with ChatServer(say) as server:
        backend = backend_of(server, n_together=1)
        first = backend.submit(Request("one"))
        assert is_asked.wait(60)
        server.say = lambda heard: "two"
        backend.cancel(first)
        second = backend.submit(Request("two"))
        goes_on.set()
        events = told(backend, 1)
        assert {event.ticket for event in events} == {second}
        assert events[-1].reply.text == "two"  # type: ignore[union-attr]
        assert backend.step() == []


def test_a_thought_over_its_budget_is_ended_by_asking_again_without_one() -> None:
    def say(heard: Heard) -> Said:
        thinks = heard.body.get("chat_template_kwargs", {}).get("enable_thinking") is not False
        return Said("yes", "so many words " * 20 if thinks else "")

    with ChatServer(say) as server:
        [found] = replies(backend_of(server), Request("q", thinking_budget=5))
        assert found.text == "yes"
        assert found.thought.startswith("so many")
        assert [one.body.get("chat_template_kwargs") for one in server.asked] == [None, {"enable_thinking": False}]


def test_an_answer_gets_as_little_room_as_it_can_where_the_server_finds_it_too_long() -> None:
    with ChatServer(lambda heard: "yes", max_model_len=300) as server:
        [found] = replies(backend_of(server), Request("q", n_characters=5000, n_least=64, may_think=False))
        assert found.text == "yes"
        assert [one["max_tokens"] for one in server.bodies] == [5000, 64]
        [found] = replies(backend_of(server, n_positions=300), Request("q", n_characters=5000, n_least=64))
        assert (found.text, server.bodies[-1]["max_tokens"]) == ("yes", 235)
        [failed] = replies(backend_of(server), Request("q", max_new_tokens=5000))
        assert (failed.code, failed.exit_code) == ("too_long", 2)


def test_only_what_is_new_is_told_of_an_answer_that_is_made_again() -> None:
    ending = Ending("stop", "hello there", settled="hello there")
    answers = [Said("hello", cut=True), Said("hello there", extra={"moss": ending.as_json()})]
    with ChatServer(lambda heard: answers[heard.n - 1]) as server:
        backend = backend_of(server, able=Abilities("lark"), owner="moss")
        backend.submit(Request("q", tells=True))
        events = told(backend, 1)
        assert "".join(event.text for event in events if isinstance(event, Delta)) == "hello there"


def test_a_redirect_is_not_followed_with_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOSS_API_KEY", "k")
    with ChatServer(lambda heard: "stolen") as other:
        elsewhere = Fault(307, "", {"Location": f"{other.url}/chat/completions"})
        with ChatServer(lambda heard: elsewhere, key="k") as server:
            [failed] = replies(backend_of(server), Request("q"))
        assert failed.code == "server_redirect"
        assert other.keys == []


@pytest.mark.parametrize("key", ["a b", "a\nX-Evil: 1", "é"])
def test_a_key_that_can_be_none_is_refused_without_repeating_it(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("MOSS_API_KEY", key)
    with pytest.raises(UsageError) as error:
        Connection(parse_server("http://localhost/v1")[0])
    assert key not in error.value.message


def test_waits_grow_are_bounded_and_heed_the_server() -> None:
    retry = Retry(first_s=0.5, longest_s=30.0)
    busy = ServerFault("status", "", status=503)
    assert [retry.wait_s(busy, n, 1.0) for n in range(1, 8)] == [0.5, 1.0, 2.0, 4.0, 8.0, None, None]
    assert retry.wait_s(busy, 1, 0.0) == 0.25
    assert retry.wait_s(ServerFault("status", "", status=429, retry_after_s=7.0), 1, 1.0) == 7.0
    assert retry.wait_s(ServerFault("status", "", status=429, retry_after_s=9e9), 1, 1.0) == 30.0
    assert retry.wait_s(ServerFault("silent", ""), 2, 1.0) is None
    assert retry.wait_s(ServerFault("status", "", status=400), 1, 1.0) is None


def test_a_request_without_audio_fits_by_its_length() -> None:
    with ChatServer(lambda heard: "") as server:
        assert backend_of(server).fits("x" * 30_000)
        assert not backend_of(server).fits("x" * 40_000)
        assert not backend_of(server, n_positions=4096).fits("x" * 7_000)


def test_a_socket_is_reached_as_a_host_is(tmp_path: Any) -> None:
    import socketserver
    from http.server import BaseHTTPRequestHandler

    class Handler(BaseHTTPRequestHandler):
        def address_string(self) -> str:
            return "socket"

        def log_message(self, *_: Any) -> None: ...

        def do_GET(self) -> None:
            data = json.dumps({"data": [{"id": "tiny", "owned_by": "moss"}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    path = str(tmp_path / "s")
    with socketserver.ThreadingUnixStreamServer(path, Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert resolve(f"unix:{path}").entry.name == f"tiny @ unix:{path}"
        server.shutdown()


def test_an_entry_of_models_toml_goes_before_what_the_server_says(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOSS_CONFIG_DIR", str(tmp_path))
    with ChatServer(lambda heard: "", model="MOSS-Audio-4B-Instruct") as server:
        (tmp_path / "models.toml").write_text(f'[models.mine]\nurl = "{server.url}"\nmax_seconds = 60\n')
        entry = resolve("mine").entry
    assert isinstance(entry, ModelEntry)
    assert (entry.max_seconds, entry.languages, entry.model) == (60.0, ("en", "zh"), "MOSS-Audio-4B-Instruct")


def test_a_failed_event_names_its_request() -> None:
    with ChatServer(lambda heard: Fault(400, {"error": "no"}) if heard.text == "bad" else "yes") as server:
        found = replies(backend_of(server), Request("bad"), Request("good"))
        assert found[0].message.endswith("refuses it (400): no")
        assert found[1].text == "yes"
        assert not isinstance(found[1], Failed)
