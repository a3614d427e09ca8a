"""What the analysis commands have in common: options to a job, the job's outcomes to a writer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moss_cli.answers import Sampling
from moss_cli.cli.command_line import run_hint
from moss_cli.cli.console import Console
from moss_cli.cli.inputs import GivenInputs, collect
from moss_cli.cli.options import AnalysisOptions
from moss_cli.cli.other_tools import VALUES
from moss_cli.cli.output_target import output_target
from moss_cli.cli.report import Report
from moss_cli.cli.usage import nearest_of
from moss_cli.cli.writers import StdoutWriter, make_writer
from moss_cli.errors import ModelError, UsageError
from moss_cli.folders.freshness import JobFingerprint
from moss_cli.folders.passes import Writer, go_through
from moss_cli.folders.writer import Redo
from moss_cli.models.registry import Resolved, load_registry, resolve
from moss_cli.output import terminal
from moss_cli.output.formats import WORDLESS
from moss_cli.output.layout import AS_IT_IS, Layout
from moss_cli.run.inputs import Input
from moss_cli.run.job import Job, OnText
from moss_cli.settings import parse_time
from moss_cli.tasks.reading.task import Task

if TYPE_CHECKING:
    from moss_cli.run.runner import Runner

DEMO_NOTE = "{name} is a demonstration model for synthetic audio, not for real recordings"

ALWAYS_THERE = ("auto", "cpu")  # devices


def analyse(
    console: Console, task: Task[Any], arguments: Sequence[str], options: AnalysisOptions, layout: Layout = AS_IT_IS
) -> int:
    """Run a task over inputs and return the exit code. Raises MossError for what holds for all of them."""
    listed = options.files_from is not None
    include, exclude = options.include, options.exclude
    inputs = collect(arguments, include=include, exclude=exclude, listed=listed, typed=console.typed)
    with _report(console, inputs, task, options) as report:
        make_runner, writer = _prepare(console, task, inputs, options, report, layout)
        try:
            go_through(make_runner, writer, inputs.inputs, report)
        finally:
            writer.finish()  # what stands on stdout is a whole document also when the run is cut short
    return report.exit_code()


def answer_text(console: Console, task: Task[Any], options: AnalysisOptions) -> int:
    """Answer a question without audio and return the exit code. Raises MossError."""
    one = Input(Path("question"))  # what a file of an output folder is called
    inputs = GivenInputs((one,), several=False)
    with _report(console, inputs, task, options) as report:
        make_runner, writer = _prepare(console, task, inputs, options, report)
        try:
            writer.check(one)
            outcome = make_runner().ask_text()
            console.clear()
            writer.write(one, outcome.envelope)
        finally:
            writer.finish()
        report.show(one, outcome, writer.outputs(one))
    return report.exit_code()


def _report(console: Console, inputs: GivenInputs, task: Task[Any], options: AnalysisOptions) -> Report:
    console.quiet, console.verbose, console.progress = options.quiet, options.verbose, options.progress
    console.debug = options.debug
    console.tell_log()
    return Report(console, inputs, task.name, options)


def _prepare(
    console: Console,
    task: Task[Any],
    inputs: GivenInputs,
    options: AnalysisOptions,
    report: Report,
    layout: Layout = AS_IT_IS,
) -> tuple[Callable[[], Runner], Writer]:
    """What makes the one runner, and the writer: a run in which nothing is to be done does without torch."""
    model = _model(options.model, console)
    to = output_target(
        inputs,
        options.output,
        options.format,
        task=task.name,
        timestamps=task.params.get("timestamps"),
        typed=console.typed,
    )
    job = make_job(task, model, options, console)
    writer = make_writer(
        inputs,
        to,
        JobFingerprint.of(job),
        layout=layout,
        redo=Redo(options.force, options.checksum),
        on_warning=console.warning,
    )
    report.resumes = writer.resumes
    if task.params.get("timestamps") == "word" and (without := [fmt for fmt in to.formats if fmt in WORDLESS]):
        console.warning(f"{' and '.join(without)} cannot hold the times of words; vtt, json, md, tsv and csv can")
    if model.entry.demo:
        console.note(DEMO_NOTE.format(name=model.entry.name))

    @cache
    def make_runner() -> Runner:
        from moss_cli.backends.opening import open_backend
        from moss_cli.run.runner import Runner

        if model.served is not None and not model.served.server.is_local:
            console.note(f"audio is sent to {model.served.server.url}, to the model {model.served.id}")
        opens = console.open_backend or open_backend
        return Runner(job, report.step, console.warning, _on_text(console, writer), open_backend=opens)

    return make_runner, writer


def _model(name: str | None, console: Console) -> Resolved:
    """The model that was chosen. Raises ModelError, with the right command where another name was meant."""
    try:
        return resolve(name)
    except ModelError as error:
        nearest = nearest_of(name, load_registry().entries) if name and error.code != "model_missing" else None
        if nearest is None or name not in console.typed.words:
            raise
        hint = run_hint(console.typed.replaced(name, nearest))
        raise ModelError(error.message, hint=hint, code=error.code) from error


def _on_text(console: Console, writer: Writer) -> OnText | None:
    """Where an answer is shown while it is decoded: on a terminal that gets it as text."""
    if not isinstance(writer, StdoutWriter) or not writer.shows_text:
        return None

    def show(one: Input, text: str) -> None:
        console.hold()  # the live lines would stand in between
        writer.show(one.shown, text)

    return show


def _check_device(name: str, console: Console) -> None:
    """Raise what a device that is none, or not here, raises, with the right command where another was meant."""
    meant = VALUES["device"].get(name.lower())
    if meant is not None and name in console.typed.words:
        hint = run_hint(console.typed.replaced(name, meant))
        raise UsageError(f"no such device: {terminal.one_line(name)}", hint=hint)
    from moss_cli.engine.devices import pick_device

    pick_device(name)


def make_job(task: Task[Any], model: Resolved, options: AnalysisOptions, console: Console) -> Job:
    """Options as a job. Raises UsageError."""
    start_s = None if options.start is None else _time("--start", options.start)
    end_s = None if options.end is None else _time("--end", options.end)
    if end_s is not None and end_s <= (start_s or 0.0):
        raise UsageError(f"--end {options.end} is not after the start")
    if options.prompt is not None and not options.prompt.strip():
        raise UsageError("the prompt is empty")
    if options.device not in ALWAYS_THERE and model.served is None:  # said once, and not for each input
        _check_device(options.device, console)
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
        max_duration_s=_longest(options.max_duration),
    )


def _longest(text: str) -> float:
    seconds = _time("--max-duration", text)
    if not seconds:
        raise UsageError("--max-duration must be greater than zero")
    return seconds


def _chunk_s(model: Resolved, seconds: float | None) -> float | None:
    longest_s = model.entry.max_seconds
    if seconds is not None and seconds > longest_s:
        raise UsageError(f"--chunk {seconds:g} is too long: {model.entry.name} takes at most {longest_s:g} s at once")
    return seconds


def _batch_size(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        message = f"--batch-size {text} is neither auto nor a positive number"
        raise UsageError(message, hint="leave it out, and as many as memory allows are decoded together")
    return int(text)


def _time(option: str, text: str) -> float:
    try:
        return parse_time(text)
    except UsageError as error:
        raise UsageError(f"{option}: {error.message}", hint=error.hint) from error
