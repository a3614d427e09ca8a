"""What the analysis commands have in common: options to a job, the job's outcomes to a writer."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence

from moss_cli.cli.console import Console
from moss_cli.cli.inputs import collect
from moss_cli.cli.options import AnalysisOptions
from moss_cli.cli.writers import Writer, make_writer
from moss_cli.engine.sampling import Sampling
from moss_cli.errors import ExitCode, MossError, UsageError
from moss_cli.output.paths import STDIN, PlannedInput, path_text
from moss_cli.registry import Resolved, resolve
from moss_cli.settings import parse_time
from moss_cli.tasks.runner import Job, Outcome, Runner, Source, Step
from moss_cli.tasks.task import Task

DEMO_NOTE = "{name} is a demonstration model, trained on synthetic speech: not for real recordings"


def analyse(console: Console, task: Task, arguments: Sequence[str], options: AnalysisOptions) -> int:
    """Run a task over inputs and return the exit code. Raises MossError for what holds for all of them."""
    console.quiet, console.verbose, console.progress = options.quiet, options.verbose, options.progress
    console.debug = options.debug
    inputs = collect(arguments)
    timestamps = getattr(task, "timestamps", None)
    writer = make_writer(inputs, options.output, options.format, task.name, timestamps, force=options.force)
    model = resolve(options.model)
    job = make_job(task, model, options)
    if model.entry.demo:
        console.note(DEMO_NOTE.format(name=model.entry.name), always=True)
    report = _Report(console, len(inputs.found))
    runner = Runner(job, report.step)
    for one in inputs.found:
        report.next()
        outcome = _run_one(runner, writer, one, report)
        if outcome is not None:
            writer.write(one, outcome.envelope)
            report.show(outcome)
    writer.finish()
    console.clear()
    return report.exit_code()


def make_job(task: Task, model: Resolved, options: AnalysisOptions) -> Job:
    """Options as a job. Raises UsageError."""
    start_s = None if options.start is None else parse_time(options.start)
    end_s = None if options.end is None else parse_time(options.end)
    if end_s is not None and end_s <= (start_s or 0.0):
        raise UsageError(f"--end {options.end} is not after the start")
    return Job(
        task=task,
        model=model,
        device=options.device,
        dtype=options.dtype,
        start_s=start_s,
        end_s=end_s,
        sampling=Sampling(options.temperature, options.top_p, options.top_k),
        seed=options.seed,
        max_new_tokens=options.max_new_tokens,
        time_markers=options.time_markers,
        max_duration_s=parse_time(options.max_duration),
    )


def _run_one(runner: Runner, writer: Writer, one: PlannedInput, report: _Report) -> Outcome | None:
    """An input's outcome; None where its result could not be written, which is in the report."""
    try:
        writer.check(one)
    except MossError as error:
        report.failed(error)
        return None
    with _source(one) as source:
        return next(runner.run([source]))


@contextlib.contextmanager
def _source(one: PlannedInput) -> Iterator[Source]:
    if one.path != STDIN:
        shown, path_bytes = path_text(one.path)
        yield Source(one.path, shown, path_bytes)
        return
    from moss_cli.audio.source import read_stdin

    with read_stdin(sys.stdin.buffer) as spooled:
        yield Source(spooled, "-")


class _Report:
    """Shows outcomes on stderr and adds them up to an exit code."""

    def __init__(self, console: Console, n_inputs: int) -> None:
        self.console, self.n_inputs, self.position = console, n_inputs, 0
        self.errors: list[MossError] = []
        self.n_partial = 0

    def next(self) -> None:
        self.position += 1

    def step(self, step: Step) -> None:
        self.console.step(step, self.position, self.n_inputs)

    def show(self, outcome: Outcome) -> None:
        if outcome.error is not None:
            self.failed(outcome.error)
            return
        self.n_partial += outcome.envelope.status == "partial"
        for warning in outcome.envelope.warnings:
            self.console.warning(f"{outcome.envelope.input.path}: {warning.message}")

    def failed(self, error: MossError) -> None:
        self.errors.append(error)
        self.console.error(error)

    def exit_code(self) -> int:
        if not self.errors:
            return ExitCode.INCOMPLETE if self.n_partial else ExitCode.OK
        if self.n_inputs > len(self.errors):
            return ExitCode.INCOMPLETE
        codes = {error.exit_code for error in self.errors}
        return codes.pop() if len(codes) == 1 else ExitCode.INCOMPLETE
