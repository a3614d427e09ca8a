"""`moss ask --history` and `--clear-history`: what is kept of earlier questions."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from moss_cli import __version__
from moss_cli.audio.source import open_file
from moss_cli.cli.console import Console
from moss_cli.cli.history import History, KeptQuestion
from moss_cli.cli.options import AnalysisOptions
from moss_cli.errors import AudioError, OutputError, UsageError, counted
from moss_cli.output.terminal import one_line
from moss_cli.output.text import one_line as spaced
from moss_cli.run.inputs import STDIN, identity, path_text
from moss_cli.schema import SCHEMA_VERSION

FORMATS = ("txt", "json", "jsonl")


def show_kept(console: Console, history: History, inputs: Sequence[str], options: AnalysisOptions) -> int:
    """Print the questions that are kept, those about the recordings that are given or all. Raises UsageError."""
    import typer

    formats = [str(one) for one in options.format or ()] or ["txt"]
    if len(formats) > 1 or formats[0] not in FORMATS or options.output is not None:
        raise UsageError("--history prints txt, json or jsonl", hint="moss ask --history -f json > history.json")
    questions = history.read()
    _check_names(inputs, questions)
    found = [one for one in questions if _is_about(inputs)(one)]
    if formats[0] == "json":
        document = {
            "schema_version": SCHEMA_VERSION,
            "moss": __version__,
            "questions": [_as_json(one) for one in found],
        }
        typer.echo(json.dumps(document, indent=1))
    elif formats[0] == "jsonl":
        for one in found:
            typer.echo(json.dumps(_as_json(one)))
    elif found:
        typer.echo("\n".join(_lines(found)))
    else:
        console.note(_nothing_about(inputs))
    return 0


def forget_kept(console: Console, history: History, inputs: Sequence[str]) -> int:
    """Forget the questions about the recordings that are given, or all. Raises OutputError."""
    if inputs:
        _check_names(inputs, history.read())
    try:
        n_forgotten = history.forget(_is_about(inputs))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"{one_line(str(history.file))} cannot be changed: {reason}") from error
    console.note(f"{counted(n_forgotten, 'question')} forgotten" if n_forgotten else _nothing_about(inputs))
    return 0


def _check_names(inputs: Sequence[str], questions: Sequence[KeptQuestion]) -> None:
    """Raise UsageError for the name of nothing: no file, and of no recording that was asked about."""
    for name in inputs:
        is_known = os.path.exists(name) or any(map(_is_about([name]), questions))  # noqa: PTH110 - Path.exists may raise
        if not is_known:
            message = f"no such file, and no questions about one of that name: {one_line(name)}"
            raise UsageError(message, hint="see `moss ask --history`")


def _nothing_about(inputs: Sequence[str]) -> str:
    return "no questions are kept" + (f" about {' or '.join(map(one_line, inputs))}" if inputs else "")


def _is_about(inputs: Sequence[str]) -> Callable[[KeptQuestion], bool]:
    if not inputs:
        return lambda one: True
    paths = {identity(Path(name)) for name in inputs}
    hashes = {found for found in map(_sha256, inputs) if found is not None}
    return lambda one: one.path in paths or one.sha256 in hashes


def _sha256(name: str) -> str | None:
    path = Path(name)
    try:
        if path == STDIN or not path.is_file():
            return None
        with open_file(path) as file:
            return file.sha256()
    except (AudioError, OSError):
        return None


def _lines(questions: Sequence[KeptQuestion]) -> list[str]:
    """A heading for each conversation, below it questions and answers."""
    found: list[str] = []
    for place, one in enumerate(questions):
        before = questions[place - 1] if place else None
        if before is None or not one.goes_on or (one.path, one.sha256) != (before.path, before.sha256):
            found += [*([""] if found else []), f"==> {_local(one.time)}, {_name(one)}, {one_line(one.model)} <=="]
        found += [f"> {spaced(one.question)}", spaced(one.answer)]
    return [one_line(line) for line in found]


def _name(one: KeptQuestion) -> str:
    if one.path is None:
        return "without a recording"
    return "standard input" if one.path == str(STDIN) else path_text(Path(one.path))[0]


def _local(time: str) -> str:
    try:
        return datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError):
        return time


def _as_json(one: KeptQuestion) -> dict[str, Any]:
    path, path_bytes = (None, None) if one.path is None else path_text(Path(one.path))
    escaped = {"path_bytes": path_bytes} if path_bytes is not None else {}
    return {
        "time": one.time,
        "path": path,
        **escaped,
        "sha256": one.sha256,
        "model": one.model,
        "question": one.question,
        "answer": one.answer,
        "continues": one.goes_on,
    }
