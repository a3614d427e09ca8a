"""Measure the embedded model through the real commands, on clips that it was not trained on.

    python -m training.evaluate --model tiny --count 200 --card moss_cli/weights/tiny/README.md
    python -m training.evaluate --model FOLDER/ --task music --task ask --out build/evaluation

Clips of every task are rendered from seeds, voices and ranges that are kept for testing, and the commands are asked
about them. The figures of a task are kept in OUT/TASK.json with the checksum of the weights: what is known of these
weights is not measured again (but with --again), and the tables are of all that is known of them. With --card the
floors and what was reached are written into the model card, between its two marks; all other figures, confusion
tables and plots go to the folder --page.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from moss_cli.models.registry import resolve
from training.commands import answers, command_lines
from training.measures.emotions import measure_emotions
from training.measures.meetings import measure_meetings
from training.measures.music import measure_music
from training.measures.questions import measure_questions
from training.measures.scenes import measure_scenes
from training.measures.speech import measure_silence, measure_speech, measure_words
from training.measures.voices import measure_voices
from training.render import FIRST_TEST_SEED, Wanted, render
from training.report import table, write_card, write_page

SEED = FIRST_TEST_SEED
SOURCES = ("render.py", "clips.py", "examples.py", "sentences.py", "voices.py", "lexicon.txt", "domains/*.py")

Row = Mapping[str, Any]
Envelopes = Mapping[str, Row]
Measured = dict[str, Any]


@dataclass(frozen=True)
class Clips:
    """Rendered clips and what is true of them."""

    folder: Path
    labels: Sequence[Row]


@dataclass(frozen=True)
class Study:
    """One model and the clips that it is asked about, `count` of each kind, kept in `folder`."""

    model: str
    count: int
    folder: Path

    def clips(self, task: str, seed: int = SEED, wanted: Wanted | None = None) -> Clips:
        """Clips of a task, rendered unless they are there as the present renderers make them."""
        folder = self.folder / f"{task}-{seed}-{self.count}-{renderers()[:8]}"
        if not (folder / "labels.jsonl").exists():
            render(folder, task, seed, self.count, wanted)
        return Clips(folder, [json.loads(line) for line in (folder / "labels.jsonl").read_text().splitlines()])

    def answers(self, command: str, clips: Clips, *options: str, rows: Sequence[Row] | None = None) -> Envelopes:
        """What a command says of all clips, or of some `rows`."""
        asked = clips.labels if rows is None else rows
        return answers(command_lines(command, clips.folder, asked, options), self.model)

    def measured(
        self, command: str, clips: Clips, measure: Callable[[Sequence[Row], Envelopes], Measured], *options: str
    ) -> Measured:
        """The figures of what a command says of clips."""
        said = self.answers(command, clips, *options)
        return measure(clips.labels, said) | {"not_whole": not_whole(said)}


def renderers() -> str:
    """A checksum of everything that makes clips."""
    here, digest = Path(__file__).parent, hashlib.sha256()
    for pattern in SOURCES:
        for path in sorted(here.glob(pattern)):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def not_whole(envelopes: Envelopes) -> int:
    """How many answers failed or broke off."""
    return sum(one["status"] != "ok" for one in envelopes.values())


def transcribe(study: Study) -> Measured:
    """The whole speech domain, in voices of both kinds; word times are asked for on their own."""
    figures = {}
    for i, voices in enumerate(("training", "reserved")):
        clips = study.clips("transcribe", SEED + i, Wanted(voices))
        words = measure_words(clips.labels, study.answers("transcribe", clips, "--timestamps", "word"))
        figures[f"{voices} voices"] = study.measured("transcribe", clips, measure_speech) | words
    return figures


def empty(study: Study) -> Measured:
    return study.measured("transcribe", study.clips("empty"), measure_silence)


def mixed(study: Study) -> Measured:
    """Speech over scenes: what is said, and what else is heard."""
    clips = study.clips("mixed")
    rows = [
        {**row, "result": {"events": row["events"], "setting": row["setting"], "atmosphere": None}}
        for row in clips.labels
    ]
    heard = measure_scenes(rows, study.answers("scene", clips))
    speech = study.measured("transcribe", clips, measure_speech)
    return {"transcribe": speech, "scene": {name: heard[name] for name in ("event_f1", "setting", "confusion")}}


def ask(study: Study) -> Measured:
    """Every question as it is; those in two steps also with and without a thought."""
    clips = study.clips("ask")
    two_step = [row for row in clips.labels if row["settings"]["two_step"]]
    plain = study.answers("ask", clips)
    thought = study.answers("ask", clips, "--think", rows=two_step)
    unthought = study.answers("ask", clips, "--no-think", rows=two_step)
    return {
        "as they are": measure_questions(clips.labels, plain) | {"not_whole": not_whole(plain)},
        "two steps thought over": measure_questions(clips.labels, {**plain, **thought}),
        "with --think": measure_questions(two_step, thought) | {"not_whole": not_whole(thought)},
        "with --no-think": measure_questions(two_step, unthought) | {"not_whole": not_whole(unthought)},
    }


def _of(task: str, measure: Callable[[Sequence[Row], Envelopes], Measured]) -> Callable[[Study], Measured]:
    return lambda study: study.measured(task, study.clips(task), measure)


EVALUATIONS: dict[str, Callable[[Study], Measured]] = {
    "transcribe": transcribe,
    "empty": empty,
    "describe-speaker": _of("describe-speaker", measure_voices),
    "emotion": _of("emotion", measure_emotions),
    "scene": _of("scene", measure_scenes),
    "music": _of("music", measure_music),
    "ask": ask,
    "summarize": _of("summarize", measure_meetings),
    "mixed": mixed,
}


@dataclass(frozen=True)
class Kept:
    """Figures on disk, a file a task, each with the weights that it is of."""

    folder: Path
    weights: str
    count: int

    def load(self, task: str) -> Measured | None:
        """The figures of a task; None where they are not known of these weights, or of another number of clips."""
        path = self.folder / f"{task}.json"
        if not path.exists():
            return None
        kept = json.loads(path.read_text())
        same = (kept["weights"], kept["count"]) == (self.weights, self.count)
        return kept["figures"] if same else None

    def save(self, task: str, figures: Measured) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        kept = {"task": task, "count": self.count, "weights": self.weights, "figures": figures}
        (self.folder / f"{task}.json").write_text(json.dumps(kept, indent=1) + "\n")

    def all(self) -> dict[str, Measured]:
        found = {task: self.load(task) for task in EVALUATIONS}
        return {task: figures for task, figures in found.items() if figures is not None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tiny", help="a name, or a checkpoint folder")
    parser.add_argument("--task", choices=EVALUATIONS, action="append", help="repeatable; all where none is given")
    parser.add_argument("--count", type=int, default=200, help="clips of each kind")
    parser.add_argument("--out", type=Path, default=Path("build/evaluation"), help="folder for clips and figures")
    parser.add_argument("--again", action="store_true", help="measure also what is known of these weights")
    parser.add_argument("--card", type=Path, help="model card to write the table into")
    parser.add_argument("--page", type=Path, default=Path("docs/tiny"), help="folder of all figures, with --card")
    args = parser.parse_args()
    weights = hashlib.sha256((resolve(args.model).folder / "model.safetensors").read_bytes()).hexdigest()
    kept = Kept(args.out, weights, args.count)
    study = Study(args.model, args.count, args.out / "clips")
    wanted = [task for task in args.task or EVALUATIONS if args.again or kept.load(task) is None]
    for task in (bar := tqdm(wanted, unit="task", disable=None)):
        bar.set_description(task)
        started = time.monotonic()
        kept.save(task, EVALUATIONS[task](study))
        tqdm.write(f"{task}: {time.monotonic() - started:.0f} s")
    known = kept.all()
    print(table(known))
    if args.card:
        write_page(args.page, known, args.count)
        write_card(args.card, known, args.count, args.page)


if __name__ == "__main__":
    main()
