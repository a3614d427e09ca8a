"""The form of a transcription request: what is understood of it, and what is refused instead of ignored."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import IO

from starlette.datastructures import FormData, UploadFile

from moss_cli.api.options import check_context
from moss_cli.run.job import Job
from moss_cli.serve.chat_body import SEED_MASK, check_model
from moss_cli.serve.config import ServeConfig
from moss_cli.serve.messages import MOST_CHARACTERS
from moss_cli.serve.refusals import bad_request
from moss_cli.tasks.transcribe import Timestamps, Transcribe

RESPONSE_FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
_WITH_WORDS = ("verbose_json", "vtt")
_LANGUAGES = {"en": "English", "zh": "Chinese"}  # that the models know, as their instructions name them
_NEUTRAL = {"stream": ("false", "0", ""), "chunking_strategy": ("auto", ""), "logprobs": ("false", "")}
_GRANULARITIES = ("timestamp_granularities[]", "timestamp_granularities")
_FIELDS = ("file", "model", "language", "prompt", "response_format", "temperature", "seed", *_GRANULARITIES)


@dataclass(frozen=True)
class TranscriptionQuestion:
    """A file to transcribe, the name that its sender gives it, and how."""

    upload: UploadFile
    name: str
    job: Job
    response_format: str
    granularities: frozenset[str]

    @property
    def file(self) -> IO[bytes]:
        """The file, which has a descriptor once it was rolled over to the disk."""
        return self.upload.file


def read_form(form: FormData, config: ServeConfig) -> TranscriptionQuestion:
    """What a form asks for. Raises Refusal for one that cannot be meant."""
    _check_names(form)
    check_model(_text(form, "model"), config.model.entry.name)
    uploads = form.getlist("file")
    if len(uploads) != 1 or not isinstance(uploads[0], UploadFile):
        raise bad_request("there must be one file, in the field `file`", param="file")
    response_format = _text(form, "response_format") or "json"
    if response_format not in RESPONSE_FORMATS:
        raise bad_request(f"response_format must be one of {', '.join(RESPONSE_FORMATS)}", param="response_format")
    granularities = _granularities(form)
    timestamps: Timestamps = "word" if "word" in granularities else "segment"
    if timestamps == "word" and response_format not in _WITH_WORDS:
        message = f"{response_format} cannot hold the times of words; {' and '.join(_WITH_WORDS)} can"
        raise bad_request(message, param="timestamp_granularities[]")
    return TranscriptionQuestion(
        uploads[0], _name(uploads[0]), _job(form, config, timestamps), response_format, granularities
    )


def _job(form: FormData, config: ServeConfig, timestamps: Timestamps) -> Job:
    language = _text(form, "language") or None
    usual, context = config.job, _text(form, "prompt") or None
    check_context(context, lambda name: "prompt")
    return replace(
        usual,
        context=context,
        task=Transcribe(timestamps, language=language and _LANGUAGES.get(language.lower(), language)),
        sampling=replace(usual.sampling, temperature=_number(form, "temperature", 0.0, 10.0)),
        seed=_seed(form),
    )


def _check_names(form: FormData) -> None:
    for name, value in form.multi_items():
        if name in _FIELDS or (name == "include[]" and not value):
            continue
        if name in _NEUTRAL:
            if not isinstance(value, str) or value.lower() not in _NEUTRAL[name]:
                raise bad_request(f"{name} is not supported here", param=name, code="unsupported_value")
            continue
        raise bad_request(f"unknown field {name[:100]!r}", param=name[:100], code="unknown_field")


def _granularities(form: FormData) -> frozenset[str]:
    found = [value for name in _GRANULARITIES for value in form.getlist(name)]
    for value in found:
        if value not in ("word", "segment"):
            raise bad_request("a granularity is word or segment", param="timestamp_granularities[]")
    return frozenset(map(str, found))


def _text(form: FormData, name: str) -> str | None:
    values = form.getlist(name)
    if len(values) > 1 or not all(isinstance(value, str) for value in values):
        raise bad_request(f"{name} must be given once, as text", param=name)
    text = str(values[0]) if values else None
    if text is not None and len(text) > MOST_CHARACTERS:
        raise bad_request(f"{name} is too long", param=name)
    return text


def _number(form: FormData, name: str, least: float, most: float) -> float:
    text = _text(form, name)
    try:
        number = float(text) if text else least
    except ValueError:
        number = math.nan
    if not least <= number <= most:
        raise bad_request(f"{name} must be a number from {least:g} to {most:g}", param=name)
    return number


def _seed(form: FormData) -> int:
    text = _text(form, "seed") or "0"
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise bad_request("seed must be a whole number", param="seed")
    return int(text) & SEED_MASK


def _name(upload: UploadFile) -> str:
    """What the file is called in messages."""
    name = (upload.filename or "").strip()
    return name[:200] if name and name.isprintable() else "the file"
