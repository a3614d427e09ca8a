"""The JSON Schema of what a task prints."""

from __future__ import annotations

import inspect
from typing import Any

from pydantic import create_model

from moss_cli.output.combined import key_of
from moss_cli.output.formats import COMBINED
from moss_cli.schema import Envelope, Record
from moss_cli.tasks.catalogue import TASKS, entry


def envelope_type(task: str) -> type[Envelope]:
    """The envelope of a task's results: `envelope_type("scene").model_validate_json(text)` reads one back. That of
    several tasks is called `analyze`."""
    filled: type[Envelope] = Envelope.__class_getitem__(_result_type(task))  # type: ignore[assignment]
    return filled


def _result_type(task: str) -> type[Record]:
    if task != COMBINED:
        return entry(task).load().result_type
    fields: dict[str, Any] = {key_of(name): (envelope_type(name) | None, None) for name in TASKS}
    return create_model("Analyses", __base__=Record, **fields)


def json_schema(task: str) -> dict[str, Any]:
    """JSON Schema (2020-12) of a task's envelope, as `moss schema TASK` prints it."""
    described = {"description": inspect.getdoc(Envelope)}  # which pydantic leaves out where a type is filled in
    schema = dict(sorted((envelope_type(task).model_json_schema() | described).items()))
    properties = schema["properties"]
    properties["task"] = {"const": task}
    properties["result"] = {"$ref": f"#/$defs/{_result_type(task).__name__}"}
    always = [name for name in properties if name not in ("result", "error")]
    failed = {"required": ["error"], "properties": {"result": False}}
    answered = {"required": ["result"], "properties": {"error": False}}
    return schema | {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"moss {task}",
        "required": always,
        "if": {"properties": {"status": {"const": "error"}}},
        "then": failed,
        "else": answered,
    }
