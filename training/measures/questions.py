"""How many questions are answered rightly: in all, by kind, in two steps, thought over or not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jiwer import wer

MOST_WORD_ERRORS = 0.2  # in what is said, as a share
TOLERANCE_S = 0.25  # of times that are asked for to a tenth
EVIDENCE_S = 0.5  # how far each end of the evidence may lie off
NOTHING = "(none)"

Row = Mapping[str, Any]


def measure_questions(labels: Sequence[Row], envelopes: Mapping[str, Row]) -> dict[str, Any]:
    """Shares from 0 to 1, None where there was no such question.

    `accuracy` is over all, `two_step` over the questions in two steps; `two_step_plain` and `two_step_thought`
    are those that were answered without a thought and with one, `two_step_unanswered` the share that had no answer
    at all. `by_kind`, `by_wording` and `by_voices` part all questions; `evidence` is the share with the right places
    among those that have any. `confusion` has what was answered for closed answers, by what was right."""
    right = {row["file"]: is_right(row, _answer(envelopes.get(row["file"]))) for row in labels}
    two_step = [row for row in labels if row["settings"]["two_step"]]
    thought = {row["file"] for row in two_step if (envelopes.get(row["file"]) or {}).get("thinking")}
    answered = {row["file"] for row in two_step if _answer(envelopes.get(row["file"])) is not None}
    return {
        "n": len(labels),
        "accuracy": _share(right[row["file"]] for row in labels),
        "two_step": _share(right[row["file"]] for row in two_step),
        "two_step_plain": _share(right[row["file"]] for row in two_step if row["file"] in answered - thought),
        "two_step_thought": _share(right[row["file"]] for row in two_step if row["file"] in answered & thought),
        "two_step_unanswered": _share(row["file"] not in answered for row in two_step),
        "with_choices": _share(right[row["file"]] for row in labels if row["choices"]),
        "by_kind": _parted(labels, right, lambda row: str(row["settings"]["kind"])),
        "by_wording": _parted(labels, right, lambda row: _name(row, "reserved_wording")),
        "by_voices": _parted(labels, right, lambda row: _name(row, "reserved_voices")),
        "evidence": _share(
            _has_evidence(row, envelopes.get(row["file"])) for row in labels if row["result"]["evidence"]
        ),
        "confusion": _confusion(labels, envelopes),
    }


def is_right(row: Row, answer: str | None) -> bool:
    """Whether an answer is the right one: of what is said, up to MOST_WORD_ERRORS; of times to a tenth, up to
    TOLERANCE_S; of all else, the same but for case, blanks and a full stop. Choices are compared whole."""
    wanted, got = _plain(row["result"]["answer"]), _plain(answer or "")
    if wanted == got:
        return True
    if not got or row["choices"]:
        return False
    form = row["settings"]["form"]
    if form == "sentence":
        return bool(wer(wanted, got) <= MOST_WORD_ERRORS)
    if form == "seconds":
        return _is_near(wanted, got)
    return False


def _plain(text: str) -> str:
    return " ".join(text.lower().split()).rstrip(".")


def _is_near(wanted: str, got: str) -> bool:
    number, unit = wanted.split()
    first, *rest = got.split()
    if rest not in ([], [unit], ["s"], ["second"]):
        return False
    try:
        off_s = abs(float(first.rstrip("s")) - float(number))
    except ValueError:
        return False
    return off_s <= (TOLERANCE_S if "." in number else 0) + 1e-6


def _answer(envelope: Row | None) -> str | None:
    """What was answered; None where the command failed or knew nothing."""
    result = (envelope or {}).get("result") or {}
    answer = result.get("answer")
    return answer if isinstance(answer, str) else None


def _has_evidence(row: Row, envelope: Row | None) -> bool:
    """Whether each place of the truth is among those given, and no other is."""
    given = ((envelope or {}).get("result") or {}).get("evidence") or []
    wanted = row["result"]["evidence"]
    return len(given) == len(wanted) and all(
        abs(one[side] - other[side]) <= EVIDENCE_S
        for one, other in zip(wanted, given, strict=True)
        for side in ("start", "end")
    )


def _share(values: Iterable[bool]) -> float | None:
    known = list(values)
    return sum(known) / len(known) if known else None


def _name(row: Row, setting: str) -> str:
    return "reserved" if row["settings"].get(setting) else "trained"


def _parted(labels: Sequence[Row], right: Mapping[str, bool], part: Any) -> dict[str, float]:
    parts: dict[str, list[bool]] = defaultdict(list)
    for row in labels:
        parts[part(row)].append(right[row["file"]])
    return {name: sum(values) / len(values) for name, values in sorted(parts.items())}


def _confusion(labels: Sequence[Row], envelopes: Mapping[str, Row]) -> dict[str, dict[str, int]]:
    """Of yes and no, persons, sounds and backgrounds: how often each answer was given where each was right."""
    table: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in labels:
        if row["settings"]["form"] in ("yes or no", "person", "sound", "background"):
            got = _answer(envelopes.get(row["file"]))
            table[_plain(row["result"]["answer"])][_plain(got) if got else NOTHING] += 1
    return {wanted: dict(given) for wanted, given in sorted(table.items())}
