"""Questions: free ones, ones with choices, and ones without any audio."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pydantic

from moss_cli.answers import Grammar, Turn
from moss_cli.errors import UsageError
from moss_cli.schema import Record, Seconds
from moss_cli.span import Span
from moss_cli.tasks.question_time.find import clock, find_time
from moss_cli.tasks.reading.json_answers import SAID, TEXT, Field, form, in_json, items, read_json
from moss_cli.tasks.reading.merge_rules import (
    PARTS_OF_ONE,
    merged,
    place_of,
    prevailing,
    sentences,
    tidied,
    timeline,
    united,
    weighed,
)
from moss_cli.tasks.reading.task import Focus, Part, Question, Reading, Task

# The model authors' own words; they name four options.
PROMPT_CHOICE = (
    "Choose the most suitable answer from options {letters} for the question on the next line. You should output only "
    "{either}. Do not provide any additional explanations or content.\nQuestion:{question}\n{options}"
)
FIELDS = (
    Field("answer", TEXT, "the answer to the question"),
    Field("evidence", items(text=SAID), "a list of start, end and text: where in the audio the answer comes from"),
)
TEXT_FIELDS = FIELDS[:1]
AROUND_POINT_S = 15.0  # what is heard before and after a moment that a question names
AROUND_RANGE_S = 5.0
LONGEST_S = 1e9  # no file lasts so long: whether a question names a time can be told before its file is opened
MOST_CHOICES = len(string.ascii_uppercase)
CHARACTERS_PER_SECOND = 10  # evidence: a quotation of 100 characters, times included, every 10 s


class Evidence(Record):
    """Where in the file an answer comes from."""

    start: Seconds
    end: Seconds
    text: str = pydantic.Field(description="What is heard there.")


class Answer(Record):
    """Result of `ask`."""

    answer: str | None = pydantic.Field(default=None, description="The answer; with `--choice`, one of them.")
    evidence: tuple[Evidence, ...] = pydantic.Field(default=(), description="Where in the recording it comes from.")


@dataclass(frozen=True)
class Ask(Task[Answer]):
    """`question` is the instruction. With `choices`, the answer is one of them; `has_audio` False
    asks without any recording. A question that names a time is asked about that part of the file. With `turns`, it goes
    on from these.

    Not divisible: what answers a question may lie in one half, and the other half's answer to it is wrong.
    """

    question: str
    choices: tuple[str, ...] = ()
    has_audio: bool = True
    turns: tuple[Turn, ...] = ()
    place: str = ""  # where in the recording the audio lies, told to the model with the question
    name: str = "ask"
    result_type: ClassVar[type[Answer]] = Answer
    shows: ClassVar[bool] = True

    @property
    def is_usual(self) -> bool:
        return self.has_audio and not self.turns

    @property
    def may_name_a_time(self) -> bool:
        try:
            return find_time(self.question, LONGEST_S) is not None
        except UsageError:
            return True

    @property
    def questions(self) -> tuple[Question, ...]:
        if self.choices:
            letters = string.ascii_uppercase[: len(self.choices)]
            alternatives = " | ".join(f'"{letter}"' for letter in letters)
            return (Question(self._choice_prompt(letters), Grammar(f"start: {alternatives}")),)
        fields = FIELDS if self.has_audio else TEXT_FIELDS
        prompt = in_json(self._instruction, fields)
        return (Question(prompt, form(fields), n_characters_per_second=CHARACTERS_PER_SECOND),)

    def _choice_prompt(self, letters: str) -> str:
        options = "\n".join(f"{letter}. {choice}" for letter, choice in zip(letters, self.choices, strict=True))
        return PROMPT_CHOICE.format(
            letters=_listed(letters, "and"), either=_listed(letters, "or"), question=self._instruction, options=options
        )

    @property
    def _instruction(self) -> str:
        return f"{self.question.rstrip()} {self.place}".rstrip()

    def focus(self, duration_s: float, chosen: Span) -> Focus | None:
        asked = find_time(self.question, duration_s) if self.has_audio and not self.place else None
        if asked is None:
            return None
        if asked.start_s > chosen.end_s or asked.end_s < chosen.start_s:
            raise UsageError(
                f"the question asks about {clock(asked.start_s)}, which is outside the part from "
                f"{clock(chosen.start_s)} to {clock(chosen.end_s)}",
                hint="times in a question count from the start of the file; drop --start and --end",
                code="range",
            )
        around = AROUND_POINT_S if asked.start_s == asked.end_s else AROUND_RANGE_S
        start, end = max(chosen.start_s, asked.start_s - around), min(chosen.end_s, asked.end_s + around)
        if start == 0 and end >= duration_s:
            return None  # all of it, as it is
        first, last = max(asked.start_s, start) - start, min(asked.end_s, end) - start
        # The model's time markers count from the start of what it hears.
        place = (
            f"(You hear the part of the recording from {start:.0f} to {end:.0f} seconds; what is asked about lies "
            f"from {first:.0f} to {last:.0f} seconds into it.)"
        )
        return Focus(replace(self, place=place), start, end)

    @property
    def params(self) -> dict[str, Any]:
        turns = tuple({"question": turn.question, "answer": turn.answer} for turn in self.turns)
        return {"question": self.question, "choices": self.choices or None, "turns": turns or None}

    def read(self, answers: Sequence[str], span: Span) -> Reading[Answer]:
        if self.choices:
            return self._read_choice(answers[0])
        found = read_json(answers[0], FIELDS if self.has_audio else TEXT_FIELDS)
        said = (
            Evidence(start=start, end=end, text=part.text("text") or "")
            for start, end, part in found.timed("evidence", span, "text")
        )
        evidence = tidied(said, lambda item: item.text, _joined)
        result = Answer(answer=found.text("answer"), evidence=evidence)
        return Reading(result, result.answer or "", complete=found.complete, cut=found.cut)

    def shown(self, answer: str) -> str | None:
        return None if self.choices else read_json(answer, FIELDS).text("answer")

    def merge(self, parts: Sequence[Part[Answer]]) -> Reading[Answer]:
        """Every piece's evidence; the choice that holds for most of the recording, or what the pieces say in turn."""
        if self.choices:
            answer = prevailing(weighed(parts, lambda one: one.answer))
        else:
            answer = sentences(part.reading.result.answer for part in parts)
        evidence = timeline(parts, lambda one: one.evidence, lambda item: item.text, _joined)
        return merged(Answer(answer=answer, evidence=evidence), answer or "", parts)

    def over(self, parts: Sequence[Part[Answer]]) -> Task[Answer] | None:
        """The question again, about what the pieces gave as answers."""
        notes = "\n".join(f"{place_of(part.span)}: {part.reading.result.answer or 'nothing on this'}" for part in parts)
        question = f"{PARTS_OF_ONE} Each answers this question for its part alone: {self.question}\n\n{notes}\n\n"
        question += f"Now answer it for the whole recording: {self.question}"
        return replace(self, question=question, has_audio=False, place="")

    def with_overall(self, merged: Reading[Answer], overall: Reading[Answer]) -> Reading[Answer]:
        """The model's answer for the whole; the evidence is the pieces'."""
        result = merged.result.model_copy(update={"answer": overall.result.answer})
        return replace(merged, result=result, text=overall.text, cut=united([merged.cut, overall.cut]))

    def _read_choice(self, answer: str) -> Reading[Answer]:
        letter = answer.strip()[:1].upper()
        place = string.ascii_uppercase.find(letter) if letter else -1
        chosen = self.choices[place] if 0 <= place < len(self.choices) else None
        return Reading(Answer(answer=chosen), chosen or "", complete=chosen is not None)


def _joined(first: Evidence, second: Evidence) -> Evidence:
    return first.model_copy(update={"end": max(first.end, second.end)})


def _listed(letters: str, word: str) -> str:
    """`A, B, C, and D`, as the maintainers write it; `A or B`."""
    if len(letters) < 3:
        return f" {word} ".join(letters)
    return f"{', '.join(letters[:-1])}, {word} {letters[-1]}"
