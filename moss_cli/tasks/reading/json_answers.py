"""Answers in JSON: described in the prompt, held to a form while they are decoded, read as far as they go."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic_core import from_json

from moss_cli.answers import JsonSchema
from moss_cli.span import Span
from moss_cli.tasks.reading.mended_json import mended

# Limits keep a model that has lost its way from going on in one field until its room is used up. Chosen far above what
# an honest answer needs: 5,000 characters are two pages of print, and 1,000 items are one every 3.6 s for an hour. An
# answer that ends at one is reported as cut (`Json.cut`). What masks cost does not depend on them.
LONGEST_TEXT = 5_000  # characters of one field
MOST_ITEMS = 1_000

TEXT = {"type": ["string", "null"], "maxLength": LONGEST_TEXT}
SAID = {"type": "string", "maxLength": LONGEST_TEXT}  # where an item makes no sense without it
NUMBER = {"type": ["number", "null"], "minimum": 1, "maximum": 999}
TIME = {"type": "number", "minimum": 0, "maximum": 99999}
TEXTS = {"type": "array", "items": SAID, "maxItems": MOST_ITEMS}

# A string, closed or not, or a mark: enough to tell where in an object its text ends.
_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*+)"?|([{}\[\],])', re.DOTALL)


@dataclass(frozen=True)
class Field:
    """A key of the answer: its JSON Schema, and what the instruction says of it."""

    name: str
    schema: Mapping[str, Any]
    meaning: str = ""


def items(**fields: Mapping[str, Any]) -> dict[str, Any]:
    """Schema of a list of timed items, each with a start, an end and these fields."""
    return {"type": "array", "items": _object({"start": TIME, "end": TIME} | fields), "maxItems": MOST_ITEMS}


def form(fields: Sequence[Field]) -> JsonSchema:
    """The form of an object with exactly these fields, in this order."""
    return JsonSchema(json.dumps(_object({field.name: field.schema for field in fields})))


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def in_json(instruction: str, fields: Sequence[Field]) -> str:
    """An instruction with one sentence added that describes the JSON to answer in."""
    described = ", ".join(f"{f.name} ({f.meaning})" if f.meaning else f.name for f in fields)
    return (
        f"{instruction.rstrip()} Answer in JSON with the fields {described}; "
        "times are seconds, and what cannot be told from the audio is null."
    )


@dataclass(frozen=True)
class Json:
    """A JSON object as far as it could be read.

    `complete`: nothing was missing at its end. `cut`: names of the fields that ended at a limit of their form, and of
    the one in which the answer broke off.
    """

    values: Mapping[str, Any]
    complete: bool = True
    cut: tuple[str, ...] = ()

    def text(self, key: str) -> str | None:
        """A text, or None where there is none; numbers and lists are written out."""
        return as_text(self.values.get(key))

    def number(self, key: str) -> float | None:
        """A number, also one that begins a text; None where there is none."""
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

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; a single text is a list of one."""
        value = self.values.get(key)
        many = value if isinstance(value, list) else [value]
        return tuple(text for text in map(as_text, many) if text)

    def timed(self, key: str, span: Span, needed: str) -> list[tuple[float, float, Json]]:
        """The items of a timeline that have a text under `needed`, with times in the file.

        Times are brought inside the span and in order; an item's end is never before its start.
        """
        found = self.values.get(key)
        parts = [Json(item) for item in found if isinstance(item, dict)] if isinstance(found, list) else []
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


def read_json(answer: str, fields: Sequence[Field]) -> Json:
    """The object of these fields in an answer, through a code fence or words around it, and as far as it goes."""
    values, complete = _parsed(answer[answer.find("{") :] if "{" in answer else "")
    cut = {field.name: None for field in fields if _ends_at_limit(values.get(field.name), field.schema)}
    if not complete and fields:
        cut[broken_off(answer, [field.name for field in fields])] = None
    return Json(values, complete, tuple(cut))


def _parsed(text: str) -> tuple[Mapping[str, Any], bool]:
    values = _whole(text)
    if values is None:
        text = mended(text)
        values = _whole(text)
    if values is not None:
        return values, True
    return _values(text, allow_partial="trailing-strings") or {}, False


def _whole(text: str) -> dict[str, Any] | None:
    values = _values(text)
    return values if values is not None else _values(text[: text.rfind("}") + 1])


def _values(text: str, *, allow_partial: Literal[False, "trailing-strings"] = False) -> dict[str, Any] | None:
    """The object that a text is; None for anything else."""
    try:
        values = from_json(text, allow_partial=allow_partial, allow_inf_nan=False)
    except ValueError:
        return None
    return values if isinstance(values, dict) else None


def _ends_at_limit(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a value, or one inside it, is as long as its schema lets it be."""
    if isinstance(value, str):
        return len(value) == schema.get("maxLength")
    if isinstance(value, list):
        inside = schema.get("items", {})
        return len(value) == schema.get("maxItems") or any(_ends_at_limit(one, inside) for one in value)
    if isinstance(value, dict):
        return any(_ends_at_limit(one, schema.get("properties", {}).get(name, {})) for name, one in value.items())
    return False


def broken_off(answer: str, names: Sequence[str]) -> str:
    """The field in which an answer ends that has no end of its own. `names` are its fields in their order."""
    depth, n_closed, key = 0, 0, ""
    for text, mark in _tokens(answer):
        if mark in ("{", "["):
            depth += 1
        elif mark in ("}", "]"):
            depth -= 1
        elif mark == "," and depth == 1:
            n_closed, key = n_closed + 1, ""
        elif not mark and depth == 1:
            key = key or text
    # By its own key where that is known: a backend that knows no forms may keep to another order.
    return key if key in names else names[min(n_closed, len(names) - 1)]


def _tokens(answer: str) -> Iterator[tuple[str, str]]:
    """Strings and marks of an answer's object, in turn: the one or the other is empty."""
    for match in _TOKEN.finditer(answer, max(answer.find("{"), 0)):
        yield match[1] or "", match[2] or ""
