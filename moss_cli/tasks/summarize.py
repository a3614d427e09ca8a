"""Summaries: what was said, the key points, the chapters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from moss_cli.schema import Chapter, Summary, TaskName
from moss_cli.tasks.structured import LONGEST_TEXT, NAMES, SAID, TEXT, Field, grammar, in_json, items, read_json
from moss_cli.tasks.task import Question, Reading, Span, Task

Style = Literal["brief", "bullets", "meeting", "chapters"]

PROMPTS: dict[Style, str] = {
    "brief": "Summarize the audio in two or three sentences.",
    "bullets": "Summarize the audio as a list of its key points.",
    "meeting": "Write the minutes of this meeting: what was discussed, what was decided, and who does what by when.",
    "chapters": "Divide the audio into chapters, each with a title and a short summary, from beginning to end.",
}
_POINTS = NAMES | {"items": {"type": "string", "maxLength": LONGEST_TEXT}}
FIELDS = (
    Field("summary", TEXT),
    Field("key_points", _POINTS, "a list of sentences"),
    Field("chapters", items(title=SAID, summary=TEXT), "a list of start, end, title and summary, in order"),
)


@dataclass(frozen=True)
class Summarize(Task):
    """`style` decides what is asked for; every style fills the same form."""

    style: Style = "brief"
    custom_prompt: str | None = None
    name: TaskName = "summarize"

    @property
    def questions(self) -> tuple[Question, ...]:
        return (Question(in_json(self.custom_prompt or PROMPTS[self.style], FIELDS), grammar(FIELDS)),)

    @property
    def params(self) -> dict[str, Any]:
        return {"style": self.style}

    def max_new_tokens(self, duration_s: float) -> int:
        return 2048

    def read(self, answers: Sequence[str], span: Span) -> Reading:
        found = read_json(answers[0])
        result = Summary(
            summary=found.text("summary"),
            key_points=found.names("key_points"),
            chapters=tuple(
                Chapter(start=start, end=end, title=part.text("title") or "", summary=part.text("summary"))
                for start, end, part in found.timed("chapters", span, "title")
            ),
        )
        return Reading(result, result.summary or "", complete=found.complete)
