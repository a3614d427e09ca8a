"""Transcription: what to ask, and how the answer becomes segments."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from moss_cli.schema import Notice, Segment, TaskName, Transcription
from moss_cli.tasks.task import Question, Reading, Span, Task
from moss_cli.tasks.timestamps import TimedText, read_timestamps

# The maintainers' own words; the models are known to work with them as they stand.
PROMPT_PLAIN = "Transcribe the audio."
PROMPT_SEGMENTS = (
    "Transcribe the audio into sentence-level timestamps using the format [xx.xx]text[yy.yy], where xx.xx and yy.yy "
    "are millisecond-precision timestamps rounded to two decimal places. Concatenate consecutive segments without "
    "breaks, for example [0.00]hello there[2.01][2.01]the weather is nice today[4.32]. Exclude any additional "
    "content such as explanations, headings, or annotations."
)
PROMPT_SPEAKERS = (
    "Transcribe the audio into text. Each sentence should begin with a speaker label ([S01], [S02], [S03], …), "
    "followed by the corresponding spoken content."
)
PROMPT_SPEAKER_SEGMENTS = (
    "Transcribe the audio into text. Each sentence should begin with a start timestamp and a speaker label ([S01], "
    "[S02], [S03], …), followed by the corresponding spoken content, and end with an end timestamp to clearly indicate "
    "the time span of that sentence."
)

# `[x.xx]text[y.yy]`, any number of times. In the text, brackets that hold no number may stand.
_TIME = r"\[[0-9]{1,5}\.[0-9]{2}\]"
_TEXT = r"([^\[\]]|\[[^\]\[0-9][^\]\[]*\])+"
_LABEL = r"\[S[0-9]{2,3}\]"
SEGMENTS_GRAMMAR = f"start: SEGMENTS?\nSEGMENTS: /({_TIME}{_TEXT}{_TIME})+/"
SPEAKER_SEGMENTS_GRAMMAR = f"start: SEGMENTS?\nSEGMENTS: /({_TIME}{_LABEL}{_TEXT}{_TIME})+/"
SPEAKERS_GRAMMAR = f"start: SENTENCES?\nSENTENCES: /({_LABEL}{_TEXT})+/"

_SPEAKER = re.compile(r"\s*\[\s*(S\d{1,3})\s*\]\s*", re.ASCII)

# Quick speech is 5 words a second, some 8 tokens; a short sentence's two times are 14 more.
TOKENS_PER_SECOND = 20
FEWEST_TOKENS = 64

Timestamps = Literal["segment", "none"]


@dataclass(frozen=True)
class Transcribe(Task):
    """`timestamps` "segment" asks for a start and an end of each sentence, "none" for plain text.
    `speakers` asks who says it. `language` is told to the model as a hint. `custom_prompt` replaces
    the instruction and keeps the form in which the answer is read."""

    timestamps: Timestamps = "segment"
    speakers: bool = False
    language: str | None = None
    custom_prompt: str | None = None
    name: TaskName = "transcribe"
    needs_speech: ClassVar[bool] = True

    @property
    def questions(self) -> tuple[Question, ...]:
        if self.custom_prompt is not None:
            return (Question(self.custom_prompt),)
        question = _QUESTIONS[self.timestamps, self.speakers]
        hint = f" The audio is in {self.language}." if self.language else ""
        return (replace(question, prompt=question.prompt + hint),)

    @property
    def params(self) -> dict[str, Any]:
        return {"timestamps": self.timestamps, "speakers": self.speakers, "language": self.language}

    @property
    def is_usual(self) -> bool:
        return not (self.custom_prompt or self.speakers or self.language)

    def max_new_tokens(self, duration_s: float) -> int:
        return FEWEST_TOKENS + math.ceil(duration_s * TOKENS_PER_SECOND)

    def read(self, answers: Sequence[str], span: Span) -> Reading:
        answer = answers[0]
        if self.timestamps == "none":
            return Reading(Transcription(language=self.language), " ".join(answer.split()))
        reading = read_timestamps(answer, span.duration_s)
        segments = tuple(segment for timed in reading.segments for segment in self._segments(timed, span))
        text = join_texts(s.text for s in segments)
        result = Transcription(language=self.language, segments=segments)
        return Reading(result, text, tuple(_notices(reading.untimed, reading.repaired, span)))

    def _segments(self, timed: TimedText, span: Span) -> Iterable[Segment]:
        """One segment; of a text with several speakers in it, one each, all over the same time."""
        start, end = _within(timed.start_s, span), _within(timed.end_s, span)
        if not self.speakers:
            yield Segment(start=start, end=end, text=timed.text)
            return
        before, *labelled = _SPEAKER.split(timed.text)
        parts = [(None, before), *zip(labelled[::2], labelled[1::2], strict=True)]
        for speaker, text in parts:
            if text.strip():
                yield Segment(start=start, end=end, text=text.strip(), speaker=speaker)


_QUESTIONS: dict[tuple[Timestamps, bool], Question] = {
    ("segment", False): Question(PROMPT_SEGMENTS, SEGMENTS_GRAMMAR),
    ("none", False): Question(PROMPT_PLAIN),
    ("segment", True): Question(PROMPT_SPEAKER_SEGMENTS, SPEAKER_SEGMENTS_GRAMMAR),
    ("none", True): Question(PROMPT_SPEAKERS, SPEAKERS_GRAMMAR),
}


def _within(time_s: float, span: Span) -> float:
    """A clip's time as the file's, rounded to milliseconds without passing the clip's end."""
    return min(round(span.start_s + time_s, 3), math.floor(span.end_s * 1000) / 1000)


def _notices(untimed: bool, repaired: bool, span: Span) -> Iterable[Notice]:
    if untimed:
        message = "the model gave no times; the text stands over the whole range"
        yield Notice(code="times_missing", message=message, start=span.start_s, end=span.end_s)
    elif repaired:
        message = "some of the model's times were missing, out of order or outside the clip, and were bounded"
        yield Notice(code="times_repaired", message=message, start=span.start_s, end=span.end_s)


def join_texts(texts: Iterable[str]) -> str:
    """Sentences as running text: a space between them, none between ideographs."""
    joined = ""
    for text in texts:
        gap = " " if joined and text and not (_wide(joined[-1]) and _wide(text[0])) else ""
        joined += gap + text
    return joined


def _wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF" and not "\uac00" <= character <= "\ud7a3"
