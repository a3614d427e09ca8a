"""The body of a chat request: what is understood of it, and what is refused instead of ignored."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from moss_cli.answers import Form, Grammar, JsonSchema, Sampling, Turn
from moss_cli.backends.wire import KEY, Extra, extra_from
from moss_cli.serve.messages import Fields, Message, conversation
from moss_cli.serve.refusals import Refusal, bad_request

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


class _NamedSchema(Fields):
    name: str = "answer"
    description: str | None = None
    json_schema: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


class TextFormat(Fields):
    type: Literal["text"]


class JsonObjectFormat(Fields):
    type: Literal["json_object"]


class JsonSchemaFormat(Fields):
    type: Literal["json_schema"]
    json_schema: _NamedSchema


class StructuredOutputs(Fields):
    grammar: str | None = None
    json_value: dict[str, Any] | str | None = Field(None, alias="json")


class TemplateKwargs(Fields):
    enable_thinking: bool | None = None
    may_think: bool | None = None


class ProcessorKwargs(Fields):
    enable_time_marker: bool | None = None


class StreamOptions(Fields):
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
    chat_template_kwargs: TemplateKwargs | None = None
    mm_processor_kwargs: ProcessorKwargs | None = None
    moss: Any = None


@dataclass(frozen=True)
class ChatQuestion:
    """A chat request as it is asked, after earlier `turns`. `audio` is a file's bytes, `audio_param` the field that
    they came in. `extra`: what our own client says besides."""

    prompt: str
    turns: tuple[Turn, ...]
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
    extra: Extra | None


def read_chat(raw: bytes, model: str) -> ChatQuestion:
    """What a body asks of `model`. Raises Refusal for one that cannot be meant, or that asks for another."""
    body = _validated(raw)
    check_model(body.model, model)
    _check_extra(body.model_extra or {})
    asked = conversation(body.messages)
    kwargs, processing = body.chat_template_kwargs or TemplateKwargs(), body.mm_processor_kwargs or ProcessorKwargs()
    streams = bool(body.stream)
    return ChatQuestion(
        prompt=asked.prompt,
        turns=asked.turns,
        audio=asked.audio,
        audio_param=asked.audio_param,
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
        time_markers=processing.enable_time_marker,
        streams=streams,
        includes_usage=streams and body.stream_options is not None and body.stream_options.include_usage,
        extra=_extra(body.moss),
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


def _extra(value: Any) -> Extra | None:
    try:
        return None if value is None else extra_from(value)
    except ValueError as error:
        raise bad_request(str(error), param=KEY) from error


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
