"""Timed items that several tasks or formats share."""

from __future__ import annotations

from typing import Any, Protocol

import pydantic
from pydantic import SerializerFunctionWrapHandler, model_serializer

from moss_cli.schema import Record, Seconds


class Timed(Protocol):
    """An item of a timeline, in seconds of the file."""

    @property
    def start(self) -> float: ...
    @property
    def end(self) -> float: ...


class Labelled(Record):
    """Something that lasts from `start` to `end`: a sound event, a section of music."""

    start: Seconds
    end: Seconds
    label: str = pydantic.Field(description="What it is.")


class Word(Record):
    """One word and when it is said."""

    start: Seconds
    end: Seconds
    word: str = pydantic.Field(description="The word, with its punctuation.")


class Segment(Record):
    """A sentence, usually. `speaker` and `words` are absent from the JSON where unknown."""

    start: Seconds
    end: Seconds
    text: str = pydantic.Field(description="What is said.")
    speaker: str | None = pydantic.Field(
        default=None, description="Label of who says it, with `--speakers`. Else absent."
    )
    words: tuple[Word, ...] | None = pydantic.Field(
        default=None, description="With `--timestamps word`, where the model gave their times. Else absent."
    )

    @model_serializer(mode="wrap")
    def _leave_out_unknown(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if value is not None}
