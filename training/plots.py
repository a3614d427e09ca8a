"""Plots as SVG: bars beside their floors, and tables whose cells are the darker the more they count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from training.floors import Figure

Table = Mapping[str, Mapping[str, int]]

LINE, CHARACTER = 22, 6.6  # px: height of a row, width of a letter
LABEL, BAR, CELL = 380, 400, 46
MET, MISSED, PLAIN, FLOOR, INK = "#2a7f62", "#c0504d", "#8a9bb0", "#222222", "#333333"


def bars(reached: Sequence[tuple[Figure, float]]) -> str:
    """A bar for each figure, of its share or, of errors and times, of twice its floor; a line is the floor."""
    rows = []
    for i, (figure, value) in enumerate(reached):
        top, full = i * LINE, _full(figure, value)
        color = {True: MET, False: MISSED, None: PLAIN}[figure.is_met(value)]
        width = BAR * min(1.0, value / full)
        rows.append(_text(LABEL - 8, top + 15, f"{figure.task}: {figure.title}", anchor="end"))
        rows.append(f'<rect x="{LABEL}" y="{top + 3}" width="{width:.1f}" height="{LINE - 6}" fill="{color}"/>')
        if figure.floor is not None:
            at = LABEL + BAR * figure.floor / full
            rows.append(f'<path d="M{at:.1f} {top + 1}v{LINE - 2}" stroke="{FLOOR}" stroke-width="2"/>')
        rows.append(_text(LABEL + BAR + 8, top + 15, f"{figure.shown(value)}  {figure.bound}"))
    return _svg(LABEL + BAR + 160, LINE * len(reached) + 4, rows)


def _full(figure: Figure, value: float) -> float:
    """What the whole width of a bar stands for."""
    if figure.form in ("share", "F1") and not figure.at_most:
        return 1.0
    return max(2 * (figure.floor or 0.0), value, 1e-9) if figure.form != "share" else max(2 * (figure.floor or 0), 0.2)


def heatmaps(tables: Mapping[str, Table]) -> str:
    """Confusion tables one below the other: rows are true, columns are said, shades are shares of the row."""
    rows: list[str] = []
    top, width = 0.0, 0.0
    for title, table in tables.items():
        drawn, right, bottom = _heatmap(title, table, top)
        rows += drawn
        top, width = bottom + LINE, max(width, right)
    return _svg(width, top, rows)


def _heatmap(title: str, table: Table, top: float) -> tuple[list[str], float, float]:
    """What is drawn from `top` on, and where it ends on the right and below."""
    said = [*sorted(table), *sorted({name for row in table.values() for name in row} - set(table))]
    left = CHARACTER * max(map(len, [*table, title[:30]])) + 16
    head = top + CHARACTER * 0.75 * max(map(len, said)) + LINE * 1.5
    drawn = [_text(4, top + 15, f"{title}: rows are true, columns are said", weight="bold")]
    for j, name in enumerate(said):
        x = left + j * CELL + CELL / 2
        drawn.append(_text(x, head - 6, name, turn=-40))
    for i, true in enumerate(sorted(table)):
        y, whole = head + i * LINE, max(1, sum(table[true].values()))
        drawn.append(_text(left - 8, y + 15, true, anchor="end"))
        for j, name in enumerate(said):
            drawn += _cell(left + j * CELL, y, table[true].get(name, 0), whole, right=name == true)
    slanted = CHARACTER * 0.8 * max(map(len, said))  # how far the last column's name leans out
    right = max(left + CELL * len(said) + slanted, CHARACTER * (len(title) + 36))
    return drawn, right, head + LINE * len(table)


def _cell(x: float, y: float, count: int, whole: int, *, right: bool) -> list[str]:
    share, color = count / whole, MET if right else MISSED
    size = f'width="{CELL - 1}" height="{LINE - 1}"'
    cell = f'<rect x="{x:.1f}" y="{y:.1f}" {size} fill="{color}" fill-opacity="{0.04 + 0.9 * share:.2f}"/>'
    if not count:
        return [cell]
    ink = "#ffffff" if share > 0.55 else INK
    return [cell, _text(x + CELL / 2, y + 15, str(count), anchor="middle", fill=ink)]


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", turn: int = 0, weight: str = "normal", fill: str = INK
) -> str:
    turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} font-weight="{weight}" fill="{fill}"{turned}>{escape(text)}</text>'


def _svg(width: float, height: float, parts: Sequence[str]) -> str:
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="#ffffff"/>', *parts, "</svg>"]) + "\n"
