"""The body of a chat request: what is understood of it, and what is refused instead of ignored."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from moss_cli.answers import Form, Grammar, JsonSchema, Sampling
from moss_cli.serve.refusals import Refusal, bad_request

MOST_CHARACTERS = 200_000  # of an instruction; chosen: several times what any model here reads
MOST_FORM_CHARACTERS = 65_536  # of a schema or grammar, which takes time to compile; chosen
USUAL_TOP_K = 50  # as of the commands
SEED_MASK = 2**63 - 1

# What clients send though it changes nothing here.
_IGNORED = {
    *("user", "store", "metadata", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"),
    *("parallel_tool_calls", "include_reasoning", "skip_special_tokens", "spaces_between_special_tokens"),
    *("add_generation_prompt", "request_id", "priority", "cache_salt", "return_tokens_as_token_ids"),
}
# What is not done here, and the values that do not ask for it.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "repetition_penalty": (1,),
    "min_p": (0,),
    "min_tokens": (0,),
    "length_penalty": (1,),
    "stop": ([],),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "logit_bias": ({},),
    "modalities": (["text"],),
    "echo": (False,),
    "ignore_eos": (False,),
    "continue_final_message": (False,),
}


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _AudioData(_Body):
    data: str
    format: str | None = None


class _AudioUrl(_Body):
    url: str


class TextPart(_Body):
    type: Literal["text"]
    text: str


class InputAudioPart(_Body):
    type: Literal["input_audio"]
    input_audio: _AudioData


class AudioUrlPart(_Body):
    type: Literal["audio_url"]
    audio_url: _AudioUrl


ContentPart = Annotated[TextPart | InputAudioPart | AudioUrlPart, Field(discriminator="type")]


class Message(_Body):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[ContentPart]
    name: str | None = None


class _NamedSchema(_Body):
    name: str = "answer"
    description: str | None = None
    json_schema: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


class TextFormat(_Body):
    type: Literal["text"]


class JsonObjectFormat(_Body):
    type: Literal["json_object"]


class JsonSchemaFormat(_Body):
    type: Literal["json_schema"]
    json_schema: _NamedSchema


class StructuredOutputs(_Body):
    grammar: str | None = None
    json_value: dict[str, Any] | str | None = Field(None, alias="json")


class TemplateKwargs(_Body):
    enable_thinking: bool | None = None
    may_think: bool | None = None


class ProcessorKwargs(_Body):
    enable_time_marker: bool | None = None


class StreamOptions(_Body):
    include_usage: bool = False
    continuous_usage_stats: Literal[False] | None = None
    include_obfuscation: bool | None = None


class ChatBody(BaseModel):
    """What of a body is understood. Fields that are not named here are in `model_extra`."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    model: str | None = None
    messages: list[Message] = Field(min_length=1, max_length=1000)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(None, ge=0, le=10)
    top_p: float | None = Field(None, ge=0, le=1)
    top_k: int | None = Field(None, ge=-1, le=2**31)
    seed: int | None = Field(None, ge=-(2**63), lt=2**64)
    max_tokens: int | None = Field(None, ge=1, le=2**31)
    max_completion_tokens: int | None = Field(None, ge=1, le=2**31)
    thinking_token_budget: int | None = Field(None, ge=0, le=2**31)
    response_format: Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")] | None = (
        None
    )
    structured_outputs: StructuredOutputs | None = None
    guided_grammar: str | None = None
    guided_json: dict[str, Any] | str | None = None
    chat_template_kwargs: TemplateKwargs = TemplateKwargs()
    mm_processor_kwargs: ProcessorKwargs = ProcessorKwargs()


@dataclass(frozen=True)
class ChatQuestion:
    """A chat request as it is asked. `audio` is a file's bytes, `audio_param` the field that they came in."""

    prompt: str
    audio: bytes | None
    audio_param: str
    form: Form | None
    sampling: Sampling
    seed: int | None
    max_tokens: int | None
    think: bool | None
    may_think: bool | None
    thinking_budget: int | None
    time_markers: bool | None
    streams: bool
    includes_usage: bool


def read_chat(raw: bytes, model: str) -> ChatQuestion:
    """What a body asks of `model`. Raises Refusal for one that cannot be meant, or that asks for another."""
    body = _validated(raw)
    check_model(body.model, model)
    _check_extra(body.model_extra or {})
    texts, audio, param = _contents(body.messages)
    prompt = "\n\n".join(texts)
    if not prompt.strip():
        raise bad_request("the messages have no text that says what is asked", param="messages")
    if len(prompt) > MOST_CHARACTERS:
        raise bad_request("the text is too long for any model here", param="messages", code="context_length_exceeded")
    kwargs = body.chat_template_kwargs
    streams = bool(body.stream)
    return ChatQuestion(
        prompt=prompt,
        audio=audio,
        audio_param=param,
        form=_form(body),
        sampling=Sampling(
            0.0 if body.temperature is None else body.temperature,
            1.0 if body.top_p is None else body.top_p,
            USUAL_TOP_K if body.top_k is None else max(0, body.top_k),
        ),
        seed=None if body.seed is None else body.seed & SEED_MASK,
        max_tokens=body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens,
        think=kwargs.enable_thinking,
        may_think=kwargs.may_think,
        thinking_budget=body.thinking_token_budget,
        time_markers=body.mm_processor_kwargs.enable_time_marker,
        streams=streams,
        includes_usage=streams and body.stream_options is not None and body.stream_options.include_usage,
    )


def check_model(asked: str | None, model: str) -> None:
    """Raise Refusal where another model is asked for than the one that is served."""
    if asked not in (None, "", model):
        shown = repr(asked if len(asked or "") <= 100 else "…")
        raise Refusal(
            404, f"there is no model {shown} here; this server has '{model}'", code="model_not_found", param="model"
        )


def _validated(raw: bytes) -> ChatBody:
    try:
        return ChatBody.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"]) or None
        message = first["msg"] if where is None else f"{where}: {first['msg']}"
        raise bad_request(message, param=where, code="invalid_json" if where is None else "invalid_value") from None


def _check_extra(extra: dict[str, Any]) -> None:
    for name, value in extra.items():
        if value is None or name in _IGNORED or value in _NEUTRAL.get(name, ()):
            continue
        if name in _NEUTRAL:
            raise bad_request(f"{name} is not supported here", param=name, code="unsupported_value")
        raise bad_request(f"unknown field {name[:100]!r}", param=name[:100], code="unknown_field")


def _contents(messages: list[Message]) -> tuple[list[str], bytes | None, str]:
    """The texts of the messages, and the audio with the field that it came in.

    A model here takes one question about one clip: what a system message says is put before it.
    """
    texts: list[str] = []
    audio: bytes | None = None
    param = "messages"
    n_users = 0
    for i, message in enumerate(messages):
        if message.role == "assistant":
            raise bad_request("earlier turns are not supported; ask one question at a time", param=f"messages.{i}.role")
        n_users += message.role == "user"
        parts = message.content
        if isinstance(parts, str):
            texts.append(parts)
            continue
        said = [part.text for part in parts if isinstance(part, TextPart)]
        texts += ["\n".join(said)] if said else []
        for j, part in enumerate(parts):
            if isinstance(part, TextPart):
                continue
            if audio is not None:
                raise bad_request("a request can have one clip of audio only", param=f"messages.{i}.content.{j}")
            param = f"messages.{i}.content.{j}.{part.type}"
            audio = _bytes_of(part, param)
    if n_users != 1:
        raise bad_request("there must be one message whose role is user", param="messages")
    return texts, audio, param


def _bytes_of(part: InputAudioPart | AudioUrlPart, param: str) -> bytes:
    if isinstance(part, AudioUrlPart):
        if part.audio_url.url[:5].lower() != "data:":
            message = "only data: URLs are taken; this server opens no other, and no files"
            raise bad_request(message, param=param, code="unsupported_url")
        text = part.audio_url.url
    else:
        text = part.input_audio.data
    if text[:5].lower() == "data:":
        head, comma, text = text.partition(",")
        if not comma or not head.lower().endswith(";base64"):
            raise bad_request("the data: URL is not one of base64", param=param, code="invalid_base64")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise bad_request("the audio is not valid base64", param=param, code="invalid_base64") from None
    if not data:
        raise bad_request("the audio is empty", param=param, code="empty")
    return data


def _form(body: ChatBody) -> Form | None:
    """The one form that an answer is asked for in."""
    outputs = body.structured_outputs
    found: list[tuple[str, Form]] = []
    wanted = body.response_format
    if isinstance(wanted, JsonObjectFormat):
        found.append(("response_format", JsonSchema('{"type": "object"}')))
    elif isinstance(wanted, JsonSchemaFormat):
        found.append(("response_format", JsonSchema(json.dumps(wanted.json_schema.json_schema))))
    grammars = (outputs.grammar if outputs else None, body.guided_grammar)
    schemas = (outputs.json_value if outputs else None, body.guided_json)
    for param, text in zip(("structured_outputs", "guided_grammar"), grammars, strict=True):
        if text is not None:
            found.append((param, Grammar(text)))
    for param, schema in zip(("structured_outputs", "guided_json"), schemas, strict=True):
        if schema is not None:
            found.append((param, _schema(schema, param)))
    if len(found) > 1:
        raise bad_request("an answer can have one form only", param=found[1][0])
    for param, form in found:
        if len(form.text) > MOST_FORM_CHARACTERS:
            raise bad_request(f"it has more than {MOST_FORM_CHARACTERS} characters", param=param, code="too_long")
    return found[0][1] if found else None


def _schema(schema: dict[str, Any] | str, param: str) -> JsonSchema:
    if isinstance(schema, dict):
        return JsonSchema(json.dumps(schema))
    try:
        parsed = json.loads(schema)
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        raise bad_request("it is not a JSON Schema", param=param)
    return JsonSchema(schema)
