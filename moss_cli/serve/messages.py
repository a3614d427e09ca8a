"""The messages of a chat request: turns of a conversation about one clip."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from moss_cli.answers import Turn
from moss_cli.serve.refusals import bad_request

MOST_CHARACTERS = 100_000  # of all texts; chosen: several times what any model here reads


class Fields(BaseModel):
    """An object of which every field is known."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _AudioData(Fields):
    data: str
    format: str | None = None


class _AudioUrl(Fields):
    url: str


class TextPart(Fields):
    type: Literal["text"]
    text: str


class InputAudioPart(Fields):
    type: Literal["input_audio"]
    input_audio: _AudioData


class AudioUrlPart(Fields):
    type: Literal["audio_url"]
    audio_url: _AudioUrl


ContentPart = Annotated[TextPart | InputAudioPart | AudioUrlPart, Field(discriminator="type")]


class Message(Fields):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[ContentPart]
    name: str | None = None


@dataclass(frozen=True)
class Asked:
    """What messages ask: the last question, the turns before it, and the audio with the field that it came in."""

    prompt: str
    turns: tuple[Turn, ...]
    audio: bytes | None
    audio_param: str


def conversation(messages: Sequence[Message]) -> Asked:
    """What messages ask. Raises Refusal for what is no conversation about one clip.

    The models know one system message, which they were trained on; what another says is put before the first question.
    """
    system: list[str] = []
    turns: list[Turn] = []
    question: str | None = None
    audio, param = None, "messages"
    for i, message in enumerate(messages):
        text = _text(message)
        for j, part in enumerate(message.content if not isinstance(message.content, str) else ()):
            if isinstance(part, TextPart):
                continue
            param = f"messages.{i}.content.{j}.{part.type}"
            if audio is not None:
                raise bad_request("a conversation can be about one clip of audio only", param=param)
            if message.role != "user" or turns:
                raise bad_request("the audio must be in the first message of the user", param=param)
            audio = _bytes_of(part, param)
        if message.role in ("system", "developer"):
            if turns or question is not None:
                raise bad_request("system messages must come first", param=f"messages.{i}.role")
            system.append(text)
        elif message.role == "user":
            if question is not None:
                raise bad_request("between two questions an answer must stand", param=f"messages.{i}.role")
            question = text if turns else "\n\n".join([*system, text])
        elif question is None:
            raise bad_request("before an answer a question must stand", param=f"messages.{i}.role")
        else:
            turns.append(Turn(question, text))
            question = None
    if question is None or not question.strip():
        raise bad_request("the last message must be the user's, and say what is asked", param="messages")
    if len(question) + sum(len(turn.question) + len(turn.answer) for turn in turns) > MOST_CHARACTERS:
        raise bad_request("the text is too long for any model here", param="messages", code="context_length_exceeded")
    return Asked(question, tuple(turns), audio, param)


def _text(message: Message) -> str:
    if isinstance(message.content, str):
        return message.content
    return "\n".join(part.text for part in message.content if isinstance(part, TextPart))


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
