"""The figures of the `describe-speaker` command: each field right, and what was taken for what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

FIELDS = ("gender", "accent", "pitch", "speed", "volume", "texture", "clarity", "fluency")
UNKNOWN = ("age", "emotion", "tone", "personality")  # never true of what is rendered: null is right
NOTHING = "nothing"  # stands in the confusion tables for what was not said


def measure_voices(labels: Sequence[Mapping[str, Any]], envelopes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Compare envelopes (by file name) with rows of labels.jsonl.

    For every field the share of the clips that have it right; `left_null` is the share of the fields that nobody
    can know which were left null; `summary` the share of summaries right to the word. `confusion` has, for every
    field, rows of true values and columns of said ones. A clip without an envelope, or whose envelope has no
    result, is all wrong.
    """
    right = dict.fromkeys((*FIELDS, "summary"), 0)
    confusion: dict[str, dict[str, dict[str, int]]] = {name: defaultdict(lambda: defaultdict(int)) for name in FIELDS}
    left_null = 0
    for row in labels:
        result = envelopes.get(row["file"], {}).get("result") or {}
        for name in right:
            right[name] += bool(result) and result.get(name) == row["result"][name]
        for name in FIELDS:
            confusion[name][row["result"][name]][result.get(name) or NOTHING] += 1
        left_null += sum(bool(result) and result.get(name) is None for name in UNKNOWN)
    n_clips = len(labels)
    return {
        "n_clips": n_clips,
        **{name: count / n_clips if n_clips else 0.0 for name, count in right.items()},
        "left_null": left_null / (n_clips * len(UNKNOWN)) if n_clips else 0.0,
        "confusion": {name: {true: dict(said) for true, said in table.items()} for name, table in confusion.items()},
    }
