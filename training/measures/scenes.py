"""The figures of the `scene` command: events found, settings named, labels taken for others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

COLLAR_S = 0.5
NOTHING = "nothing"  # stands for what is missing on either side of the confusion table

Events = Sequence[Mapping[str, Any]]


def measure_scenes(
    labels: Sequence[Mapping[str, Any]], envelopes: Mapping[str, Mapping[str, Any]], *, collar_s: float = COLLAR_S
) -> dict[str, Any]:
    """Compare envelopes (by file name) with rows of labels.jsonl.

    `event_f1`, `event_precision`, `event_recall`: over all events together; one is found when an event of
    the same label starts and ends within `collar_s` of it, each matched once. `setting`, `atmosphere`:
    shares of the clips that have it right. `confusion`: rows are true labels, columns those of the
    event that overlaps most; `setting_confusion` is of settings. A clip without an envelope, or whose envelope has
    no result, is all wrong.
    """
    n_true = n_said = n_found = 0
    right = {"setting": 0, "atmosphere": 0}
    confusion: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    settings: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in labels:
        truth = row["result"]
        result = envelopes.get(row["file"], {}).get("result") or {}
        said: Events = result.get("events") or ()
        n_true += len(truth["events"])
        n_said += len(said)
        n_found += n_matched(truth["events"], said, collar_s)
        for name in right:
            right[name] += bool(result) and result.get(name) == truth[name]
        settings[truth["setting"]][result.get("setting") or NOTHING] += 1
        for true_label, said_label in overlapping(truth["events"], said):
            confusion[true_label][said_label] += 1
    return {
        "n_clips": len(labels),
        "n_events": n_true,
        "event_f1": _share(2 * n_found, n_true + n_said),
        "event_precision": _share(n_found, n_said),
        "event_recall": _share(n_found, n_true),
        **{name: _share(count, len(labels)) for name, count in right.items()},
        "confusion": {label: dict(columns) for label, columns in confusion.items()},
        "setting_confusion": {setting: dict(columns) for setting, columns in settings.items()},
    }


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def n_matched(truth: Events, said: Events, collar_s: float = COLLAR_S) -> int:
    """How many events can be paired, each once: equal labels, starts and ends within the collar."""
    partner: dict[int, int] = {}  # index in `said` -> index in `truth`

    def pair(i: int, tried: set[int]) -> bool:
        for j, event in enumerate(said):
            if j not in tried and _same(truth[i], event, collar_s):
                tried.add(j)
                if j not in partner or pair(partner[j], tried):
                    partner[j] = i
                    return True
        return False

    return sum(pair(i, set()) for i in range(len(truth)))


def _same(a: Mapping[str, Any], b: Mapping[str, Any], collar_s: float) -> bool:
    near = all(abs(a[side] - b[side]) <= collar_s + 1e-6 for side in ("start", "end"))
    return near and bool(a["label"] == b["label"])


def overlapping(truth: Events, said: Events) -> list[tuple[str, str]]:
    """Pairs of labels, those that overlap most in time first, each event once; what is left is paired with nothing."""
    overlaps = sorted(
        (
            (min(a["end"], b["end"]) - max(a["start"], b["start"]), i, j)
            for i, a in enumerate(truth)
            for j, b in enumerate(said)
        ),
        key=lambda found: (-found[0], found[1], found[2]),
    )
    left_true, left_said = dict(enumerate(truth)), dict(enumerate(said))
    pairs = []
    for seconds, i, j in overlaps:
        if seconds > 0 and i in left_true and j in left_said:
            pairs.append((left_true.pop(i)["label"], left_said.pop(j)["label"]))
    pairs += [(event["label"], NOTHING) for event in left_true.values()]
    return pairs + [(NOTHING, event["label"]) for event in left_said.values()]
