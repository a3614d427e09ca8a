"""What a run tells the user: each outcome as it comes, a summary at the end, and the exit code."""

from __future__ import annotations

import json
import re
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from moss_cli.audio.source import printable
from moss_cli.cli.console import Console
from moss_cli.cli.inputs import GivenInputs, unreadable_message
from moss_cli.cli.near_files import near_file_hint
from moss_cli.cli.options import AnalysisOptions
from moss_cli.cli.tally import ReportEntry, ReportStatus, Tally
from moss_cli.errors import AudioError, ExitCode, MossError, OutputError, UsageError, counted
from moss_cli.folders.freshness import SkipStatus
from moss_cli.output import terminal
from moss_cli.output.atomic import check_writable, write_atomic
from moss_cli.output.times import human, length, to_ms
from moss_cli.run.inputs import Input, identity
from moss_cli.run.job import Outcome, Step
from moss_cli.schema import Envelope, Notice

SKIPPED = {"ok": "already done", "partial": "already done, but partial", "kept": "kept"}

MOST_LOOKED_FOR = 5  # files that are not there; chosen: each time a folder is listed

_REPORT = re.compile(rb'\{\s*"schema_version": "[^"]*",\s*"moss": "[^"]*",\s*"started": "')
_BUG_HINT = "this is a bug; run again with --debug for details"


def _nothing(envelope: Envelope) -> str:
    """The message about an empty result."""
    if _is_silent(envelope):
        return "no speech found"
    return "the model recognized no words" if envelope.task == "transcribe" else "the model gave no answer"


def _is_silent(envelope: Envelope) -> bool:
    """Whether nothing was said because nobody speaks."""
    silent = [chunk.finish_reason == "no_speech" for chunk in envelope.chunks]
    return not envelope.text and bool(silent) and all(silent)


OnResult = Callable[[Input, Envelope], None]


class Report:
    """Shows outcomes on stderr and adds them up. The end of its `with` block prints a summary, for several inputs, and
    writes the report file, if one is wanted: also when the run is cut short.

    Set `resumes` where a later run goes on from what this one has done, and `kept_s` where it goes on within an input:
    it says how much of one need not be decoded again.
    Raises UsageError or OutputError at the start for a report file that cannot be written.
    """

    def __init__(self, console: Console, inputs: GivenInputs, task: str, options: AnalysisOptions) -> None:
        self.console, self.inputs, self.task = console, inputs, task
        self._shows_thinking = options.show_thinking
        self._entries: dict[Path, ReportEntry] = {}
        self.resumes = False
        self.kept_s: Callable[[Input], float] = lambda one: 0.0
        self._last: Step | None = None
        self.on_result: OnResult | None = None  # is given each result that was written
        self._told: set[str] = set()  # warnings
        self._waits = False
        self._kept: dict[Path, str] = {}
        self._model, self._n_looked_for = "", 0
        self._started, self._since = datetime.now(UTC), time.monotonic()
        self._file, self._overwrites = _report_file(options), options.force

    def __enter__(self) -> Self:
        self.console.follow([one.path for one in self.inputs.inputs])
        for one in self.inputs.unreadable:
            message = unreadable_message(one)
            self.console.warning(message, always=True)  # why the exit code is not 0
            error = AudioError(message, code="unreadable")
            self._entries[one.path] = _failed(one.path, error, message)
        return self

    def step(self, step: Step) -> None:
        """Something is being done to an input."""
        if step.known_s and (self._last is None or not self._last.known_s) and (kept_s := self.kept_s(step.input)):
            self.console.note(f"going on where an earlier run stopped: {length(kept_s)} are kept")
        self._last = step
        self.console.step(step)

    def before_write(self) -> None:
        """A result is about to be written: stdout may be the terminal that progress is shown on."""
        self.console.clear()

    def show(self, one: Input, outcome: Outcome, outputs: Sequence[Path] = ()) -> None:
        """An input has an outcome, and the files that it was written to."""
        if outcome.error is not None:
            self.failed(one, outcome.error)
            return
        envelope = outcome.envelope
        audio_s = envelope.usage.audio_seconds if envelope.usage else 0.0
        self.console.finished(one.path, audio_s)
        if self._shows_thinking and envelope.thinking:
            for line in envelope.thinking.splitlines():
                self.console.note(f"thinking: {line}", always=True)
        if self.on_result is not None:
            self.on_result(one, envelope)
        status: ReportStatus = "partial" if envelope.status == "partial" else "done"
        for message, count in Counter(warning.message for warning in envelope.warnings).items():
            text = _named(one.path, message) + (f" ({count} times)" if count > 1 else "")
            if text not in self._told:  # by another task. The reason for an exit code other than 0 is always said.
                self.console.warning(text, always=status == "partial")
            self._told.add(text)
        self._tell_facts(envelope)
        is_listed = self._says_all and _is_silent(envelope)  # in the summary
        if not envelope.text and not is_listed and (self.console.verbose or not self._says_all):
            self.console.note(f"{printable(one.path)}: {_nothing(envelope)}")
        self._entries[one.path] = ReportEntry(
            one.path,
            status,
            tuple(outputs),
            code="partial" if status == "partial" else None,
            message=_why(one.path, envelope.warnings) if status == "partial" else None,
            warnings=tuple(envelope.warnings),
            audio_s=audio_s,
            is_silent=_is_silent(envelope),
        )

    def _tell_facts(self, envelope: Envelope) -> None:
        """With --verbose, how long the recording is, and once which model answers, in which precision and where."""
        if not self.console.verbose:
            return
        model = envelope.model
        shown = f"{model.name}, {model.dtype} on {model.device}"
        if shown != self._model:
            self._model = shown
            self.console.note(f"model {terminal.one_line(shown)}")
        if envelope.input is not None and envelope.input.duration is not None:
            name = terminal.one_line(envelope.input.path)
            self.console.note(f"{name}: {human(to_ms(envelope.input.duration))} long")

    def skipped(self, one: Input, outputs: Sequence[Path], status: SkipStatus) -> None:
        """There is nothing to do for an input: its result exists."""
        self.console.finished(one.path, None)
        message, code = SKIPPED[status], None
        if status == "partial":  # why the exit code is not 0
            code = "partial"
            self.console.warning(f"{printable(one.path)}: {message}; use --force to redo it", always=True)
        elif status == "ok" and (self.console.verbose or not self._says_all):
            self.console.note(f"{printable(one.path)}: {message}")
        self._entries[one.path] = ReportEntry(one.path, "skipped", tuple(outputs), code, message)

    def kept(self, files: Mapping[Path, str]) -> None:
        """Files in the place of results are left as they are; the summary says so."""
        self._kept |= files

    def waiting(self, n_inputs: int) -> None:
        """All that is left is being worked on by other runs."""
        if not self._waits:
            self.console.note(f"waiting for another run that is working on {counted(n_inputs, 'input')}")
        self._waits = True
        self.console.check_stop()

    def failed(self, one: Input, error: MossError) -> None:
        """An input has no result; the others go on."""
        self.console.finished(one.path, None)
        if error.code == "internal":
            if self.console.debug:
                traceback.print_exception(error.__cause__ or error, file=self.console.stream)
            hint = error.hint or _BUG_HINT
            error = MossError(f"{printable(one.path)}: unexpected {error.message}", hint=hint, code="internal")
        named = isinstance(error, (UsageError, OutputError))
        message = error.message if named else _named(one.path, error.message)
        self.console.error(MossError(message, hint=error.hint or self._file_meant(one, error)))
        self._entries[one.path] = _failed(one.path, error, message)

    def _file_meant(self, one: Input, error: MossError) -> str | None:
        """What to do about a file that was named and is not there; of many, only the first are looked into."""
        if error.code != "not_found" or one.root is not None or self._n_looked_for == MOST_LOOKED_FOR:
            return None
        self._n_looked_for += 1
        return near_file_hint(one.path, self.console.typed)

    def _kept_hint(self) -> str | None:
        """What a run that is stopped now leaves for the next one, within the input that is in progress."""
        in_progress = [one for one in self.inputs.inputs if one.path not in self._entries and self.kept_s(one)]
        if not in_progress:
            return None
        [one, *_], last = in_progress, self._last
        kept_s, whole = self.kept_s(one), ""
        if last is not None and last.input == one:
            kept_s = max(kept_s, last.done_s)  # also what has no speech
            if last.total_s is not None:
                kept_s, whole = min(kept_s, last.total_s), f" of {length(last.total_s)}"
        named = f" of {terminal.one_line(one.shown)}" if self._says_all else ""
        return f"{length(kept_s)}{whole}{named} are kept; run the same command again to go on"

    def exit_code(self) -> int:
        """The code of all inputs together."""
        found = self._all_entries()
        failed = {entry.exit_code for entry in found if entry.status == "failed"}
        if not failed:
            return ExitCode.INCOMPLETE if any(entry.code == "partial" for entry in found) else ExitCode.OK
        is_one_kind = len(failed) == 1 and all(entry.status == "failed" for entry in found)
        return failed.pop() if is_one_kind else ExitCode.INCOMPLETE

    @property
    def _says_all(self) -> bool:
        return len(self.inputs.inputs) + len(self.inputs.unreadable) > 1

    def _all_entries(self, rest: ReportEntry | None = None) -> list[ReportEntry]:
        """In the order of the inputs, then what could not be read; `rest` stands for those without an outcome."""
        rest = rest or ReportEntry(Path(), "interrupted")
        paths = [one.path for one in self.inputs.inputs] + [one.path for one in self.inputs.unreadable]
        return [self._entries.get(path) or replace(rest, path=path) for path in paths]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.console.clear()
        self.console.when_stopped = self._kept_hint() if error is not None else None
        seconds = time.monotonic() - self._since
        rest = _rest(error)
        since, until = self._started, datetime.now(UTC)
        entries, passed_over = self._all_entries(rest), self.inputs.passed_over
        tally = Tally(entries, since, until, seconds, self.resumes, self._kept, passed_over)
        begun = any(one.path in self._entries for one in self.inputs.inputs) or rest.status == "interrupted"
        if begun and not isinstance(error, BrokenPipeError):
            for line in tally.lines() if self._says_all else tally.left_alone():
                self.console.note(line)
        if self._file is None:
            return
        try:
            data = json.dumps(tally.document(self.task), indent=1, allow_nan=False) + "\n"
            overwrite = self._overwrites or _is_report(self._file)  # by now a result may lie there
            write_atomic(self._file, data.encode(), overwrite=overwrite)
        except MossError as unwritten:
            if error is None:
                raise
            self.console.error(unwritten)  # the run ends with its own error


def _report_file(options: AnalysisOptions) -> Path | None:
    """The file for the report: a new or empty one, an earlier report, or with --force any.

    Raises UsageError or OutputError where it cannot be written.
    """
    if options.report is None:
        return None
    if options.report in ("", "-"):
        raise UsageError("--report needs a file name", hint="stdout is for results; use --report /dev/stderr to see it")
    path = Path(options.report)
    if options.output is not None and identity(path) == identity(Path(options.output)):
        raise UsageError(f"{terminal.one_line(str(path))} cannot be both the output and the report")
    check_writable(path, overwrite=options.force or _is_report(path))
    return path


def _is_report(path: Path) -> bool:
    try:
        if not path.is_file():  # opening a FIFO would block
            return False
        with path.open("rb") as file:
            beginning = file.read(200)
    except OSError:
        return False
    return not beginning or _REPORT.match(beginning) is not None


def _failed(path: Path, error: MossError, message: str) -> ReportEntry:
    return ReportEntry(path, "failed", code=error.code, message=message, exit_code=error.exit_code)


def _rest(error: BaseException | None) -> ReportEntry:
    """The entry for the inputs that a run did not reach before it ended with `error`."""
    if isinstance(error, MossError):
        return _failed(Path(), error, error.message)
    if isinstance(error, Exception) and not isinstance(error, BrokenPipeError):
        internal = MossError(f"unexpected {type(error).__name__}: {error}", code="internal")
        return _failed(Path(), internal, internal.message)
    return ReportEntry(Path(), "interrupted")


def _named(path: Path, message: str) -> str:
    """A message with the input's name in front, unless the name is in it."""
    name = printable(path)
    is_in = re.search(rf"(^|\s){re.escape(name)}($|[\s:,])", message)
    return message if is_in else f"{name}: {message}"


def _why(path: Path, warnings: Sequence[Notice]) -> str:
    """Why a result is partial: the first warnings."""
    first, *others = dict.fromkeys(warning.message for warning in warnings) or ["something is missing"]
    more = "" if not others else f"; {others[0]}" if len(others) == 1 else f"; and {len(others)} more warnings"
    return _named(path, first) + more
