"""What is asked of the engine's thread, on its way."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from moss_cli.audio.results import SAMPLE_RATE, Samples
from moss_cli.backends.protocol import Clip, Event, Request
from moss_cli.errors import MossError

log = logging.getLogger(__name__)

TOGETHER_S = 64.0  # of clips that are listened to at once; chosen: 16 of the encoder's windows
NO_TICKET = -1  # of a request that never came to have one

T = TypeVar("T")
OnClip = Callable[[Clip | MossError], None]
OnEvent = Callable[[Event], None]


@dataclass(eq=False)
class WantedClip:
    """A clip that is wanted. `on_clip` is called in the engine's thread."""

    samples: Samples
    on_clip: OnClip
    is_cancelled: bool = False


@dataclass(eq=False)
class AskedRequest:
    """A request on its way. `on_event` is called in the engine's thread, with the end and, if the request `tells`, what
    comes before it."""

    request: Request
    on_event: OnEvent
    ticket: int | None = None
    is_cancelled: bool = False


@dataclass(frozen=True)
class Load:
    """What the engine is busy with: answers being decoded, of so many slots, and clips and requests that wait."""

    is_loaded: bool
    n_active: int
    n_slots: int
    n_waiting: int


def call(tell: Callable[[T], None], told: T) -> None:
    """Tell somebody something. That it is lost there is no reason to tell the others nothing."""
    try:
        tell(told)
    except Exception:
        log.exception("what came of a request could not be told")


def first_of(waiting: list[WantedClip], most: int) -> tuple[list[WantedClip], list[WantedClip]]:
    """The first clips, as many as are listened to together, and the others."""
    n_taken, seconds = 0, 0.0
    for one in waiting[:most]:
        seconds += len(one.samples) / SAMPLE_RATE
        if n_taken and seconds > TOGETHER_S:
            break
        n_taken += 1
    return waiting[:n_taken], waiting[n_taken:]
