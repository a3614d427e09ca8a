"""What a server can do of what is asked of it: found out once, with two short requests, before the first recording.

Servers differ in which fields they know, by kind and by version, and tell it in three ways: with an error that names
the field (OpenAI, and vLLM where a value is wrong), with one that does not (SGLang's content parts), or not at all
(vLLM and SGLang leave out what they do not know). So each form is tried on a question to which it forces the answer.
Sources: vLLM's chat_completion/protocol.py and api_server.py, SGLang's openai/protocol.py and serving_base.py; that
SGLang takes `input_audio` since August 2026 only, its pull request 33606.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from moss_cli.models.server_fault import ServerFault

GrammarField = Literal["lark", "structured_outputs", "regex"]

# Fields that a server may do without, and what is lost then; in the order in which they are left out where an error
# does not name one: those that fewest servers know first.
OPTIONAL = (
    "structured_outputs",
    "regex",
    "mm_processor_kwargs",
    "chat_template_kwargs",
    "response_format",
    "top_k",
    "seed",
    "stream_options",
    "input_audio",
    "float_audio",
)
_REFUSING = {400, 415, 422, 500, 501}  # 500 is SGLang's answer to what it could not convert
_NAMED = {"float_audio": ("audio file", "decode", "format not"), "input_audio": ("content", "messages")}


@dataclass(frozen=True)
class Abilities:
    """`without`: names of OPTIONAL. `grammar`: how an answer is held to a grammar. Neither `input_audio` nor
    `float_audio` costs anybody anything: audio then goes as `audio_url`, in 16 bits."""

    grammar: GrammarField | None = "structured_outputs"
    without: frozenset[str] = frozenset()

    def has(self, name: str) -> bool:
        return name not in self.without

    def less(self, *names: str) -> Abilities:
        return replace(self, without=self.without.union(names))


Probe = Callable[[Abilities, Literal["json", "grammar"] | None], str]  # asks a short question; the text of the answer


def find_out(owner: str, probe: Probe, *, has_forms: bool) -> Abilities:
    """What a server of a kind (`owned_by`) can do. Raises ServerFault where it cannot answer at all."""
    able = Abilities("regex" if owner == "sglang" else "structured_outputs")
    able, text = _asked(able, "json" if has_forms else None, probe)
    if not has_forms:
        return able
    if not text.lstrip().startswith("{"):
        able = able.less("response_format")
    able, text = _asked(able, "grammar", probe)
    held = text.strip() == HELD and not {"structured_outputs", "regex"} & able.without
    return able if held else replace(able, grammar=None)


HELD = "held"  # what the form of the probe forces


def _asked(able: Abilities, form: Literal["json", "grammar"] | None, probe: Probe) -> tuple[Abilities, str]:
    """Ask with all fields, and after a refusal without one of them, or without several."""
    try:
        return able, probe(able, form)
    except ServerFault as fault:
        if fault.status not in _REFUSING:
            raise
        refusal = fault
    tried: Abilities | None = None
    for less in _poorer(able, refusal):
        if less == tried:
            continue
        tried = less
        try:
            return less, probe(less, form)
        except ServerFault as fault:
            if fault.status not in _REFUSING:
                raise
            again = _named(fault)
            if again and again != _named(refusal) and less.has(again):  # it has found the next one
                return _asked(less, form, probe)
    raise refusal


def _poorer(able: Abilities, refusal: ServerFault) -> Iterator[Abilities]:
    named = _named(refusal)
    if named:
        yield able.less(named)
    for name in OPTIONAL:
        yield able.less(name)
    so_far = able
    for name in reversed(OPTIONAL):  # audio first: without it nothing is asked
        so_far = so_far.less(name)
        yield so_far


def _named(refusal: ServerFault) -> str | None:
    """The field that a refusal is about."""
    said = f"{refusal.field} {refusal.said}".lower()
    known = {"guided": "structured_outputs", "json_schema": "response_format", "audio_url": "input_audio"}
    for name in OPTIONAL:
        if name in said:
            return name
    for word, name in known.items():
        if word in said:
            return name
    return next((name for name, words in _NAMED.items() if any(word in said for word in words)), None)
