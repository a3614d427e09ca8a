"""Several tasks over the same inputs: which ones, where their results go, and the one run that gives them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from moss_cli.api.job import DEMO_NOTE
from moss_cli.api.options import JobOptions, as_flag
from moss_cli.api.tasks_together import ALL, tasks_together
from moss_cli.cli.analyse import chosen_model, job_of, report_of
from moss_cli.cli.command_line import CommandLine, run_hint
from moss_cli.cli.console import Console
from moss_cli.cli.inputs import GivenInputs, collect
from moss_cli.cli.options import AnalysisOptions
from moss_cli.cli.output_target import OutputTarget, output_target
from moss_cli.cli.report import Report
from moss_cli.cli.usage import nearest_of
from moss_cli.cli.writers import make_writer
from moss_cli.errors import UsageError
from moss_cli.folders.freshness import JobFingerprint
from moss_cli.folders.passes import InputRunner, Writer, go_through
from moss_cli.folders.several import SeveralRunner, SeveralWriter
from moss_cli.folders.writer import Redo
from moss_cli.output.formats import COMBINED, TABLES, TIMED, has_times
from moss_cli.output.layout import AS_IT_IS
from moss_cli.output.terminal import one_line
from moss_cli.run.job import Job
from moss_cli.tasks.catalogue import TASKS
from moss_cli.tasks.reading.task import Task

QUESTION = "What is said?"  # of the hint


def tasks_of(
    named: Sequence[str] | None, question: str | None, options: AnalysisOptions, typed: CommandLine
) -> list[Task[Any]]:
    """The tasks that are meant, in the order of the catalogue. Raises UsageError, with the right command."""
    names = [name.strip() for given in named or () for name in given.split(",")]
    for name in names:
        _check_name(name, typed)
    if question is None and "ask" in names:
        raise UsageError("the task ask needs a question", hint=run_hint(typed.added("--question", QUESTION)))
    return tasks_together(names or None, question, JobOptions.of(options), named=as_flag)


def _check_name(name: str, typed: CommandLine) -> None:
    if name in (*TASKS, ALL):
        return
    if not name:
        raise UsageError("a name in --tasks is empty", hint=f"there are {', '.join(TASKS)}")
    otherwise = f"there are {', '.join(TASKS)}"
    nearest = nearest_of(name, TASKS)
    if nearest is None:
        raise UsageError(f"no such task: {one_line(name)}", hint=otherwise)
    words = tuple(_corrected(word, name, nearest) for word in typed.words)
    hint = run_hint(CommandLine(words), otherwise) if words != typed.words else otherwise
    raise UsageError(f"no such task: {one_line(name)}", hint=hint)


def _corrected(word: str, wrong: str, right: str) -> str:
    head, equals, names = word.rpartition("=") if word.startswith("--tasks=") else ("", "", word)
    return head + equals + ",".join(right if one.strip() == wrong else one for one in names.split(","))


def analyse_several(
    console: Console, tasks: Sequence[Task[Any]], arguments: Sequence[str], options: AnalysisOptions
) -> int:
    """Run tasks over inputs and return the exit code. Raises MossError for what holds for all of them."""
    if options.ray is not None or options.ray_collect:
        raise UsageError("analyze does not run on a cluster", hint="run the tasks' own commands with --ray")
    listed = options.files_from is not None
    inputs = collect(arguments, include=options.include, exclude=options.exclude, listed=listed, typed=console.typed)
    with report_of(console, inputs, COMBINED, options) as report:
        make_runner, writer = _prepare(console, tasks, inputs, options, report)
        try:
            go_through(make_runner, writer, inputs.inputs, report)
        finally:
            writer.finish()
    return report.exit_code()


def _prepare(
    console: Console, tasks: Sequence[Task[Any]], inputs: GivenInputs, options: AnalysisOptions, report: Report
) -> tuple[Callable[[], InputRunner], SeveralWriter]:
    model = chosen_model(options.model, console)
    to = output_target(inputs, options.output, options.format, task=COMBINED, timestamps=None, typed=console.typed)
    _check_formats(to, tasks, console)
    jobs = [job_of(task, model, options, console) for task in tasks]
    writer = _writer(inputs, to, jobs, options, console)
    report.resumes = writer.resumes
    if model.entry.demo:
        console.note(DEMO_NOTE.format(name=model.entry.name))
    jobs = [job for job in jobs if job.task.name in writer.tasks]

    @cache
    def make_runner() -> SeveralRunner:
        from moss_cli.backends.opening import open_backend
        from moss_cli.run.runner import Runner

        if model.served is not None and not model.served.server.is_local:
            console.note(f"audio is sent to {model.served.server.url}, to the model {model.served.id}")
        opens = console.open_backend or open_backend
        runner = Runner(jobs[0], report.step, console.warning, also=jobs[1:], open_backend=opens)
        return SeveralRunner(runner, writer, report.before_write)

    return make_runner, writer


def _check_formats(to: OutputTarget, tasks: Sequence[Task[Any]], console: Console) -> None:
    """Raise UsageError for formats that cannot hold what the tasks say."""
    if not to.is_folder:
        for fmt in to.formats:
            if fmt in TIMED | TABLES:
                right = console.typed.without("-o", "--output", "-f", "--format").added("-o", "out/", "-f", fmt)
                message = f"the results of several tasks cannot stand in one {fmt}"
                raise UsageError(message, hint=run_hint(right, f"use -o out/ -f {fmt}: a file for each task"))
    elif set(to.formats) <= TIMED and not any(has_times(task.name, None) for task in tasks):
        names = " and ".join(task.name for task in tasks)
        message = f"{names} has no timed items, so it cannot be written as {' or '.join(to.formats)}"
        raise UsageError(message, hint="use txt, json, jsonl, md, tsv or csv")


def _writer(
    inputs: GivenInputs, to: OutputTarget, jobs: Sequence[Job], options: AnalysisOptions, console: Console
) -> SeveralWriter:
    """What writes the results: in a folder every task's own files, and with json one file of all."""
    fingerprints = [JobFingerprint.of(job) for job in jobs]
    redo = Redo(options.force, options.checksum)

    def writer(target: OutputTarget, fingerprint: JobFingerprint) -> Writer:
        return make_writer(inputs, target, fingerprint, layout=AS_IT_IS, redo=redo, on_warning=console.warning)

    if not to.is_folder:
        return SeveralWriter(dict.fromkeys(one.task for one in fingerprints), writer(to, _all(fingerprints)))
    by_task: dict[str, Writer | None] = {}
    for one in fingerprints:
        formats = tuple(fmt for fmt in to.formats if fmt not in TIMED or has_times(one.task, None))
        if formats:
            by_task[one.task] = writer(OutputTarget(to.path, formats, is_folder=True), one)
        else:
            console.note(f"{one.task} has no timed items, so it is left out of {' and '.join(to.formats)}")
    combined = None
    if "json" in to.formats:
        combined = writer(OutputTarget(to.path, ("json",), is_folder=True), _all(fingerprints))
    return SeveralWriter(by_task, combined)


def _all(fingerprints: Sequence[JobFingerprint]) -> JobFingerprint:
    """What all jobs together do to an input."""
    digest = hashlib.sha256("".join(one.digest for one in fingerprints).encode()).hexdigest()
    return JobFingerprint(COMBINED, digest, fingerprints[0].dtype, fingerprints[0].device)
