"""Measure the embedded model through the real command, on clips that it was not trained on.

    python -m training.evaluate --count 200 [--model FOLDER] [--card moss_cli/weights/tiny/README.md]

Every figure comes from `moss transcribe -f jsonl` over rendered wav files. With --card the table
is written into the model card, between its two marks.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jiwer

from training.render import Wanted, render

SEED = 1_000_000
SHORT = {"n_sentences": (1, 3), "max_s": 12.0}
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"


@dataclass(frozen=True)
class Group:
    """One row of the table: what is rendered, and what it is called."""

    title: str
    task: str
    seed: int
    wanted: Wanted


GROUPS = [
    Group("training voices, 1 to 3 sentences up to 12 s", "transcribe", SEED, Wanted("training", **SHORT)),
    Group("reserved voices, 1 to 3 sentences up to 12 s", "transcribe", SEED + 1, Wanted("reserved", **SHORT)),
    Group("training voices, 1 to 4 sentences up to 30 s", "transcribe", SEED + 2, Wanted("training")),
    Group("silence and noise", "empty", SEED + 3, Wanted(max_s=12.0)),
]


@dataclass(frozen=True)
class Figures:
    """What was measured on one group."""

    n_clips: int
    word_error_rate: float | None  # of all words together; None where nothing is said
    boundary_error_s: float | None  # mean distance of starts and ends, of sentences that were found
    sentences_found: float | None  # share of the sentences that a segment was found for
    n_not_empty: int | None  # of clips without speech, those with a transcript


def transcribe(folder: Path, model: str) -> dict[str, dict[str, Any]]:
    """Envelopes by file name."""
    command = [sys.executable, "-m", "moss_cli", "transcribe", str(folder), "-f", "jsonl", "--model", model, "-q"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    envelopes = [json.loads(line) for line in done.stdout.splitlines()]
    return {Path(e["input"]["path"]).name: e for e in envelopes}


def match(
    truth: Sequence[dict[str, Any]], found: Sequence[dict[str, Any]]
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Pair each sentence with the segment that overlaps it most, each segment once."""
    pairs, left = [], list(found)
    for sentence in truth:
        best = max(left, key=lambda s: _overlap(sentence, s), default=None)
        if best is not None and _overlap(sentence, best) > 0:
            pairs.append((sentence, best))
            left.remove(best)
    return pairs


def _overlap(a: dict[str, Any], b: dict[str, Any]) -> float:
    return min(a["end"], b["end"]) - max(a["start"], b["start"])


def measure(labels: Sequence[dict[str, Any]], envelopes: dict[str, dict[str, Any]]) -> Figures:
    """Compare answers with what was rendered. A clip without a result counts as an empty answer."""
    texts = [envelopes.get(row["file"], {}).get("text") or "" for row in labels]
    if not any(row["text"] for row in labels):
        return Figures(len(labels), None, None, None, sum(bool(text) for text in texts))
    errors: list[float] = []
    n_sentences = 0
    for row in labels:
        result = envelopes.get(row["file"], {}).get("result") or {"segments": []}
        n_sentences += len(row["segments"])
        for sentence, segment in match(row["segments"], result["segments"]):
            errors += [abs(sentence[side] - segment[side]) for side in ("start", "end")]
    return Figures(
        n_clips=len(labels),
        word_error_rate=float(jiwer.wer([row["text"] for row in labels], texts)),
        boundary_error_s=sum(errors) / len(errors) if errors else None,
        sentences_found=len(errors) / 2 / n_sentences,
        n_not_empty=None,
    )


def evaluate(model: str, count: int, groups: Sequence[Group] = tuple(GROUPS)) -> dict[str, Figures]:
    """Render, transcribe and measure each group."""
    figures = {}
    for group in groups:
        with tempfile.TemporaryDirectory() as folder:
            labels = render(Path(folder), group.task, group.seed, count, group.wanted)
            figures[group.title] = measure(labels, transcribe(Path(folder), model))
    return figures


def table(figures: dict[str, Figures]) -> str:
    """A Markdown table."""
    lines = [
        "| clips | number | word error rate | boundaries off by | sentences found | not empty |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for title, f in figures.items():
        cells = [
            title,
            str(f.n_clips),
            "" if f.word_error_rate is None else f"{100 * f.word_error_rate:.1f} %",
            "" if f.boundary_error_s is None else f"{1000 * f.boundary_error_s:.0f} ms",
            "" if f.sentences_found is None else f"{100 * f.sentences_found:.1f} %",
            "" if f.n_not_empty is None else str(f.n_not_empty),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def write_card(card: Path, text: str) -> None:
    """Put the table between the card's marks."""
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    card.write_text(pattern.sub(lambda _: f"{BEGIN}\n{text}\n{END}", card.read_text()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tiny", help="a name, or a checkpoint folder")
    parser.add_argument("--count", type=int, default=200, help="clips in each group")
    parser.add_argument("--card", type=Path, help="model card to write the table into")
    args = parser.parse_args()
    text = table(evaluate(args.model, args.count))
    print(text)
    if args.card:
        write_card(args.card, text)


if __name__ == "__main__":
    main()
