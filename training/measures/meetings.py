"""How well meetings are summed up: where chapters begin and end, which facts are told, which are made up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

BOUNDARY_S = 1.0
NOTHING = "(none)"

Row = Mapping[str, Any]


def measure_meetings(labels: Sequence[Row], envelopes: Mapping[str, Row]) -> dict[str, Any]:
    """Shares from 0 to 1; a clip without a result counts as all wrong.

    `boundaries`: of the clips with as many chapters as topics and every start and end within BOUNDARY_S;
    `facts_present`: of all facts; `facts_invented`: of the points that were given, those that are no fact
    of their clip (None where none was given); `clips_without_invented`; `titles`: of the clips with all
    titles in order; `summaries`: of the clips with the very summary. `confusion` is of the titles, in order."""
    given = {row["file"]: (envelopes.get(row["file"]) or {}).get("result") or {} for row in labels}
    facts = [(row["file"], _plain(point)) for row in labels for point in row["result"]["key_points"]]
    told = {name: [_plain(point) for point in result.get("key_points") or []] for name, result in given.items()}
    known = {row["file"]: {_plain(point) for point in row["result"]["key_points"]} for row in labels}
    invented = [(name, point) for name, points in told.items() for point in points if point not in known[name]]
    n_told = sum(map(len, told.values()))
    answered = [row for row in labels if told[row["file"]]]
    return {
        "n": len(labels),
        "boundaries": _share([_has_boundaries(row, given[row["file"]]) for row in labels]),
        "facts_present": _share([point in told[name] for name, point in facts]),
        "facts_invented": len(invented) / n_told if n_told else None,
        "clips_without_invented": _share([row["file"] not in dict(invented) for row in answered]) if answered else 0.0,
        "titles": _share([_titles(row["result"]) == _titles(given[row["file"]]) for row in labels]),
        "summaries": _share(
            [_plain(row["result"]["summary"]) == _plain(given[row["file"]].get("summary") or "") for row in labels]
        ),
        "confusion": _confusion(labels, given),
    }


def _plain(text: str) -> str:
    return " ".join(text.lower().split()).rstrip(".")


def _titles(result: Row) -> list[str]:
    return [_plain(chapter["title"]) for chapter in result.get("chapters") or []]


def _has_boundaries(row: Row, result: Row) -> bool:
    wanted, found = row["result"]["chapters"], result.get("chapters") or []
    return len(wanted) == len(found) and all(
        abs(one[side] - other[side]) <= BOUNDARY_S + 1e-6
        for one, other in zip(wanted, found, strict=True)
        for side in ("start", "end")
    )


def _share(values: Sequence[bool]) -> float:
    return sum(values) / len(values) if values else 0.0


def _confusion(labels: Sequence[Row], given: Mapping[str, Row]) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in labels:
        wanted, found = _titles(row["result"]), _titles(given[row["file"]])
        for i, title in enumerate(wanted):
            table[title][found[i] if i < len(found) else NOTHING] += 1
    return {title: dict(named) for title, named in sorted(table.items())}
