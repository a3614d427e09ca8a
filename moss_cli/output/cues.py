"""What the timed items of a result are. A new result type is taught to every format here."""

from __future__ import annotations

from dataclasses import dataclass

from moss_cli.output.times import to_ms
from moss_cli.schema import Envelope, Segment, Transcription


@dataclass(frozen=True)
class Cue:
    """One timed item: something to read from `start_ms` to `end_ms`, in milliseconds from the file's start."""

    start_ms: int
    end_ms: int
    text: str
    speaker: str | None = None


def cues(envelope: Envelope) -> list[Cue]:
    """The timed items of a result, in its order; none where it has none."""
    match envelope.result:
        case Transcription(segments=segments):
            return [_of_segment(segment) for segment in segments]
        case None:
            return []


def _of_segment(segment: Segment) -> Cue:
    return Cue(to_ms(segment.start), to_ms(segment.end), segment.text, segment.speaker)
