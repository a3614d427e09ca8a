"""What is understood of a chat request's body, and what is refused instead of ignored."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from served import about, wav

from moss_cli.answers import Grammar, JsonSchema, Sampling, Turn
from moss_cli.backends.wire import Extra
from moss_cli.serve.chat_body import ChatQuestion, read_chat
from moss_cli.serve.refusals import Refusal

ASKED = {"messages": [{"role": "user", "content": "What is this?"}]}


def read(body: Any) -> ChatQuestion:
    return read_chat(json.dumps(body).encode(), "tiny")


def refused(body: Any) -> tuple[int, str | None, str]:
    with pytest.raises(Refusal) as caught:
        read(body)
    return caught.value.status, caught.value.param, caught.value.code


def test_what_is_left_out_is_greedy_and_as_the_model_pleases() -> None:
    asked = read(ASKED)
    assert asked == ChatQuestion(
        prompt="What is this?",
        turns=(),
        audio=None,
        audio_param="messages",
        form=None,
        sampling=Sampling(0.0, 1.0, 50),
        seed=None,
        max_tokens=None,
        think=None,
        may_think=None,
        thinking_budget=None,
        time_markers=None,
        streams=False,
        includes_usage=False,
        extra=None,
    )


def test_everything_that_can_be_asked_for() -> None:
    asked = read(
        about(
            b"RIFF",
            model="tiny",
            stream=True,
            stream_options={"include_usage": True},
            temperature=0.5,
            top_p=0.9,
            top_k=-1,
            seed=2**63 + 7,
            max_tokens=5,
            max_completion_tokens=9,
            thinking_token_budget=3,
            chat_template_kwargs={"enable_thinking": True, "may_think": False},
            mm_processor_kwargs={"enable_time_marker": False},
            structured_outputs={"grammar": "start: A"},
        )
    )
    assert (asked.audio, asked.form, asked.sampling) == (b"RIFF", Grammar("start: A"), Sampling(0.5, 0.9, 0))
    assert (asked.seed, asked.max_tokens, asked.thinking_budget) == (7, 9, 3)
    assert (asked.think, asked.may_think, asked.time_markers) == (True, False, False)
    assert (asked.streams, asked.includes_usage) == (True, True)


@pytest.mark.parametrize(
    ("field", "form"),
    [
        ({"response_format": {"type": "text"}}, None),
        ({"response_format": {"type": "json_object"}}, JsonSchema('{"type": "object"}')),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"b": 1, "a": 2}}}},
            JsonSchema('{"b": 1, "a": 2}'),
        ),
        ({"guided_json": {"b": 1, "a": 2}}, JsonSchema('{"b": 1, "a": 2}')),
        ({"structured_outputs": {"json": '{"b":1}'}}, JsonSchema('{"b":1}')),
        ({"guided_grammar": "start: A"}, Grammar("start: A")),
    ],
)
def test_the_form_of_an_answer_keeps_its_order(field: dict[str, Any], form: object) -> None:
    assert read(ASKED | field).form == form


def test_a_system_message_stands_before_the_question() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Why?"}]},
    ]
    assert read({"messages": messages}).prompt == "Be brief.\n\nWhy?"


def test_earlier_turns_stand_before_the_question() -> None:
    said = [("user", "Who speaks?"), ("assistant", "Anna."), ("user", "And who else?")]
    asked = read({"messages": [{"role": role, "content": text} for role, text in said]})
    assert (asked.prompt, asked.turns) == ("And who else?", (Turn("Who speaks?", "Anna."),))


@pytest.mark.parametrize(
    "roles", [["assistant", "user"], ["user", "assistant"], ["user", "user"], ["user", "assistant", "system", "user"]]
)
def test_what_is_no_conversation_is_refused(roles: list[str]) -> None:
    assert refused({"messages": [{"role": role, "content": "x"} for role in roles]})[0] == 400


def test_what_our_own_client_says_besides() -> None:
    said = {"n_characters": 7, "n_least": 3, "may_think": False, "prefix": [1, 2]}
    assert read(ASKED | {"moss": said}).extra == Extra(7, 3, may_think=False, prefix=(1, 2))
    assert refused(ASKED | {"moss": said | {"more": 1}})[:2] == (400, "moss")


@pytest.mark.parametrize(
    ("field", "param"),
    [
        ({"temprature": 1}, "temprature"),
        ({"n": 2}, "n"),
        ({"stop": ["x"]}, "stop"),
        ({"tools": [{}]}, "tools"),
        ({"logprobs": True}, "logprobs"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"guided_grammar": "a", "guided_json": {}}, "guided_json"),
        ({"guided_json": "no schema"}, "guided_json"),
        ({"guided_grammar": "a" * 65_537}, "guided_grammar"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": "x"}] * 2}, "messages.1.role"),
        ({"messages": [{"role": "user", "content": "x" * 100_001}]}, "messages"),
        ({"chat_template_kwargs": {"enable_thinking": "perhaps"}}, "chat_template_kwargs.enable_thinking"),
    ],
)
def test_what_cannot_be_meant_or_is_not_done_here_is_refused_by_name(field: dict[str, Any], param: str) -> None:
    assert refused(ASKED | field)[:2] == (400, param)


@pytest.mark.parametrize("neutral", [{"n": 1}, {"stop": None}, {"tools": []}, {"logprobs": False}, {"user": "me"}])
def test_fields_that_change_nothing_are_taken(neutral: dict[str, Any]) -> None:
    assert read(ASKED | neutral) == read(ASKED)


def test_another_model_is_not_found() -> None:
    assert refused(ASKED | {"model": "whisper-1"}) == (404, "model", "model_not_found")


@pytest.mark.parametrize("data", ["a", "%%%%", "", "data:audio/wav,xx", "AAA\n"])
def test_audio_that_is_no_base64_is_refused(data: str) -> None:
    body = about(b"")
    body["messages"][0]["content"][0]["input_audio"]["data"] = data
    status, param, _ = refused(body)
    assert (status, param) == (400, "messages.0.content.0.input_audio")


def test_two_clips_are_one_too_many() -> None:
    body = about(wav())
    body["messages"][0]["content"].append(body["messages"][0]["content"][0])
    assert refused(body)[:2] == (400, "messages.0.content.2.input_audio")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
NAMES = st.sampled_from(
    [
        "messages",
        "model",
        "stream",
        "temperature",
        "seed",
        "response_format",
        "structured_outputs",
        "top_k",
        "n",
        "stop",
    ]
)


@given(st.dictionaries(NAMES, JSON, max_size=6) | JSON)
def test_whatever_json_comes_it_is_read_or_refused(body: Any) -> None:
    try:
        read(body)
    except Refusal as refusal:
        assert 400 <= refusal.status < 500
        json.dumps(refusal.body).encode()


@given(st.binary(max_size=200))
def test_whatever_bytes_come_they_are_read_or_refused(raw: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        read_chat(raw, "tiny")
    assert caught.value.status == 400


@given(st.binary(min_size=1, max_size=100))
def test_audio_arrives_as_it_was_sent(data: bytes) -> None:
    assert read(about(data)).audio == data
    body = about(b"")
    body["messages"][0]["content"][0] = {
        "type": "audio_url",
        "audio_url": {"url": "data:audio/ogg;base64," + base64.b64encode(data).decode()},
    }
    assert read(body).audio == data
