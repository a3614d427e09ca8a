"""What was measured, for people: the table of the model card, and a page with everything else."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from training.floors import FIGURES
from training.plots import bars, heatmaps

BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
CONFUSION = "confusion"
PLOT = "reached.svg"

Figures = Mapping[str, Mapping[str, Any]]  # by task
Table = Mapping[str, Mapping[str, int]]


def table(figures: Figures) -> str:
    """The figures that have floors, and some that have none, as a Markdown table."""
    rows = []
    for one in FIGURES:
        if one.task in figures:
            value = one.of(figures[one.task])
            met = {True: "yes", False: "no", None: ""}[one.is_met(value)]
            rows.append((one.task, one.title, one.shown(value), one.bound, met))
    return markdown(("task", "figure", "reached", "floor", "met"), rows, "--- --- ---: ---: :---:")


def markdown(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], rule: str = "") -> str:
    """A Markdown table; without a rule all columns but the first are numbers."""
    rules = rule.split() or ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rules, *rows))


def write_card(card: Path, figures: Figures, count: int, page: Path) -> None:
    """Put the table between the card's marks, and where the rest of it lies."""
    there = os.path.relpath(page, card.parent)
    text = (
        f"{count} clips of each kind.\n\n{table(figures)}\n\n![What was reached, and the floors]({there}/{PLOT})\n\n"
        f"All figures and confusion tables: [{page.as_posix()}]({there}/README.md)."
    )
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    card.write_text(pattern.sub(lambda _: f"{BEGIN}\n{text}\n{END}", card.read_text()))


def write_page(folder: Path, figures: Figures, count: int) -> None:
    """All figures in a folder: README.md with tables, a plot of what was reached, and one of each task's confusions."""
    folder.mkdir(parents=True, exist_ok=True)
    reached = [(one, one.of(figures[one.task])) for one in FIGURES if one.task in figures]
    (folder / PLOT).write_text(bars([(one, value) for one, value in reached if value is not None]))
    parts = [
        "# What the embedded model was measured to do\n\nWritten by `python -m training.evaluate --card …`, from "
        f"{count} clips of each kind, rendered from seeds, voices and ranges that are kept for testing "
        "(`training/DOMAIN.md`) and analysed by the real commands.",
        table(figures),
        f"![What was reached, and the floors]({PLOT})",
    ]
    for task, measured in figures.items():
        parts.append(f"## {task}")
        parts += _scalars(measured)
        confusions = dict(_confusions(measured))
        if confusions:
            (folder / f"{task}.svg").write_text(heatmaps(confusions))
            parts.append(f"![What was taken for what]({task}.svg)")
            parts += [f"**{title}**: rows are true.\n\n{confusion(one)}" for title, one in confusions.items()]
    (folder / "README.md").write_text("\n\n".join(parts) + "\n")


def confusion(counts: Table) -> str:
    """What was taken for what: rows are true, columns are said."""
    said = columns(counts)
    rows = [(true, *(str(row.get(name, "")) for name in said)) for true, row in sorted(counts.items())]
    return markdown(("", *said), rows)


def columns(counts: Table) -> list[str]:
    """Everything that was said, what is true of some clip first."""
    said = {name for row in counts.values() for name in row}
    return [*sorted(counts), *sorted(said - set(counts))]


def _scalars(measured: Mapping[str, Any], under: str = "") -> Iterator[str]:
    """Tables of the plain figures, a part of them at a time."""
    plain = {name: value for name, value in measured.items() if not isinstance(value, Mapping)}
    if plain:
        head = (under or "figure", "")
        yield markdown(head, [(name.replace("_", " "), _number(value)) for name, value in plain.items()])
    for name, value in measured.items():
        if isinstance(value, Mapping) and CONFUSION not in name:
            title = name.replace("_", " ")
            yield from _scalars(value, f"{under}: {title}" if under else title)


def _number(value: float | None) -> str:
    return "" if value is None else str(value) if isinstance(value, int) else f"{value:.3f}"


def _confusions(measured: Mapping[str, Any], under: str = "") -> Iterator[tuple[str, Table]]:
    """The confusion tables among the figures, with what each is of."""
    for name, value in measured.items():
        if not isinstance(value, Mapping):
            continue
        title = " ".join(filter(None, [under, name.replace("_", " ").replace(CONFUSION, "").strip()]))
        if CONFUSION not in name:
            yield from _confusions(value, title)
        elif value and all(isinstance(cell, Mapping) for row in value.values() for cell in row.values()):
            for field, one in value.items():
                yield f"{title} {field}".strip(), one
        else:
            yield title or "labels", value
