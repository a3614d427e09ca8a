"""What `moss serve` and its client tell each other beside the OpenAI-compatible API, so that nothing of a question and
its answer is lost on the way.

A request may hold an object under `moss` (`Extra`), the last chunk of a streamed answer one in its choice
(`choices[0].moss`, `Ending`), and each model of `GET /v1/models` one that describes it (`facts`). Whoever does not know
them leaves them out: what the API itself says is enough for an answer.

Forms that are not JSON go as `structured_outputs: {"grammar": …}`, the name that vLLM has for them, in the Lark syntax
of llguidance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from moss_cli.answers import FinishReason
from moss_cli.backends.protocol import BackendInfo, Request
from moss_cli.models.entry import ModelEntry

KEY = "moss"


@dataclass(frozen=True)
class Extra:
    """Of a request: what `protocol.Request` has and the API has no name for. `prefix`: tokens that the answer begins
    with, from the `Ending` of the one before."""

    n_characters: int = 1024
    n_least: int = 1024
    max_new_tokens: int | None = None
    may_think: bool = True
    thinking_budget: int | None = None
    prefix: Sequence[int] = ()

    @classmethod
    def of(cls, request: Request, prefix: Sequence[int] = ()) -> Extra:
        return cls(
            request.n_characters,
            request.n_least,
            request.max_new_tokens,
            request.may_think,
            request.thinking_budget,
            tuple(prefix),
        )

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Ending:
    """Of an answer: what `protocol.Reply` has and the API has no name for. `text` stands in the place of what was
    streamed. `prefix`: the tokens of what is settled."""

    finish_reason: FinishReason
    text: str
    thought: str | None = None
    settled: str = ""
    prefix: Sequence[int] = ()

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def extra_from(value: Any) -> Extra:
    """What a request holds under `moss`. Raises ValueError for what cannot be there."""
    given = _object(value, Extra)
    for name, least in (("n_characters", 0), ("n_least", 0), ("max_new_tokens", 1), ("thinking_budget", 0)):
        number = given.get(name)
        if number is None and name in ("max_new_tokens", "thinking_budget"):
            continue
        if name in given and not (isinstance(number, int) and _is_count(number) and number >= least):
            raise ValueError(f"{KEY}.{name} must be a whole number, {least} or more")
    if not isinstance(given.get("may_think", True), bool):
        raise ValueError(f"{KEY}.may_think must be true or false")
    return Extra(**given | {"prefix": _tokens(given)})


def ending_from(value: Any) -> Ending:
    """What the last chunk of an answer holds under `moss`. Raises ValueError for what cannot be there."""
    given = _object(value, Ending)
    if given.get("finish_reason") not in ("stop", "length", "loop"):
        raise ValueError(f"{KEY}.finish_reason is unknown")
    if not all(isinstance(given.get(name, ""), str) for name in ("text", "settled")) or "text" not in given:
        raise ValueError(f"{KEY}.text and {KEY}.settled must be text")
    if not isinstance(given.get("thought"), str | None):
        raise ValueError(f"{KEY}.thought must be text")
    return Ending(**given | {"prefix": _tokens(given)})


def facts(entry: ModelEntry, info: BackendInfo, *, revision: str | None, n_together: int) -> dict[str, Any]:
    """What `GET /v1/models` says of a model under `moss`: how it is held, and under `entry` what models.toml says."""
    return {
        "dtype": info.dtype,
        "device": info.device,
        "revision": revision,
        "time_markers": info.time_markers,
        "can_think": info.can_think,
        "n_together": n_together,
        "entry": {
            "title": entry.title,
            "languages": list(entry.languages),
            "tasks": list(entry.tasks),
            "thinks_over": list(entry.thinks_over),
            "demo": entry.demo,
            "text_only": entry.text_only,
            "max_seconds": entry.max_seconds,
            "piece_seconds": dict(entry.piece_seconds),
        }
        | ({} if entry.thinking is None else {"thinking": entry.thinking}),
    }


def info_from(told: Mapping[str, Any]) -> BackendInfo:
    """How a server holds a model, from its `facts`; what it does not say is `server`."""
    return BackendInfo(
        dtype=_text(told.get("dtype")) or "server",
        device=_text(told.get("device")) or "server",
        time_markers=told.get("time_markers") is not False,
        can_think=told.get("can_think") is not False,
    )


def _object(value: Any, kind: type[Extra] | type[Ending]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{KEY} must be an object")
    names = {field.name for field in fields(kind)}
    if unknown := sorted(set(value) - names):
        raise ValueError(f"{KEY}.{unknown[0]} is unknown")
    return dict(value)


def _tokens(given: Mapping[str, Any]) -> tuple[int, ...]:
    prefix = given.get("prefix", ())
    if not isinstance(prefix, list | tuple) or not all(_is_count(one) for one in prefix):
        raise ValueError(f"{KEY}.prefix must be a list of tokens")
    return tuple(prefix)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
