"""What several tasks say of one input as one envelope, whose result holds the envelopes of the tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from pydantic import create_model

from moss_cli.output.formats import COMBINED
from moss_cli.schema import Envelope, Notice, Params, Record, Usage
from moss_cli.tasks.catalogue import TASKS


def key_of(task: str) -> str:
    """The field of a combined result that holds a task's envelope: `describe_speaker`."""
    return task.replace("-", "_")


@cache
def combined_type() -> type[Record]:
    """The result of several tasks: a field for each, null for those that were not asked."""
    fields: dict[str, Any] = {key_of(task): (Envelope | None, None) for task in TASKS}
    return create_model("Analyses", __base__=Record, **fields)


def combine(envelopes: Mapping[str, Envelope]) -> Envelope:
    """The envelopes of one input, by task, as one: partial where one of them is, or is an error; an error where all of
    them are."""
    all_of_them = list(envelopes.values())
    answered = [one for one in all_of_them if one.status != "error"]
    first = (answered or all_of_them)[0]
    failed = first.error if not answered else None
    is_whole = all(one.status == "ok" for one in all_of_them)
    return Envelope(
        moss=first.moss,
        task=COMBINED,
        status="error" if failed is not None else "ok" if is_whole else "partial",
        input=first.input,
        model=first.model,
        params=_common([one.params for one in all_of_them]),
        result=None if failed is not None else combined_type()(**{key_of(t): one for t, one in envelopes.items()}),
        text=None if failed is not None else "\n\n".join(one.text for one in answered if one.text),
        warnings=tuple(notice for task, one in envelopes.items() for notice in _notices(task, one)),
        usage=_sum([one.usage for one in answered if one.usage is not None]),
        error=failed,
    )


def parts_of(envelope: Envelope) -> list[Envelope]:
    """The envelopes that a combined one holds, in the order of the tasks."""
    return [one for task in TASKS if (one := getattr(envelope.result, key_of(task), None)) is not None]


def _common(params: list[Params]) -> Params:
    """What all tasks were asked with. An instruction is each task's own, and the longest of their chunks stands."""
    first, *others = params
    same = {name: value for name, value in first if all(getattr(one, name) == value for one in others)}
    return Params(**(same | {"prompt": "", "chunk": max(one.chunk for one in params)} | _required(first)))


def _required(params: Params) -> dict[str, Any]:
    return {name: getattr(params, name) for name in ("temperature", "top_p", "top_k", "seed")}


def _notices(task: str, envelope: Envelope) -> Iterator[Notice]:
    for notice in envelope.warnings:
        yield notice.model_copy(update={"message": f"{task}: {notice.message}"})
    if envelope.error is not None:
        yield Notice(code=envelope.error.code, message=f"{task} failed: {envelope.error.message}")


def _sum(usages: list[Usage]) -> Usage | None:
    if not usages:
        return None
    return Usage(
        audio_seconds=max(one.audio_seconds for one in usages),
        prompt_tokens=sum(one.prompt_tokens for one in usages),
        generated_tokens=sum(one.generated_tokens for one in usages),
        load_seconds=max(one.load_seconds for one in usages),
        seconds=sum(one.seconds for one in usages),
    )
