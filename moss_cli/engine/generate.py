"""All answers to some requests, decoded together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from moss_cli.engine.decoding import Broken, Decoding, Ended
from moss_cli.engine.model import MossAudio
from moss_cli.engine.row import DecodeRequest, Generation

OnToken = Callable[[int, Sequence[int], int], None]  # (index of the request, tokens so far, n_settled)


def generate(
    model: MossAudio, requests: Sequence[DecodeRequest], stop_ids: frozenset[int], on_token: OnToken | None = None
) -> list[Generation]:
    """Decode all requests together. Raises UsageError for one that does not fit the model, and what breaks one."""
    decoding = Decoding(model, stop_ids, n_slots=max(1, len(requests)))
    places = {decoding.submit(request): place for place, request in enumerate(requests)}
    done: dict[int, Generation] = {}
    while len(done) < len(requests):
        for event in decoding.step():
            place = places[event.ticket]
            if isinstance(event, Broken):
                raise event.error
            if isinstance(event, Ended):
                done[place] = event.generation
            elif on_token is not None:
                on_token(place, event.ids, event.n_settled)
    return [done[place] for place in range(len(requests))]
