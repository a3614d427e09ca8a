"""What every task can be told beside its inputs, and which values are meant. Standard library only: help reads it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple, TypedDict, get_args

from moss_cli.errors import UsageError
from moss_cli.settings import parse_time

Time = float | str  # seconds, or as on the command line: `90`, `1:30`, `00:01:30.5`, `1m30s`
Dtype = Literal["auto", "bf16", "fp16", "fp32", "4bit"]


class SharedOptions(TypedDict, total=False):
    """Keyword arguments of every method of `Moss`: the options of the commands, with the same defaults.

    `context`: names, terms and the topic of the recording, told to the model. `channel`: "mix", "left", "right", a
    number from 1, or "each", a speaker a channel. `track`: of a container, from 1. `start`, `end`: analyse that part
    only; times in the result stay those of the file. `chunk`: seconds of audio given to the model at once.
    `max_duration`: refuse longer inputs (24 hours by default). `time_markers` and `think`: None for as the model was
    trained. `temperature` 0 always takes the most likely token. Lengths are in tokens.
    """

    context: str | None
    channel: int | str
    track: int | None
    start: Time | None
    end: Time | None
    chunk: float | None
    max_duration: Time
    time_markers: bool | None
    vad: bool
    temperature: float
    top_p: float
    top_k: int
    seed: int
    max_new_tokens: int | None
    think: bool | None
    thinking_budget: int | None


class TaskOptions(SharedOptions, total=False):
    """Those of the methods with an instruction of their own, which `prompt` replaces."""

    prompt: str | None


@dataclass(frozen=True)
class JobOptions:
    """All that the tasks share, with the defaults of the commands and of the methods alike."""

    device: str = "auto"
    dtype: Dtype = "auto"
    batch_size: int | str = "auto"
    prompt: str | None = None
    context: str | None = None
    channel: int | str = "mix"
    track: int | None = None
    start: Time | None = None
    end: Time | None = None
    chunk: float | None = None
    max_duration: Time = "24h"
    time_markers: bool | None = None
    vad: bool = True
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 50
    seed: int = 0
    max_new_tokens: int | None = None
    think: bool | None = None
    thinking_budget: int | None = None

    @classmethod
    def of(cls, options: Any) -> JobOptions:
        """Those among the attributes of `options` that are of the same names."""
        return cls(**{field.name: getattr(options, field.name) for field in fields(cls)})


def check_names(options: Iterable[str]) -> None:
    """Raise TypeError for a keyword argument that no method of `Moss` takes."""
    known = TaskOptions.__optional_keys__
    if unknown := sorted(set(options) - known):
        raise TypeError(f"there is no option {unknown[0]!r}; there are {', '.join(sorted(known))}")


class Bounds(NamedTuple):
    """The least and the greatest value of a number; None where there is no such limit."""

    least: float
    greatest: float | None = None
    is_whole: bool = True


BOUNDS = {
    "chunk": Bounds(1.0, is_whole=False),
    "temperature": Bounds(0.0, 10.0, is_whole=False),
    "top_p": Bounds(0.0, 1.0, is_whole=False),
    "top_k": Bounds(0),
    "seed": Bounds(0),
    "max_new_tokens": Bounds(1),
    "thinking_budget": Bounds(0),
    "track": Bounds(1),
    "max_line_width": Bounds(1),
    "max_line_count": Bounds(1),
}

MOST_CONTEXT_BYTES = 100_000  # chosen: some 22,000 tokens of English, half of what the released models take at once

Named = Callable[[str], str]  # what an option is called where its user wrote it


def as_flag(name: str) -> str:
    """`--max-duration`: as on the command line."""
    return "--" + name.replace("_", "-")


def as_keyword(name: str) -> str:
    """`max_duration`: as in Python."""
    return name


def check_number(name: str, value: Any, named: Named) -> None:
    """Raise UsageError for a value that is none, or not within its bounds; None is no value."""
    bounds = BOUNDS[name]
    if value is None:
        return
    is_right = isinstance(value, int if bounds.is_whole else (int, float)) and not isinstance(value, bool)
    if not is_right or not math.isfinite(value):
        kind = "a whole number" if bounds.is_whole else "a number"
        raise UsageError(f"{named(name)} must be {kind}, and not {value!r}")
    if value < bounds.least or (bounds.greatest is not None and value > bounds.greatest):
        upper = "or more" if bounds.greatest is None else f"to {bounds.greatest:g}"
        raise UsageError(f"{named(name)} must be {bounds.least:g} {upper}, and not {value:g}")


def check_context(value: object, named: Named) -> None:
    """Raise UsageError for what cannot be told to a model: no text, or too much of it; None is no value."""
    if value is None:
        return
    if not isinstance(value, str):
        raise UsageError(f"{named('context')} must be a text, and not {type(value).__name__}")
    try:
        n_bytes = len(value.encode())
    except UnicodeEncodeError as error:
        raise UsageError(f"{named('context')} is not UTF-8 text") from error
    if n_bytes > MOST_CONTEXT_BYTES:
        raise UsageError(
            f"{named('context')} is too long: at most {MOST_CONTEXT_BYTES:,} bytes are taken",
            hint="keep the names and terms that matter for these recordings",
        )
    if not value.strip():
        raise UsageError(f"{named('context')} is empty", hint=f"leave {named('context')} out, or give it some text")


def channel_of(value: object, named: Named) -> int | Literal["mix", "each"]:
    """What of a recording's channels is heard. Raises UsageError."""
    text = str(value).strip().lower()
    if text in ("mix", "each"):
        return "mix" if text == "mix" else "each"
    text = {"left": "1", "right": "2"}.get(text, text)
    if isinstance(value, bool) or not re.fullmatch("0*[1-9][0-9]{0,3}", text, re.ASCII):
        message = f"{named('channel')} {value} is no channel"
        raise UsageError(message, hint="write mix, left, right, each, or a number from 1")
    return int(text)


def check_choice(name: str, value: object, choices: Any, named: Named) -> None:
    """Raise UsageError for a value that is none of a Literal's."""
    values = get_args(choices)
    if not any(value == one and type(value) is type(one) for one in values):
        raise UsageError(f"{named(name)} must be one of {', '.join(map(repr, values))}, and not {value!r}")


def check_text(name: str, value: object, named: Named, *, optional: bool = True) -> None:
    """Raise UsageError for what is neither a text nor, with `optional`, None."""
    if not isinstance(value, str) and not (optional and value is None):
        raise UsageError(f"{named(name)} must be a text, and not {value!r}")


def check_flag(name: str, value: object, named: Named, *, optional: bool = False) -> None:
    """Raise UsageError for what is neither True nor False nor, with `optional`, None."""
    if not isinstance(value, bool) and not (optional and value is None):
        raise UsageError(f"{named(name)} must be {'True, False or None' if optional else 'True or False'}")


def seconds(name: str, value: Time, named: Named) -> float:
    """A time in seconds. Raises UsageError."""
    if isinstance(value, str):
        try:
            return parse_time(value)
        except UsageError as error:
            raise UsageError(f"{named(name)}: {error.message}", hint=error.hint) from error
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise UsageError(
            f"{named(name)}: {value!r} is not a time", hint="write seconds, or '1:30', '00:01:30.5', '1m30s'"
        )
    return float(value)
