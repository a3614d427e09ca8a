"""Questions on speech, sounds and both: what the `ask` command is asked in training and when it is measured."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from moss_cli.span import Span
from moss_cli.tasks.ask import Ask
from moss_cli.tasks.reading.task import Focus
from training.domains import questions_sounds, questions_speech, questions_steps
from training.domains.questions_asking import Found, Kind, called, placed
from training.domains.questions_choices import choices
from training.domains.questions_clips import Clip, draw_clip
from training.domains.questions_parts import Banked, Parts, Rendered
from training.domains.questions_wordings import worded
from training.examples import Asked, Example, in_json, may_think, tenths, thought_over

__all__ = ["KINDS", "STEPS", "Banked", "Parts", "Rendered", "example"]

SPEECH, SOUNDS, STEPS = questions_speech.KINDS, questions_sounds.KINDS, questions_steps.KINDS
KINDS: dict[str, Kind] = SPEECH | SOUNDS | STEPS
STEPS_WEIGHT = 1.5  # a kind of question in two steps is asked more often than a plain one

TRIED, MOST_MORE = 12, 4  # of the kinds of question, to ask more about a clip in training

CHOICES_SHARE = 0.25
LETTERS = "ABCD"


@dataclass(frozen=True)
class Asking:
    """A question on a clip, with all that is known of its answer."""

    kind: str
    question: str
    found: Found
    choices: tuple[str, ...]
    think: bool | None
    is_kept: bool  # the wording, for testing

    @property
    def task(self) -> Ask:
        return Ask(self.question, self.choices)

    def focus(self, duration_s: float) -> Focus | None:
        """The part of a clip that the command would hear; None where that is all of it."""
        return self.task.focus(duration_s, Span(0.0, duration_s))


def example(rng: random.Random, parts: Parts, *, reserved: bool) -> Example:
    """A clip of 3 to 14 s and a question on it; `truth` has the question, its choices and how it is thought over.

    Where the command would only hear a part of the clip (see `Ask.focus`), nothing is in `asked`; in training, that
    part becomes the clip, and `truth` is of another question on it, which is in `asked` too."""
    clip, asking = _draw(rng, parts, reserved=reserved)
    if asking.focus(clip.duration_s) is None:
        others = [] if reserved else more(rng, clip, asking)
        return _as_example(clip, asking, [asked(clip, one) for one in (asking, *others)])
    return _as_example(clip, asking, []) if reserved else on_part(rng, clip, asking)


def more(rng: random.Random, clip: Clip, first: Asking) -> list[Asking]:
    """Other questions on a clip that was drawn for one. Those for yes and no are left out: most would be yes."""
    found: dict[str, Asking] = {}
    for name in rng.sample([name for name, kind in KINDS.items() if kind.form != "yes or no"], TRIED):
        asking = _ask(rng, clip, name, reserved=False)
        if asking and asking.question != first.question and asking.focus(clip.duration_s) is None:
            found[asking.question] = asking
    return list(found.values())[:MOST_MORE]


def on_part(rng: random.Random, clip: Clip, asking: Asking) -> Example:
    """The part of a clip that the command would hear, with the question as the command puts it, and another one.
    Raises ValueError for a question that names no such part."""
    focus = asking.focus(clip.duration_s)
    if focus is None:
        raise ValueError("the question is on the whole clip")
    part = clip.part(focus.start_s, focus.end_s)
    inside = replace(asking, found=_within(part, asking.found, -focus.start_s))
    other = None
    while other is None or other.focus(part.duration_s):
        other = _ask(rng, part, "background", reserved=False)
    answers = [asked(part, other), replace(asked(part, inside), prompt=focus.task.questions[0].prompt)]
    is_whole = not any(
        item.start_s < edge_s < item.end_s for item in clip.sentences for edge_s in (focus.start_s, focus.end_s)
    )
    heard = _as_example(part, other, answers)
    return heard if is_whole else replace(heard, spoken=None)


def _draw(rng: random.Random, parts: Parts, *, reserved: bool) -> tuple[Clip, Asking]:
    """A question of some kind, on a clip that was drawn for it."""
    weights = [kind.weight * (STEPS_WEIGHT if name in STEPS else 1.0) for name, kind in KINDS.items()]
    name = rng.choices(list(KINDS), weights)[0]
    while True:
        clip = draw_clip(rng, parts, KINDS[name].wish(rng), reserved=reserved)
        asking = _ask(rng, clip, name, reserved=reserved) if clip else None
        if clip and asking:
            return clip, asking


def _ask(rng: random.Random, clip: Clip, name: str, *, reserved: bool) -> Asking | None:
    kind = KINDS[name]
    found = kind.find(rng, clip)
    if found is None:
        return None
    question, is_kept = worded(rng, found.wording or name, found.slots, reserved=reserved)
    offered = choices(rng, clip, kind.form, found) if rng.random() < CHOICES_SHARE else ()
    return Asking(name, question, found, offered, may_think(rng), is_kept)


def _within(part: Clip, found: Found, by_s: float) -> Found:
    """The answer as it is found in a part of the clip, whose times differ by so much."""
    (asked_about,) = found.items
    heard = min(part.items, key=lambda item: abs(item.start_s - (asked_about.start_s + by_s)))
    return replace(found, items=(heard,), steps=called(part, heard))


def asked(clip: Clip, asking: Asking) -> Asked:
    """The question as the command sends it, and its answer: a letter where there are choices, else JSON."""
    if asking.choices:
        answer = LETTERS[asking.choices.index(asking.found.answer)]
    else:
        evidence = [
            evidence | {side: tenths(evidence[side]) for side in ("start", "end")} for evidence in _evidence(asking)
        ]
        answer = in_json({"answer": asking.found.answer, "evidence": evidence})
    return thought_over(asking.task.questions[0].prompt, thought(clip, asking), answer, asking.think)


def thought(clip: Clip, asking: Asking) -> str:
    """What is asked for, all that is heard in its order, what follows from it, and where there are choices which is
    right: a letter stands after each, so that it is found by what is before it."""
    by_voice = KINDS[asking.kind].by_voice
    about = " ".join(str(slot) for slot in (asking.kind, *asking.found.slots.values()))
    heard = [placed(clip, item, by_voice=by_voice) for item in clip.items]
    lines = [f"asked: {about}", f"heard: {', '.join(heard) or 'no speech and no sounds'}"]
    lines.append(f"found: {asking.found.steps}")
    if asking.choices:
        offered = {choice: f"{choice} {letter}" for choice, letter in zip(asking.choices, LETTERS, strict=False)}
        lines += [f"choices: {', '.join(offered.values())}", f"answer: {offered[asking.found.answer]}"]
    return "\n".join(lines)


def _evidence(asking: Asking) -> list[dict[str, Any]]:
    return [{"start": i.start_s, "end": i.end_s, "text": i.text} for i in asking.found.items]


def _as_example(clip: Clip, asking: Asking, answers: Sequence[Asked]) -> Example:
    rounded = [e | {side: round(e[side], 3) for side in ("start", "end")} for e in _evidence(asking)]
    truth: Mapping[str, Any] = {
        "question": asking.question,
        "choices": list(asking.choices) or None,
        "think": asking.think,
        "result": {"answer": asking.found.answer, "evidence": [] if asking.choices else rounded},
        "settings": {
            **clip.settings,
            "kind": asking.kind,
            "form": KINDS[asking.kind].form,
            "two_step": asking.kind in STEPS,
            "reserved_wording": asking.is_kept,
        },
    }
    return Example(clip.samples, truth, tuple(answers), clip.tracks, clip.families, clip.spoken)
