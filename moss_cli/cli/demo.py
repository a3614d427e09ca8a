"""`moss demo`: a tour of the seven commands on the clips that come with the package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from moss_cli.cli.console import Console
    from moss_cli.run.runner import Runner
    from moss_cli.tasks.reading.task import Task

SAMPLES = Path(__file__).parents[1] / "samples"


@dataclass(frozen=True)
class Stop:
    """A command of the tour: its arguments, with the clip's name among them, and what it runs."""

    arguments: tuple[str, ...]
    clip: str
    task: Task
    think: bool | None = None


def demo(context: typer.Context) -> int:
    """Show what the seven commands print, on clips of its own.

    The embedded model answers. Above each answer stands the command that gives it.

    \b
    moss demo
    """
    from moss_cli.cli.analyse import DEMO_NOTE, make_job
    from moss_cli.cli.options import AnalysisOptions
    from moss_cli.errors import ExitCode
    from moss_cli.models.registry import EMBEDDED, resolve
    from moss_cli.run.runner import Runner

    console = context.obj
    model = resolve(EMBEDDED)
    stops = tour()
    console.note(DEMO_NOTE.format(name=model.entry.name), always=True)
    runner = Runner(make_job(stops[0].task, model, AnalysisOptions()), on_warning=console.warning)
    whole = True
    for i, stop in enumerate(stops):
        path = _from_here(SAMPLES / stop.clip)
        typer.echo(("\n" if i else "") + "$ " + command_line(stop, path))
        if model.entry.knows(stop.task.name):
            runner = runner.with_task(stop.task, think=stop.think)
            whole = _show(console, runner, path) and whole
        else:
            typer.echo(f"({model.entry.name} was not trained for {stop.task.name}: what it would answer means nothing)")
    return ExitCode.OK if whole else ExitCode.INCOMPLETE


def _show(console: Console, runner: Runner, path: Path) -> bool:
    """Print what a command prints of a clip, and say what it warns of. Returns whether the answer is whole; raises
    MossError where there is none."""
    from moss_cli.output.render import render
    from moss_cli.output.terminal import printable
    from moss_cli.run.inputs import Input

    outcome = next(runner.run([Input(path)]))
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
    """One stop for each command, in the order of the help, on the clip that was made for it."""
    import json

    from moss_cli.tasks.transcribe import Transcribe

    rows = [json.loads(line) for line in (SAMPLES / "labels.jsonl").read_text(encoding="utf-8").splitlines()]
    spoken = rows[0]["file"]
    own = [_stop(row) for row in rows if "task" in row]
    return [Stop(("transcribe", spoken), spoken, Transcribe()), *own]


def _stop(row: Mapping[str, Any]) -> Stop:
    """The command that a clip was made for, from what its label says was asked."""
    from moss_cli.tasks.ask import Ask
    from moss_cli.tasks.describe_speaker import DescribeSpeaker
    from moss_cli.tasks.emotion import DescribeEmotion
    from moss_cli.tasks.music import DescribeMusic
    from moss_cli.tasks.scene import DescribeScene
    from moss_cli.tasks.summarize import Summarize

    name, clip = row["task"], row["file"]
    if name == "ask":
        choices: Sequence[str] = row["choices"] or ()
        think = True if row["settings"]["two_step"] else None
        options = [argument for choice in choices for argument in ("--choice", choice)] + ["--think"] * bool(think)
        return Stop((name, row["question"], clip, *options), clip, Ask(row["question"], tuple(choices)), think)
    if name == "summarize":
        return Stop((name, clip, "--style", row["style"]), clip, Summarize(row["style"]))
    plain: tuple[Task, ...] = (DescribeSpeaker(), DescribeEmotion(), DescribeScene(), DescribeMusic())
    return Stop((name, clip), clip, next(task for task in plain if task.name == name))
