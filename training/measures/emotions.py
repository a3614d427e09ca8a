"""The figures of the `emotion` command: emotions right, and changes found when they come."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

COLLAR_S = 0.5
NOTHING = "nothing"  # stands in the confusion table for what was not said

Segments = Sequence[Mapping[str, Any]]


def measure_emotions(
    labels: Sequence[Mapping[str, Any]], envelopes: Mapping[str, Mapping[str, Any]], *, collar_s: float = COLLAR_S
) -> dict[str, Any]:
    """Compare envelopes (by file name) with rows of labels.jsonl.

    `overall`: share of the clips that have it right. `labels`: share of the true segments whose emotion is that of
    the said segment that overlaps most. `sequence`: share of the clips with just the right emotions in order.
    `change_recall`: share of the true changes with a said one within `collar_s`, whatever the emotions;
    `change_precision`: share of the said changes with a true one there. A change lies in the middle between two
    segments. `confusion`: rows are the emotions of true segments, columns the said ones. A clip without
    an envelope, or whose envelope has no result, is all wrong.
    """
    overall = sequence = n_segments = right = n_true = n_said = n_found = 0
    confusion: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in labels:
        truth = row["result"]
        result = envelopes.get(row["file"], {}).get("result") or {}
        said: Segments = result.get("segments") or ()
        overall += bool(result) and result.get("overall") == truth["overall"]
        sequence += [s["emotion"] for s in said] == [s["emotion"] for s in truth["segments"]]
        for segment in truth["segments"]:
            heard = _at(segment, said)
            confusion[segment["emotion"]][heard] += 1
            right += heard == segment["emotion"]
        n_segments += len(truth["segments"])
        true_s, said_s = changes(truth["segments"]), changes(said)
        n_true, n_said = n_true + len(true_s), n_said + len(said_s)
        n_found += n_matched(true_s, said_s, collar_s)
    return {
        "n_clips": len(labels),
        "n_segments": n_segments,
        "n_changes": n_true,
        "overall": _share(overall, len(labels)),
        "labels": _share(right, n_segments),
        "sequence": _share(sequence, len(labels)),
        "change_recall": _share(n_found, n_true),
        "change_precision": _share(n_found, n_said),
        "confusion": {label: dict(columns) for label, columns in confusion.items()},
    }


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _at(segment: Mapping[str, Any], said: Segments) -> str:
    """The emotion of the said segment that overlaps most; of equals, the first."""
    overlaps = [min(segment["end"], one["end"]) - max(segment["start"], one["start"]) for one in said]
    longest = max(overlaps, default=0.0)
    return str(said[overlaps.index(longest)]["emotion"]) if longest > 0 else NOTHING


def changes(segments: Segments) -> list[float]:
    """When the emotion changes, s: in the middle between two segments of different ones."""
    return [(a["end"] + b["start"]) / 2 for a, b in pairwise(segments) if a["emotion"] != b["emotion"]]


def n_matched(truth_s: Sequence[float], said_s: Sequence[float], collar_s: float = COLLAR_S) -> int:
    """How many times can be paired in order, each once, no further apart than the collar."""
    i = j = found = 0
    truth, said = sorted(truth_s), sorted(said_s)
    while i < len(truth) and j < len(said):
        if abs(truth[i] - said[j]) <= collar_s + 1e-6:
            i, j, found = i + 1, j + 1, found + 1
        elif truth[i] < said[j]:
            i += 1
        else:
            j += 1
    return found
