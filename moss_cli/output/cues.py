"""What the timed items of a result are. A new result type is taught to every format here."""

from __future__ import annotations

from dataclasses import dataclass

from moss_cli.output.text import one_line
from moss_cli.output.times import to_ms
from moss_cli.schema import Answer, Emotion, Envelope, Music, Scene, Segment, SpeakerDescription, Summary, Transcription


@dataclass(frozen=True)
class TimedWord:
    """A word of a cue and when it is said."""

    start_ms: int
    end_ms: int
    text: str


@dataclass(frozen=True)
class Cue:
    """One timed item: something to read from `start_ms` to `end_ms`, in milliseconds from the file's start."""

    start_ms: int
    end_ms: int
    text: str
    speaker: str | None = None
    words: tuple[TimedWord, ...] = ()


def cues(envelope: Envelope) -> list[Cue]:
    """The timed items of a result, in its order; none where it has none."""
    match envelope.result:
        case Transcription(segments=segments):
            return [_of_segment(segment) for segment in segments]
        case Emotion(segments=segments):
            return [_cue(s.start, s.end, s.emotion, s.cue) for s in segments]
        case Scene(events=parts) | Music(sections=parts):
            return [_cue(part.start, part.end, part.label) for part in parts]
        case Answer(evidence=parts):
            return [_cue(part.start, part.end, part.text) for part in parts]
        case Summary(chapters=chapters):
            return [_cue(c.start, c.end, c.title, c.summary) for c in chapters]
        case SpeakerDescription() | None:
            return []


def _cue(start: float, end: float, text: str, more: str | None = None) -> Cue:
    return Cue(to_ms(start), to_ms(end), f"{text}: {more}" if more else text)


def _of_segment(segment: Segment) -> Cue:
    words = tuple(TimedWord(to_ms(w.start), to_ms(w.end), one_line(w.word)) for w in segment.words or ())
    return Cue(to_ms(segment.start), to_ms(segment.end), segment.text, segment.speaker, words)
