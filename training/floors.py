"""The figures that the embedded model is judged by, and the floor of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Form = Literal["share", "F1", "ms", "number"]


@dataclass(frozen=True)
class Figure:
    """One figure: `path` is where it stands among those of its task; `floor` is what it is to reach (None: it is
    told, but has none), at least or, of errors, at most."""

    task: str
    path: tuple[str, ...]
    title: str
    floor: float | None
    form: Form = "share"
    at_most: bool = False

    def of(self, figures: Mapping[str, Any]) -> float | None:
        """Its value among the figures of its task; None where there was nothing to measure."""
        value: Any = figures
        for name in self.path:
            value = value[name]
        return None if value is None else float(value)

    def is_met(self, value: float | None) -> bool | None:
        """Whether a value reaches the floor; None without either."""
        if self.floor is None or value is None:
            return None
        return value <= self.floor if self.at_most else value >= self.floor

    def shown(self, value: float | None) -> str:
        """A value with its unit: `3.2 %`, `31 ms`."""
        if value is None:
            return ""
        return {
            "share": f"{100 * value:.1f} %",
            "F1": f"{value:.3f}",
            "ms": f"{1000 * value:.0f} ms",
            "number": f"{value:.0f}",
        }[self.form]

    @property
    def bound(self) -> str:
        """`≥ 85.0 %`"""
        return "" if self.floor is None else f"{'≤' if self.at_most else '≥'} {self.shown(self.floor)}"


def _speech(voices: str, word_error_rate: float) -> tuple[Figure, ...]:
    def figure(name: str, title: str, floor: float | None, form: Form = "share", at_most: bool = True) -> Figure:
        return Figure("transcribe", (f"{voices} voices", name), f"{title}, {voices} voices", floor, form, at_most)

    return (
        figure("word_error_rate", "word error rate", word_error_rate),
        figure("boundary_error_s", "segment boundaries off by", 0.08, "ms"),
        figure("word_time_error_s", "word times off by", 0.08, "ms"),
        figure("words_timed", "words transcribed and timed", None, at_most=False),
        figure("sentences_found", "sentences found", None, at_most=False),
    )


def _asked(group: str, name: str, title: str, floor: float | None) -> Figure:
    return Figure("ask", (group, name), title, floor)


FIGURES: tuple[Figure, ...] = (
    *_speech("training", 0.03),
    *_speech("reserved", 0.12),
    Figure("empty", ("n_not_empty",), "silence and noise with a transcript", 0, "number", at_most=True),
    Figure("describe-speaker", ("gender",), "gender", 0.95),
    *(Figure("describe-speaker", (name,), name, 0.85) for name in ("pitch", "speed", "volume", "accent")),
    *(Figure("describe-speaker", (name,), name, None) for name in ("texture", "clarity", "fluency")),
    Figure("emotion", ("labels",), "emotions of segments", 0.85),
    Figure("emotion", ("overall",), "emotion of the whole", None),
    Figure("emotion", ("change_recall",), "changes found within 0.5 s", 0.85),
    Figure("emotion", ("change_precision",), "changes said that are there", None),
    Figure("scene", ("event_f1",), "events, both ends within 0.5 s", 0.85, "F1"),
    Figure("scene", ("setting",), "bed named", 0.90),
    Figure("scene", ("atmosphere",), "atmosphere", None),
    Figure("music", ("tempo",), "tempo within 4 %", 0.85),
    Figure("music", ("key",), "key and mode", 0.80),
    Figure("music", ("instrument_f1",), "instruments", 0.85, "F1"),
    *(Figure("music", (name,), name, None) for name in ("style", "mood")),
    Figure("music", ("change_f1",), "section changes within 1 s", None, "F1"),
    _asked("as they are", "accuracy", "all questions, as they are", 0.85),
    _asked("two steps thought over", "accuracy", "all questions, those in two steps with --think", 0.85),
    _asked("with --think", "two_step", "questions in two steps, with --think", 0.80),
    _asked("with --no-think", "two_step", "questions in two steps, with --no-think", None),
    _asked("as they are", "evidence", "evidence, both ends within 0.5 s", None),
    Figure("summarize", ("boundaries",), "clips with every chapter boundary within 1 s", 0.85),
    Figure("summarize", ("facts_present",), "key facts told", 0.90),
    Figure("summarize", ("facts_invented",), "told points that are no fact", 0.0, at_most=True),
    Figure("mixed", ("transcribe", "word_error_rate"), "word error rate of speech over a scene", None),
    Figure("mixed", ("scene", "event_f1"), "events beside speech", None, "F1"),
)
