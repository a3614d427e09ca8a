"""What the analysis commands have in common: options to a job, the job's outcomes to a writer."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moss_cli.api.job import DEMO_NOTE, check_device_is_here, make_job
from moss_cli.api.options import JobOptions, as_flag
from moss_cli.cli.command_line import run_hint
from moss_cli.cli.console import Console
from moss_cli.cli.context import read_context
from moss_cli.cli.inputs import GivenInputs, collect
from moss_cli.cli.options import AnalysisOptions
from moss_cli.cli.other_tools import VALUES
from moss_cli.cli.output_target import OutputTarget, output_target
from moss_cli.cli.report import OnResult, Report
from moss_cli.cli.usage import nearest_of
from moss_cli.cli.writers import SingleResultWriter, StdoutWriter, make_writer
from moss_cli.errors import ModelError, UsageError
from moss_cli.folders.freshness import JobFingerprint
from moss_cli.folders.passes import Writer, go_through
from moss_cli.folders.writer import Redo
from moss_cli.models.registry import Resolved, load_registry, resolve
from moss_cli.output import terminal
from moss_cli.output.formats import WORDLESS
from moss_cli.output.layout import AS_IT_IS, Layout
from moss_cli.output.terminal import one_line
from moss_cli.run.inputs import STDIN, Input
from moss_cli.run.job import Job, OnCertain, OnText
from moss_cli.settings import config_path
from moss_cli.tasks.reading.certain import Certain
from moss_cli.tasks.reading.task import Task

if TYPE_CHECKING:
    from moss_cli.cluster.options import ClusterOptions
    from moss_cli.cluster.runner import ClusterRunner
    from moss_cli.run.runner import Runner


@dataclass(frozen=True)
class _Prepared:
    """A run: `make_runner` makes the one runner, so that a run in which nothing is to be done does without torch."""

    job: Job
    to: OutputTarget
    make_runner: Callable[[], Runner]
    writer: Writer


def analyse(
    console: Console,
    task: Task[Any],
    arguments: Sequence[str],
    options: AnalysisOptions,
    layout: Layout = AS_IT_IS,
    *,
    on_result: OnResult | None = None,
) -> int:
    """Run a task over inputs and return the exit code. `on_result` is given the result of an only input, once it is
    written. Raises MossError for what holds for all of them."""
    listed = options.files_from is not None
    include, exclude = options.include, options.exclude
    inputs = collect(arguments, include=include, exclude=exclude, listed=listed, typed=console.typed)
    with report_of(console, inputs, task.name, options) as report:
        report.on_result = None if inputs.several else on_result
        run = _prepare(console, task, inputs, options, report, layout)
        cluster = cluster_options(options, inputs, run.to, console)
        make_runner = run.make_runner if cluster is None else _on_cluster(run.job, cluster, report, console)
        try:
            go_through(make_runner, run.writer, inputs.inputs, report)
        finally:
            run.writer.finish()  # what stands on stdout is a whole document also when the run is cut short
    return report.exit_code()


def answer_text(
    console: Console, task: Task[Any], options: AnalysisOptions, *, on_result: OnResult | None = None
) -> int:
    """Answer a question without audio and return the exit code. `on_result` is given the result. Raises MossError."""
    if options.ray is not None or options.ray_collect:
        raise UsageError("--ray is for recordings", hint="leave it out for a question without one")
    one = Input(Path("question"))  # what a file of an output folder is called
    inputs = GivenInputs((one,), several=False)
    with report_of(console, inputs, task.name, options) as report:
        report.on_result = on_result
        run = _prepare(console, task, inputs, options, report)
        try:
            run.writer.check(one)
            outcome = run.make_runner().ask_text()
            console.clear()
            run.writer.write(one, outcome.envelope)
        finally:
            run.writer.finish()
        report.show(one, outcome, run.writer.outputs(one))
    return report.exit_code()


def report_of(console: Console, inputs: GivenInputs, task: str, options: AnalysisOptions) -> Report:
    """What tells of a run, on a console that is set as the options say."""
    console.quiet, console.verbose, console.progress = options.quiet, options.verbose, options.progress
    console.debug = options.debug
    console.tell_log()
    return Report(console, inputs, task, options)


def _prepare(
    console: Console,
    task: Task[Any],
    inputs: GivenInputs,
    options: AnalysisOptions,
    report: Report,
    layout: Layout = AS_IT_IS,
) -> _Prepared:
    model = chosen_model(options.model, console)
    to = output_target(
        inputs,
        options.output,
        options.format,
        task=task.name,
        timestamps=task.params.get("timestamps"),
        typed=console.typed,
    )
    job = job_of(task, model, options, console)
    writer = make_writer(
        inputs,
        to,
        JobFingerprint.of(job),
        layout=layout,
        redo=Redo(options.force, options.checksum),
        on_warning=console.warning,
    )
    report.resumes = writer.resumes
    if isinstance(writer, SingleResultWriter):
        report.kept_s = writer.kept_s
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
        opens, on_certain = console.open_backend or open_backend, _on_certain(console, writer, task)
        on_text = _on_text(console, writer)
        return Runner(job, report.step, console.warning, on_text, on_certain=on_certain, open_backend=opens)

    return _Prepared(job, to, make_runner, writer)


def cluster_options(
    options: AnalysisOptions, inputs: GivenInputs, to: OutputTarget, console: Console
) -> ClusterOptions | None:
    """The cluster that --ray names, if it does. Raises UsageError for what does not go together with it."""
    if options.ray is None and not options.ray_collect:
        if options.workers is not None:
            raise UsageError("--workers needs --ray", hint=run_hint(console.typed.added("--ray")))
        return None
    from moss_cli.cluster.options import ClusterOptions

    if any(one.path == STDIN for one in inputs.inputs):
        raise UsageError("--ray cannot read stdin", hint="save it to a file first")
    if not to.is_folder:
        line = console.typed.without("-o", "--output").added("-o", "out/")
        raise UsageError("--ray needs a folder for the results", hint=run_hint(line))
    return ClusterOptions(options.ray or "auto", options.workers, options.ray_collect)


def _on_cluster(job: Job, cluster: ClusterOptions, report: Report, console: Console) -> Callable[[], ClusterRunner]:
    """What makes a runner that has the workers of a cluster answer."""

    def make_runner() -> ClusterRunner:
        from moss_cli.cluster.runner import ClusterRunner

        return ClusterRunner(job, cluster, report.step, console.warning, console.note)

    return make_runner


def chosen_model(name: str | None, console: Console) -> Resolved:
    """The model that was chosen. Raises ModelError, with the right command where another name was meant, and with the
    place that a name comes from which was not typed."""
    try:
        return resolve(name)
    except ModelError as error:
        known, words = load_registry().entries, console.typed.words
        if not name or name in known or error.code == "model_missing":
            raise
        nearest, message, hint = nearest_of(name, known), error.message, error.hint
        if not any(name in word for word in words):
            is_variable = os.environ.get("MOSS_MODEL") == name
            message += f" (set by {'MOSS_MODEL' if is_variable else one_line(str(config_path()))})"
        elif nearest is not None and name in words:
            hint = run_hint(console.typed.replaced(name, nearest))
        raise ModelError(message, hint=hint, code=error.code) from error


def _on_text(console: Console, writer: Writer) -> OnText | None:
    """Where an answer is shown while it is decoded: on a terminal that gets it as text."""
    if not isinstance(writer, StdoutWriter) or not writer.shows_text:
        return None

    def show(one: Input, text: str) -> None:
        console.hold()  # the live lines would stand in between
        writer.show(one.shown, text)

    return show


def _on_certain(console: Console, writer: Writer, task: Task[Any]) -> OnCertain | None:
    """Where results are written while they come: on stdout, in formats that can be."""
    if not isinstance(writer, StdoutWriter) or not writer.writes_early:
        return None

    def write(one: Input, certain: Certain[Any]) -> None:
        console.clear()  # stdout may be the terminal that progress is shown on
        if writer.write_certain(one, task, certain):
            console.hold()

    return write


def job_of(task: Task[Any], model: Resolved, options: AnalysisOptions, console: Console) -> Job:
    """Options as a job. Raises UsageError, and DeviceError for a device that is not here."""

    def check_device(name: str) -> None:
        meant = VALUES["device"].get(name.lower())
        if meant is not None and name in console.typed.words:
            hint = run_hint(console.typed.replaced(name, meant))
            raise UsageError(f"no such device: {terminal.one_line(name)}", hint=hint)
        check_device_is_here(name)

    return make_job(
        task,
        model,
        JobOptions.of(replace(options, context=read_context(options.context))),
        named=as_flag,
        check_device=check_device,
    )
