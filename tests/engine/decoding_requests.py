"""Requests for the tests of decoding."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from moss_cli.answers import Form, Grammar, JsonSchema, Sampling
from moss_cli.engine.decoding import Broken, Decoded, Decoding, Ended, Event
from moss_cli.engine.engine import Engine
from moss_cli.engine.row import DecodeRequest, Generation

SAMPLED = Sampling(temperature=1.0, top_k=50)
MOOD = JsonSchema(
    json.dumps(
        {
            "type": "object",
            "properties": {"mood": {"enum": ["calm", "tense"]}, "tempo": {"type": ["integer", "null"]}},
            "required": ["mood", "tempo"],
            "additionalProperties": False,
        }
    )
)
WORDS = Grammar("start: /[a-z]{3,9}( [a-z]{3,9}){40}/")


def heard(engine: Engine, seconds: float, seed: int = 0, max_new_tokens: int = 12) -> DecodeRequest:
    """A question about noise."""
    noise = np.random.default_rng(seed).standard_normal(int(16_000 * seconds)).astype(np.float32) * 0.1
    return DecodeRequest(engine.ask("Describe this audio.", engine.hear(noise)), max_new_tokens)


def asked(
    engine: Engine, text: str, max_new_tokens: int = 12, *, form: Form | None = None, seed: int = -1
) -> DecodeRequest:
    """A question without audio; drawn where it has a seed, else greedy."""
    matcher = None if form is None else engine.grammars.matcher(form)
    sampling = Sampling() if seed < 0 else SAMPLED
    return DecodeRequest(engine.ask(text, None), max_new_tokens, sampling, max(0, seed), matcher)


def finish(decoding: Decoding) -> list[Event]:
    """Step until nothing is left to do."""
    events: list[Event] = []
    for _ in range(10_000):
        events += decoding.step()
        if not decoding.n_waiting and not decoding.n_active:
            return events
    raise AssertionError("decoding does not end")


def generations(events: Sequence[Event]) -> dict[int, Generation]:
    return {event.ticket: event.generation for event in events if isinstance(event, Ended)}


def broken(events: Sequence[Event]) -> dict[int, Exception]:
    return {event.ticket: event.error for event in events if isinstance(event, Broken)}


def told(events: Sequence[Event], ticket: int) -> list[int]:
    """The tokens that were told of a request, one event each."""
    steps = [event.ids for event in events if isinstance(event, Decoded) and event.ticket == ticket]
    assert [len(ids) for ids in steps] == list(range(1, len(steps) + 1))
    return [ids[-1] for ids in steps]
