"""`moss demo`: a tour of the commands on the clips that come with the package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from moss_cli.tasks.catalogue import CATALOGUE, TaskEntry

if TYPE_CHECKING:
    from moss_cli.cli.console import Console
    from moss_cli.run.job import Outcome
    from moss_cli.run.runner import Runner
    from moss_cli.tasks.reading.task import Task

SAMPLES = Path(__file__).parents[1] / "samples"
EXAMPLES = ("moss demo",)


@dataclass(frozen=True)
class Stop:
    """A command of the tour: its arguments, with the clip's name among them, and what it runs."""

    arguments: tuple[str, ...]
    clip: str
    task: Task[Any]
    think: bool | None = None


def demo(context: typer.Context) -> int:
    """Tour the commands on clips that come with the package.

    The embedded model answers. Each answer is printed below the command that gives it.
    """
    from moss_cli.api.job import DEMO_NOTE
    from moss_cli.backends.opening import open_backend
    from moss_cli.cli.analyse import job_of
    from moss_cli.cli.options import AnalysisOptions
    from moss_cli.errors import ExitCode
    from moss_cli.models.registry import EMBEDDED, resolve
    from moss_cli.run.runner import Runner

    console = context.obj
    model = resolve(EMBEDDED)
    stops = tour()
    console.note(DEMO_NOTE.format(name=model.entry.name))
    opens = console.open_backend or open_backend
    runner = Runner(
        job_of(stops[0].task, model, AnalysisOptions(), console), on_warning=console.warning, open_backend=opens
    )
    whole = True
    for i, stop in enumerate(stops):
        path = _from_here(SAMPLES / stop.clip)
        typer.echo(("\n" if i else "") + "$ " + command_line(stop, path))
        if model.entry.knows(stop.task.name):
            runner = runner.with_task(stop.task, think=stop.think)
            whole = _show(console, _run_one(runner, path)) and whole
        else:
            typer.echo(f"({model.entry.name} was not trained for {stop.task.name}, so its answer would be meaningless)")
    return ExitCode.OK if whole else ExitCode.INCOMPLETE


def _run_one(runner: Runner, path: Path) -> Outcome:
    """What comes of one job over one clip."""
    from moss_cli.run.inputs import Input

    return next(runner.run([Input(path)]))


def _show(console: Console, outcome: Outcome) -> bool:
    """Print what a command prints, and its warnings. Returns whether the answer is whole; raises MossError where there
    is none."""
    from moss_cli.output.render import render
    from moss_cli.output.terminal import printable

    if outcome.error is not None:
        raise outcome.error
    for notice in outcome.envelope.warnings:
        console.warning(notice.message)
    typer.echo(printable(render(outcome.envelope, "txt")), nl=False)
    return outcome.envelope.status == "ok"


def command_line(stop: Stop, path: Path) -> str:
    """A command as it can be pasted into a shell."""
    import shlex

    from moss_cli.models.registry import EMBEDDED

    arguments = [str(path) if argument == stop.clip else argument for argument in stop.arguments]
    return shlex.join(["moss", *arguments, "--model", EMBEDDED])


def _from_here(path: Path) -> Path:
    """A path as short as it can be written in the working directory."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def tour() -> list[Stop]:
    """One stop for each task that has a clip of its own, in the order of the help."""
    import json

    clips: dict[str, Mapping[str, Any]] = {}  # by task: what the first of its clips is and was asked
    for line in (SAMPLES / "labels.jsonl").read_text(encoding="utf-8").splitlines():
        clip = json.loads(line)
        clips.setdefault(clip.get("task", "transcribe"), clip)
    return [_stop(entry, clips[entry.name]) for entry in CATALOGUE if entry.name in clips]


def _stop(entry: TaskEntry, clip: Mapping[str, Any]) -> Stop:
    """The command that a clip was made for, from what its label says was asked."""
    question, choices, style = clip.get("question"), tuple(clip.get("choices") or ()), clip.get("style")
    settings = {"question": question, "choices": choices, "style": style}
    task = entry.load()(**{name: value for name, value in settings.items() if value})
    think = True if clip["settings"].get("two_step") else None
    options = [argument for choice in choices for argument in ("--choice", choice)]
    options += ["--style", style] if style else []
    options += ["--think"] if think else []
    return Stop((entry.name, *([question] if question else []), clip["file"], *options), clip["file"], task, think)
