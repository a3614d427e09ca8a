"""The figures of the `music` command: tempo, key, instruments, section changes, and what was taken for what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

TEMPO_TOLERANCE = 0.04  # of the true tempo
CHANGE_COLLAR_S = 1.0
NOTHING = "nothing"  # stands for what is missing on either side of a confusion table

Table = dict[str, dict[str, int]]


def measure_music(
    labels: Sequence[Mapping[str, Any]], envelopes: Mapping[str, Mapping[str, Any]]
) -> dict[str, float | Table]:
    """Compare envelopes (by file name) with rows of labels.jsonl.

    `tempo`: share of the clips whose tempo is within 4 % of the true one; `key` (tonic and mode), `mode`, `style`,
    `mood`: shares that are right. `instrument_f1`, `instrument_precision`, `instrument_recall`: over all clips
    together. `change_f1`, `change_recall`: points at which one section ends and the next begins, right within
    1 s, each matched once. `key_confusion`, `mode_confusion`, `style_confusion`, `mood_confusion` and
    `instrument_confusion`: rows are true, columns are said; a missed instrument stands against those that the
    clip's answer wrongly named. A clip without an envelope, or
    whose envelope has no result, is all wrong.
    """
    right: dict[str, int] = dict.fromkeys(("tempo", "key", "mode", "style", "mood"), 0)
    instruments, changes = _Counts(), _Counts()
    taken: dict[str, Table] = {name: defaultdict(lambda: defaultdict(int)) for name in ("key", "style", "mood")}
    modes: Table = defaultdict(lambda: defaultdict(int))
    names: Table = defaultdict(lambda: defaultdict(int))
    for row in labels:
        truth = row["result"]
        said = envelopes.get(row["file"], {}).get("result") or {}
        for name, is_right in _judged(truth, said).items():
            right[name] += is_right
        for name, table in taken.items():
            table[truth[name]][said.get(name) or NOTHING] += 1
        modes[_mode(truth)][_mode(said)] += 1
        true_names, said_names = set(truth["instruments"]), set(said.get("instruments") or ())
        instruments.add(len(true_names & said_names), len(true_names), len(said_names))
        _confuse(names, true_names, said_names)
        true_changes, said_changes = (change_points(result.get("sections") or ()) for result in (truth, said))
        changes.add(n_near(true_changes, said_changes), len(true_changes), len(said_changes))
    return {
        "n_clips": len(labels),
        **{name: _share(count, len(labels)) for name, count in right.items()},
        "instrument_f1": instruments.f1,
        "instrument_precision": _share(instruments.found, instruments.said),
        "instrument_recall": _share(instruments.found, instruments.true),
        "change_f1": changes.f1,
        "change_recall": _share(changes.found, changes.true),
        **{f"{name}_confusion": _plain(table) for name, table in taken.items()},
        "mode_confusion": _plain(modes),
        "instrument_confusion": _plain(names),
    }


class _Counts:
    """How many there are, how many were said, and how many of these are right."""

    def __init__(self) -> None:
        self.found = self.true = self.said = 0

    def add(self, found: int, true: int, said: int) -> None:
        self.found, self.true, self.said = self.found + found, self.true + true, self.said + said

    @property
    def f1(self) -> float:
        return _share(2 * self.found, self.true + self.said)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _plain(table: Table) -> Table:
    return {name: dict(columns) for name, columns in table.items()}


def _mode(result: Mapping[str, Any]) -> str:
    return (result.get("key") or NOTHING).split(" ")[-1]


def _judged(truth: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, bool]:
    true_bpm, said_bpm = truth["tempo_bpm"], said.get("tempo_bpm")
    return {
        "tempo": said_bpm is not None and abs(said_bpm - true_bpm) <= TEMPO_TOLERANCE * true_bpm + 1e-9,
        "mode": _mode(said) == _mode(truth),
        **{name: said.get(name) == truth[name] for name in ("key", "style", "mood")},
    }


def _confuse(table: Table, true_names: set[str], said_names: set[str]) -> None:
    missed, wrong = sorted(true_names - said_names), sorted(said_names - true_names)
    for name in true_names & said_names:
        table[name][name] += 1
    for name in missed:
        for other in wrong or [NOTHING]:
            table[name][other] += 1
    for other in wrong if not missed else ():
        table[NOTHING][other] += 1


def change_points(sections: Sequence[Mapping[str, Any]]) -> list[float]:
    """Times at which a section begins that is not the first, in order."""
    return sorted(section["start"] for section in sections)[1:]


def n_near(true_s: Sequence[float], said_s: Sequence[float], collar_s: float = CHANGE_COLLAR_S) -> int:
    """How many points can be paired within the collar, each once. Both are in order: the earliest
    partner that is left is always as good as any."""
    n_pairs = at = 0
    for time_s in true_s:
        while at < len(said_s) and said_s[at] < time_s - collar_s - 1e-6:
            at += 1
        if at < len(said_s) and said_s[at] <= time_s + collar_s + 1e-6:
            n_pairs, at = n_pairs + 1, at + 1
    return n_pairs
