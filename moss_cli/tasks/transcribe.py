"""Transcription: what to ask, and how the answer becomes segments."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import pydantic

from moss_cli.answers import Form, Grammar
from moss_cli.errors import UsageError
from moss_cli.schema import Notice, Record
from moss_cli.span import Span
from moss_cli.tasks.reading.channels import by_speaker, together
from moss_cli.tasks.reading.merge_rules import join_texts, merged
from moss_cli.tasks.reading.task import Part, Question, Reading, Task
from moss_cli.tasks.reading.timed import Segment
from moss_cli.tasks.reading.timestamps import TimedText, drafts, read_timestamps
from moss_cli.tasks.reading.transcripts import Pieces, TranscriptMerging, by_piece, merged_segments, told_apart
from moss_cli.tasks.reading.untold import EDGE_S, untold_speech
from moss_cli.tasks.reading.words import with_words

Timestamps = Literal["segment", "word", "none"]

# The model authors' own words; the models are known to work with them as they stand.
PROMPT_PLAIN = "Transcribe the audio."
PROMPT_SEGMENTS = (
    "Transcribe the audio into sentence-level timestamps using the format [xx.xx]text[yy.yy], where xx.xx and yy.yy "
    "are millisecond-precision timestamps rounded to two decimal places. Concatenate consecutive segments without "
    "breaks, for example [0.00]hello there[2.01][2.01]the weather is nice today[4.32]. Exclude any additional "
    "content such as explanations, headings, or annotations."
)
# Words were trained too, but no prompt for them was published; this one is in the manner of the one for sentences.
PROMPT_WORDS = (
    "Transcribe the audio into word-level timestamps using the format [xx.xx]word[yy.yy], where xx.xx and yy.yy are "
    "millisecond-precision timestamps rounded to two decimal places. Concatenate consecutive words without breaks, for "
    "example [0.00]hello[0.31][0.31]there[0.60]. Exclude any additional content such as explanations, headings, or "
    "annotations."
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

# What is added to an instruction of the user's own, so that it asks for the form in which the answer is read.
_FORMS: dict[tuple[Timestamps, bool], str] = {
    ("segment", False): " Write every sentence between its start and end time in seconds, as in [0.00]text[1.50].",
    ("none", False): "",
    ("segment", True): " Write every sentence between its start time, a speaker label and its end time, as in "
    "[0.00][S01]text[1.50].",
    ("none", True): " Begin every sentence with a speaker label, as in [S01]text.",
}

# `[x.xx]text[y.yy]`, any number of times. In the text, brackets that hold no number may stand.
_TIME = r"\[[0-9]{1,5}\.[0-9]{2}\]"
_TEXT = r"([^\[\]]|\[[^\]\[0-9][^\]\[]*\])+"
_LABEL = r"\[S[0-9]{2,3}\]"
SEGMENTS_FORM = Grammar(f"start: SEGMENTS?\nSEGMENTS: /({_TIME}{_TEXT}{_TIME})+/")
SPEAKER_SEGMENTS_FORM = Grammar(f"start: SEGMENTS?\nSEGMENTS: /({_TIME}{_LABEL}{_TEXT}{_TIME})+/")
SPEAKERS_FORM = Grammar(f"start: SENTENCES?\nSENTENCES: /({_LABEL}{_TEXT})+/")

_SPEAKER = re.compile(r"\s*\[\s*(S\d{1,3})\s*\]\s*", re.ASCII)

TIMES_MISSING, TIMES_REPAIRED = "times_missing", "times_repaired"  # codes of warnings

# Quick speech is 5 words a second, some 8 tokens; a short sentence's two times are 14 more; a token is
# a character at least.
CHARACTERS_PER_SECOND = 20
FEWEST_CHARACTERS = 64
CHARACTERS_PER_SECOND_WORDS = 90  # each word has two times of its own


class Transcription(Record):
    """Result of `transcribe`."""

    language: str | None = pydantic.Field(default=None, description="As it was named by `--language`.")
    segments: tuple[Segment, ...] = pydantic.Field(default=(), description="What is said, in order.")


@dataclass(frozen=True)
class Transcribe(Task[Transcription]):
    """`timestamps` "segment" asks for a start and an end of each sentence, "word" for those of each word as
    well, "none" for plain text. `speakers` asks who says it. `language` is told to the model as a hint.
    `custom_prompt` replaces the instruction and keeps the form in which the answer is read."""

    timestamps: Timestamps = "segment"
    speakers: bool = False
    language: str | None = None
    custom_prompt: str | None = None
    name: str = "transcribe"
    result_type: ClassVar[type[Transcription]] = Transcription
    needs_speech: ClassVar[bool] = True
    is_divisible: ClassVar[bool] = True
    ignores_pauses: ClassVar[bool] = True
    untold_code: ClassVar[str] = "untranscribed"
    untold_message: ClassVar[str] = "somebody speaks here, and the model gave no text for it"

    @property
    def questions(self) -> tuple[Question, ...]:
        hint = f" The audio is in {self.language}." if self.language else ""
        form: tuple[Timestamps, bool] = ("none" if self.timestamps == "none" else "segment", self.speakers)
        first = _QUESTIONS[form]
        prompt = first.prompt if self.custom_prompt is None else self.custom_prompt.rstrip() + _FORMS[form]
        first = replace(first, prompt=prompt + hint)
        if self.timestamps != "word":
            return (first,)
        return (first, replace(_WORDS, prompt=_WORDS.prompt + hint))

    @property
    def params(self) -> dict[str, Any]:
        return {"timestamps": self.timestamps, "speakers": self.speakers, "language": self.language}

    @property
    def is_usual(self) -> bool:
        return super().is_usual and not (self.speakers or self.language)

    def read(self, answers: Sequence[str], span: Span) -> Reading[Transcription]:
        answer = answers[0]
        if self.timestamps == "none":
            return Reading(Transcription(language=self.language), " ".join(answer.split()))
        timed = read_timestamps(answer, span.duration_s)
        segments = tuple(segment for text in timed.texts for segment in self._segments(text, span))
        text = join_texts(s.text for s in segments)
        found = tuple(_notices(timed.untimed, timed.repaired, span))
        if self.timestamps == "word" and segments:
            segments = tuple(with_words(segments, drafts(answers[1]), span))
            found += tuple(_words_missing(segments, span))
        return Reading(Transcription(language=self.language, segments=segments), text, found)

    def untold(self, reading: Reading[Transcription], span: Span, heard: Sequence[Span]) -> tuple[Span, ...]:
        """Speech without text; all of a clip whose text, without times, is too short for what is said in it."""
        if self.timestamps != "none":
            are_sure = not any(notice.code in (TIMES_MISSING, TIMES_REPAIRED) for notice in reading.notices)
            return untold_speech(reading.result.segments, heard, times_are_sure=are_sure)
        line = Segment(start=span.start_s, end=span.end_s, text=reading.text)
        return (span,) if untold_speech([line] if reading.text else [], heard) else ()

    def untold_of_parts(self, merged: Reading[Transcription], span: Span, heard: Sequence[Span]) -> tuple[Span, ...]:
        """What is too short in each part to be noticed may not be so in all of them."""
        return self.untold(merged, span, heard)

    def told(self, reading: Reading[Transcription], spans: Sequence[Span]) -> list[Reading[Transcription]]:
        """Each segment in the last stretch that begins before it. One that goes on into what is untold ends there."""
        starts, shared = [span.start_s for span in spans], list[list[Segment]]([[] for _ in spans])
        for one in reading.result.segments:
            place = max(bisect_right(starts, one.start + EDGE_S) - 1, 0)
            end = max(one.start, min(one.end, _within(spans[place].duration_s, spans[place])))
            shared[place].append(one if end == one.end else _ended(one, end))
        return [
            replace(
                reading,
                result=reading.result.model_copy(update={"segments": tuple(own)}),
                text=join_texts(one.text for one in own),
                notices=() if place else reading.notices,
            )
            for place, own in enumerate(shared)
        ]

    def check_channels(self) -> None:
        if self.speakers:
            raise UsageError("--speakers and --channel each both say who speaks", hint="drop one of them")
        if self.timestamps == "none":
            message = "--channel each puts what the channels say in the order of its times"
            raise UsageError(message, hint="drop --timestamps none")

    def merge(self, parts: Sequence[Part[Transcription]]) -> Reading[Transcription]:
        """The segments of all pieces; of channels that were heard each by itself, each a speaker's."""
        channels = by_speaker(parts)
        if not channels:
            return self._merge(parts)
        segments = together((name, self._merge(own).result.segments) for name, own in channels.items())
        return merged(self._result(segments), join_texts(one.text for one in segments), parts)

    def _merge(self, parts: Sequence[Part[Transcription]]) -> Reading[Transcription]:
        """The segments of all pieces, those of pieces that overlap spliced where both have heard the same; of texts
        without times, the words that both have are written once."""
        several = by_piece(parts, self._pieces)
        segments = merged_segments(parts, self._pieces, speakers=several)
        text = join_texts(segment.text for segment in segments)
        return merged(self._result(segments), text, parts, more=told_apart(several))

    def merging(self) -> TranscriptMerging[Transcription]:
        return TranscriptMerging(self._pieces, self._result)

    @property
    def _pieces(self) -> Pieces:
        return Pieces(lambda result: result.segments, timed=self.timestamps != "none", speakers=self.speakers)

    def _result(self, segments: Iterable[Segment]) -> Transcription:
        own = () if self.timestamps == "none" else tuple(segments)
        return Transcription(language=self.language, segments=own)

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


def _question(prompt: str, form: Form | None = None, per_second: int = CHARACTERS_PER_SECOND) -> Question:
    return Question(prompt, form, FEWEST_CHARACTERS, per_second, n_least=FEWEST_CHARACTERS)


_QUESTIONS: dict[tuple[Timestamps, bool], Question] = {
    ("segment", False): _question(PROMPT_SEGMENTS, SEGMENTS_FORM),
    ("none", False): _question(PROMPT_PLAIN),
    ("segment", True): _question(PROMPT_SPEAKER_SEGMENTS, SPEAKER_SEGMENTS_FORM),
    ("none", True): _question(PROMPT_SPEAKERS, SPEAKERS_FORM),
}
_WORDS = _question(PROMPT_WORDS, SEGMENTS_FORM, CHARACTERS_PER_SECOND_WORDS)


def _within(time_s: float, span: Span) -> float:
    """A clip's time as the file's, rounded to milliseconds without passing the clip's end."""
    return min(round(span.start_s + time_s, 3), math.floor(span.end_s * 1000) / 1000)


def _ended(segment: Segment, end: float) -> Segment:
    """A segment that ends earlier, and its words with it."""
    words = segment.words and tuple(
        word.model_copy(update={"start": min(word.start, end), "end": min(word.end, end)}) for word in segment.words
    )
    return segment.model_copy(update={"end": end, "words": words})


def _notices(untimed: bool, repaired: bool, span: Span) -> Iterable[Notice]:
    if untimed:
        message = "the model gave no times; the text spans the whole chunk"
        yield Notice(code=TIMES_MISSING, message=message, start=span.start_s, end=span.end_s)
    elif repaired:
        message = "some of the model's times were missing, out of order or outside the chunk, and were corrected"
        yield Notice(code=TIMES_REPAIRED, message=message, start=span.start_s, end=span.end_s)


def _words_missing(segments: Sequence[Segment], span: Span) -> Iterable[Notice]:
    missing = sum(segment.words is None for segment in segments)
    if missing:
        which = "any segment" if missing == len(segments) else f"{missing} of {len(segments)} segments"
        message = f"the model gave no word times for {which}"
        yield Notice(code="words_missing", message=message, start=span.start_s, end=span.end_s)
