"""Answers in JSON: asked for in words, kept in form by a grammar, read whatever became of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from moss_cli.answers import JsonSchema
from moss_cli.span import Span

LONGEST_TEXT = 600  # characters of one field
MOST_ITEMS = 64

TEXT = {"type": ["string", "null"], "maxLength": LONGEST_TEXT}
SAID = {"type": "string", "maxLength": LONGEST_TEXT}  # where an item makes no sense without it
NUMBER = {"type": ["number", "null"], "minimum": 1, "maximum": 999}
TIME = {"type": "number", "minimum": 0, "maximum": 99999}
NAMES = {"type": "array", "items": {"type": "string", "maxLength": 80}, "maxItems": MOST_ITEMS}


@dataclass(frozen=True)
class Field:
    """A key of the answer: its JSON Schema, and what is said of it in the instruction."""

    name: str
    schema: dict[str, Any]
    meaning: str = ""


def items(**fields: dict[str, Any]) -> dict[str, Any]:
    """Schema of a list of timed items, each with a start, an end and these fields."""
    return {"type": "array", "items": _object({"start": TIME, "end": TIME} | fields), "maxItems": MOST_ITEMS}


def form(fields: Iterable[Field]) -> JsonSchema:
    """The form of an object with exactly these fields, in this order."""
    return JsonSchema(json.dumps(_object({field.name: field.schema for field in fields})))


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def in_json(instruction: str, fields: Iterable[Field]) -> str:
    """An instruction with one sentence added that describes the JSON it is to be answered in."""
    described = ", ".join(f"{f.name} ({f.meaning})" if f.meaning else f.name for f in fields)
    return (
        f"{instruction.rstrip()} Answer in JSON with the fields {described}; "
        "times are seconds, and what cannot be told from the audio is null."
    )


@dataclass(frozen=True)
class Json:
    """A JSON object as far as it could be read. `complete`: nothing was missing at its end."""

    values: Mapping[str, Any]
    complete: bool

    def text(self, key: str) -> str | None:
        """A text, or None where there is none; numbers and lists are written out."""
        return as_text(self.values.get(key))

    def number(self, key: str) -> float | None:
        value = self.values.get(key)
        if isinstance(value, str):
            try:
                value = float(value.strip().split(" ")[0])
            except ValueError:
                return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        # int first: one of a thousand digits has no float
        return float(value) if abs(value) < 1e9 and math.isfinite(value) else None

    def names(self, key: str) -> tuple[str, ...]:
        """A list of texts; a single text is a list of one."""
        value = self.values.get(key)
        many = value if isinstance(value, list) else [value]
        return tuple(text for text in map(as_text, many) if text)

    def timed(self, key: str, span: Span, needed: str) -> list[tuple[float, float, Json]]:
        """The items of a timeline that have a text under `needed`, with times in the file.

        Times are brought inside the span and in order; an item's end is never before its start.
        """
        found = self.values.get(key)
        parts = [Json(item, True) for item in found if isinstance(item, dict)] if isinstance(found, list) else []
        parts = [part for part in parts if part.text(needed)]
        placed = [(*within(part.number("start"), part.number("end"), span), part) for part in parts]
        return sorted(placed, key=lambda item: item[:2])


def as_text(value: Any) -> str | None:
    """A value as one line of text; None for null and for nothing but blanks."""
    if isinstance(value, list):
        value = ", ".join(text for text in map(as_text, value) if text)
    if value is None or isinstance(value, dict):
        return None
    return " ".join(str(value).split()) or None


def within(start_s: float | None, end_s: float | None, span: Span) -> tuple[float, float]:
    """A clip's times as the file's: inside the span, in order, to the millisecond."""
    start = min(max(start_s or 0.0, 0.0), span.duration_s)
    end = min(max(span.duration_s if end_s is None else end_s, start), span.duration_s)
    last = math.floor(span.end_s * 1000) / 1000
    return min(round(span.start_s + start, 3), last), min(round(span.start_s + end, 3), last)


def read_json(answer: str) -> Json:
    """The object in an answer, through a code fence or words around it, and as far as it goes."""
    start = answer.find("{")
    if start < 0:
        return Json({}, complete=False)
    text = answer[start:]
    for part, complete in ((text, True), (text[: text.rfind("}") + 1], True), (text, False)):
        try:
            values = from_json(part, allow_partial=False if complete else "trailing-strings", allow_inf_nan=False)
        except ValueError:
            continue
        if isinstance(values, dict):
            return Json(values, complete)
    return Json({}, complete=False)
