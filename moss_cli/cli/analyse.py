"""What the analysis commands have in common: options to a job, the job's outcomes to a writer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from moss_cli.audio.source import printable
from moss_cli.cli.console import Console
from moss_cli.cli.inputs import Inputs, collect
from moss_cli.cli.options import AnalysisOptions
from moss_cli.cli.writers import StdoutWriter, Writer, make_writer
from moss_cli.engine.devices import pick_device
from moss_cli.engine.sampling import Sampling
from moss_cli.errors import ExitCode, MossError, UsageError
from moss_cli.output.paths import PlannedInput, path_text
from moss_cli.output.subtitles import AS_IT_IS
from moss_cli.output.wrap import Layout
from moss_cli.registry import Resolved, resolve
from moss_cli.settings import parse_time
from moss_cli.tasks.job import Job, OnText, Outcome, Source, Step
from moss_cli.tasks.runner import Runner
from moss_cli.tasks.task import Task

DEMO_NOTE = "{name} is a demonstration model, trained on synthetic speech: not for real recordings"


def analyse(
    console: Console, task: Task, arguments: Sequence[str], options: AnalysisOptions, layout: Layout = AS_IT_IS
) -> int:
    """Run a task over inputs and return the exit code. Raises MossError for what holds for all of them."""
    inputs = collect(arguments)
    runner, writer, report = _prepare(console, task, inputs, options, layout)
    try:
        for one in inputs.found:
            report.next()
            _run_one(runner, writer, one, report)
    except MossError:
        writer.finish()  # what stands on stdout is a whole document also then
        raise
    writer.finish()
    console.clear()
    return report.exit_code()


def answer_text(console: Console, task: Task, options: AnalysisOptions) -> int:
    """Answer a question without audio and return the exit code. Raises MossError."""
    one = PlannedInput(Path("question"))  # what a file of an output folder is called
    runner, writer, report = _prepare(console, task, Inputs((one,), several=False), options)
    writer.check(one)
    outcome = runner.ask_text()
    console.clear()
    writer.write(one, outcome.envelope)
    writer.finish()
    report.show(one, outcome)
    return report.exit_code()


def _prepare(
    console: Console, task: Task, inputs: Inputs, options: AnalysisOptions, layout: Layout = AS_IT_IS
) -> tuple[Runner, Writer, _Report]:
    console.quiet, console.verbose, console.progress = options.quiet, options.verbose, options.progress
    console.debug = options.debug
    timestamps = task.params.get("timestamps")
    model = resolve(options.model)
    job = make_job(task, model, options)
    writer = make_writer(
        inputs, options.output, options.format, task.name, timestamps, layout=layout, force=options.force
    )
    if model.entry.demo:
        console.note(DEMO_NOTE.format(name=model.entry.name), always=True)
    report = _Report(console, len(inputs.found), show_thinking=options.show_thinking)
    return Runner(job, report.step, console.warning, _on_text(console, writer)), writer, report


def _on_text(console: Console, writer: Writer) -> OnText | None:
    """Where an answer is shown while it is decoded: on a terminal that gets it as text."""
    if not isinstance(writer, StdoutWriter) or not writer.shows_text:
        return None

    def show(source: Source, text: str) -> None:
        console.clear()  # the live line would stand in between
        writer.show(source.shown, text)

    return show


def make_job(task: Task, model: Resolved, options: AnalysisOptions) -> Job:
    """Options as a job. Raises UsageError."""
    start_s = None if options.start is None else _time("--start", options.start)
    end_s = None if options.end is None else _time("--end", options.end)
    if end_s is not None and end_s <= (start_s or 0.0):
        raise UsageError(f"--end {options.end} is not after the start")
    pick_device(options.device)  # once, and not for each input
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
        vad=options.vad,
        think=options.think,
        thinking_budget=options.thinking_budget,
        chunk_s=_chunk_s(model, options.chunk),
        batch_size=_batch_size(options.batch_size),
        max_duration_s=_time("--max-duration", options.max_duration),
    )


def _chunk_s(model: Resolved, seconds: float | None) -> float | None:
    longest_s = model.entry.max_seconds
    if seconds is not None and seconds > longest_s:
        raise UsageError(f"--chunk {seconds:g}: {model.entry.name} takes {longest_s:g} seconds at most at once")
    return seconds


def _batch_size(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise UsageError(f"--batch-size {text} is neither auto nor a number", hint="auto, 1, 2, 3, ...")
    return int(text)


def _time(option: str, text: str) -> float:
    try:
        return parse_time(text)
    except UsageError as error:
        raise UsageError(f"{option}: {error.message}", hint=error.hint) from error


def _run_one(runner: Runner, writer: Writer, one: PlannedInput, report: _Report) -> None:
    """Read, answer and write one input; what is wrong with it alone goes to the report."""
    try:
        writer.check(one)
    except MossError as error:
        report.failed(error)
        return
    outcome = next(runner.run([Source(one.path, *path_text(one.path))]))
    report.console.clear()  # stdout may be the same terminal
    try:
        writer.write(one, outcome.envelope)
    except UsageError as error:  # a file has appeared in its place meanwhile
        report.failed(error)
        return
    report.show(one, outcome)


class _Report:
    """Shows outcomes on stderr and adds them up to an exit code."""

    def __init__(self, console: Console, n_inputs: int, *, show_thinking: bool) -> None:
        self.console, self.n_inputs, self.position = console, n_inputs, 0
        self.show_thinking = show_thinking
        self.errors: list[MossError] = []
        self.n_partial = 0

    def next(self) -> None:
        self.position += 1

    def step(self, step: Step) -> None:
        self.console.step(step, self.position, self.n_inputs)

    def show(self, one: PlannedInput, outcome: Outcome) -> None:
        if outcome.error is not None:
            self.failed(outcome.error)
            return
        is_partial = outcome.envelope.status == "partial"
        self.n_partial += is_partial
        if self.show_thinking and outcome.envelope.thinking:
            for line in outcome.envelope.thinking.splitlines():
                self.console.note(f"thinking: {line}", always=True)
        name = printable(one.path)
        for warning in outcome.envelope.warnings:
            named = warning.message.startswith(name)
            text = warning.message if named else f"{name}: {warning.message}"
            self.console.warning(text, always=is_partial)  # why the exit code is not 0

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
