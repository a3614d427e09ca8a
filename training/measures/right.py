"""Whether one answer is wholly right: every figure of its task is as good as it can be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from training.measures.emotions import measure_emotions
from training.measures.meetings import measure_meetings
from training.measures.music import measure_music
from training.measures.questions import measure_questions
from training.measures.scenes import measure_scenes
from training.measures.voices import FIELDS, measure_voices

Row = Mapping[str, Any]
Measure = Callable[[Sequence[Row], Mapping[str, Row]], dict[str, Any]]

# The figures that are 1 where everything is right; None stands for what there is nothing of.
PERFECT: dict[str, tuple[Measure, tuple[str, ...]]] = {
    "describe-speaker": (measure_voices, (*FIELDS, "summary", "left_null")),
    "emotion": (measure_emotions, ("overall", "labels", "sequence")),
    "scene": (measure_scenes, ("event_f1", "setting", "atmosphere")),
    "music": (measure_music, ("tempo", "key", "instrument_f1", "style", "mood")),
    "ask": (measure_questions, ("accuracy", "evidence")),
    "summarize": (measure_meetings, ("boundaries", "facts_present", "clips_without_invented", "titles", "summaries")),
}


def is_right(task: str, row: Row, envelope: Row) -> bool:
    """Whether an envelope has all that is true of a clip and nothing else. Raises KeyError for a task that is not in
    PERFECT."""
    measure, names = PERFECT[task]
    figures = measure([row], {row["file"]: envelope})
    return envelope.get("status") == "ok" and all(figures[name] in (1, None) for name in names)
