"""A request as the JSON of an OpenAI-compatible `POST /chat/completions`."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from moss_cli.answers import Form, JsonSchema, Sampling, Turn
from moss_cli.audio.results import Samples
from moss_cli.backends.abilities import Abilities
from moss_cli.backends.regex_form import as_regex
from moss_cli.backends.wav import wav
from moss_cli.backends.wire import KEY

CHAT = "/chat/completions"

_UNBOUND = {"maxLength", "maxItems"}


@dataclass(frozen=True)
class ChatRequest:
    """What is sent. `samples`, [n] at 16 kHz: the audio before the prompt, if there is any. `think` None: as the model
    pleases. `extra`: what only `moss serve` knows. `turns`: what was asked and answered before."""

    model: str
    prompt: str
    max_tokens: int
    samples: Samples | None = None
    form: Form | None = None
    sampling: Sampling = field(default_factory=Sampling)
    seed: int = 0
    time_markers: bool = True
    think: bool | None = None
    extra: Mapping[str, Any] | None = None
    turns: Sequence[Turn] = ()


def body(request: ChatRequest, able: Abilities) -> bytes:
    """The document; the audio in base64 is put into it as it is, for it may be tens of megabytes."""
    fields: dict[str, Any] = {
        "model": request.model,
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": request.max_tokens,
        **_sampling(request),
        **_form(request.form, able),
        "chat_template_kwargs": None if request.think is None else {"enable_thinking": request.think},
        "mm_processor_kwargs": None if request.samples is None else {"enable_time_marker": request.time_markers},
        KEY: request.extra,
    }
    known = {name: value for name, value in fields.items() if value is not None and able.has(name)}
    head = json.dumps(known)[:-1]
    messages = _messages(request)
    if request.samples is None:
        return f'{head}, "messages": {json.dumps(messages)}}}'.encode()
    before, after = _AUDIO_PART if able.has("input_audio") else _AUDIO_URL_PART
    text = json.dumps({"type": "text", "text": messages[0]["content"]})
    later = "".join(f", {json.dumps(message)}" for message in messages[1:])
    audio = base64.b64encode(wav(request.samples, exact=able.has("float_audio")))
    opening = f'{head}, "messages": [{{"role": "user", "content": [{before}'.encode()
    return b"".join([opening, audio, f"{after}, {text}]}}{later}]}}".encode()])


_AUDIO_PART = '{"type": "input_audio", "input_audio": {"format": "wav", "data": "', '"}}'
_AUDIO_URL_PART = '{"type": "audio_url", "audio_url": {"url": "data:audio/wav;base64,', '"}}'


def _messages(request: ChatRequest) -> list[dict[str, str]]:
    """The earlier turns and the question, in text; the audio belongs to the first."""
    said: list[tuple[str, str]] = []
    for turn in request.turns:
        said += [("user", turn.question), ("assistant", turn.answer)]
    return [{"role": role, "content": text} for role, text in [*said, ("user", request.prompt)]]


def _sampling(request: ChatRequest) -> dict[str, Any]:
    """Of a greedy answer nothing but that it is one: a draw that takes the likeliest token needs no seed."""
    sampling = request.sampling
    if sampling.greedy:
        return {"temperature": 0.0}
    top_k = sampling.top_k or (0 if request.extra is not None else -1)  # -1: vLLM and SGLang then leave none out
    return {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": top_k, "seed": request.seed}


def _form(form: Form | None, able: Abilities) -> dict[str, Any]:
    if isinstance(form, JsonSchema):
        schema = json.loads(form.text)
        if able.grammar != "lark":
            schema = _unbound(schema)
        return {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": schema, "strict": True},
            }
        }
    if form is None or able.grammar is None:
        return {}
    if able.grammar == "lark":
        return {"structured_outputs": {"grammar": form.text}}
    regex = as_regex(form)
    if regex is None:
        return {}
    return {"regex": regex} if able.grammar == "regex" else {"structured_outputs": {"regex": regex}}


def _unbound(schema: Any) -> Any:
    """A schema without limits of thousands of characters or items, which take servers' grammars seconds to compile;
    answers are bounded by their tokens there."""
    if isinstance(schema, Mapping):
        return {name: _unbound(value) for name, value in schema.items() if name not in _UNBOUND}
    if isinstance(schema, Sequence) and not isinstance(schema, str):
        return [_unbound(one) for one in schema]
    return schema
