"""The fields of the JSON, read from the schemas that `moss schema` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]
_TIMES = {"start": "When it begins.", "end": "When it ends."}
_NAMES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "null": "null"}


@dataclass(frozen=True)
class FieldFacts:
    """One field. `path`: `segments[].start`; `type`: in words."""

    path: str
    type: str
    about: str


def fields_of(schema: Schema, definitions: Schema, before: str = "") -> Iterator[FieldFacts]:
    """The fields of an object and of the objects in it, in the order of the JSON."""
    for name, value in schema.get("properties", {}).items():
        if value is False:
            continue
        kinds = list(_kinds(value, definitions))
        inner = [kind for kind in kinds if "properties" in kind[0]]
        path = f"{before}{name}" + ("[]" if any(is_list for _, is_list in inner) else "")
        about = value.get("description") or next((one.get("description", "") for one, _ in inner), "")
        about = about or _TIMES.get(name, "")
        words = dict.fromkeys(_words(kind, is_list) for kind, is_list in kinds)
        yield FieldFacts(path, " or ".join(words), " ".join(about.split()))
        for kind, _ in inner:
            yield from fields_of(kind, definitions, f"{path}.")


def _kinds(value: Schema, definitions: Schema, *, is_list: bool = False) -> Iterator[tuple[Schema, bool]]:
    """The alternatives of a field, references followed, and whether each is of the items of a list."""
    if "$ref" in value:
        yield from _kinds(definitions[value["$ref"].rpartition("/")[2]], definitions, is_list=is_list)
    elif "anyOf" in value:
        for one in value["anyOf"]:
            yield from _kinds(one, definitions, is_list=is_list)
    elif value.get("type") == "array":
        yield from _kinds(value["items"], definitions, is_list=True)
    else:
        yield value, is_list


def _words(kind: Schema, is_list: bool) -> str:
    if "const" in kind:
        shown = f"`{kind['const']}`"
    elif "enum" in kind:
        shown = " or ".join(f"`{one}`" for one in kind["enum"])
    elif "properties" in kind:
        shown = "object"
    else:
        shown = _NAMES[kind["type"]]
        if kind["type"] == "number" and kind.get("minimum") == 0:
            shown = "seconds"
    plural = {"object": "objects", "text": "texts"}.get(shown, shown)
    return f"list of {plural}" if is_list else shown
