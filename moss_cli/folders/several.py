"""Several tasks over each input: every task's result is written as soon as it is there, and one of all of them last."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from moss_cli.errors import MossError, UsageError
from moss_cli.folders.freshness import SkipStatus
from moss_cli.folders.passes import Writer
from moss_cli.output.combined import combine
from moss_cli.output.json_schema import envelope_type
from moss_cli.run.inputs import Input
from moss_cli.run.job import Outcome, Work
from moss_cli.run.journal import Journal, NoJournal
from moss_cli.schema import Envelope, ErrorInfo

if TYPE_CHECKING:
    from moss_cli.run.runner import Runner


class TaskJournals(NoJournal):
    """The journals of the tasks that are to be done for an input."""

    def __init__(self, by_task: Mapping[str, Journal]) -> None:
        self.by_task = by_task


class SeveralWriter:
    """A writer for each task, None where its result has no place of its own, and one for what all of them say."""

    def __init__(self, by_task: Mapping[str, Writer | None], combined: Writer | None) -> None:
        self._by_task, self._combined = by_task, combined
        self._left: dict[str, list[str]] = {}  # tasks to be done, by identity
        self._claimed: dict[str, list[Writer]] = {}
        self.resumes = any(writer.resumes for writer in self._writers)

    @property
    def _writers(self) -> list[Writer]:
        return [writer for writer in (*self._by_task.values(), self._combined) if writer is not None]

    def _own(self, one: Input) -> list[Writer]:
        """The writers of what is to be done for an input."""
        own = [self._by_task[task] for task in self._left[one.identity]]
        return [writer for writer in (*own, self._combined) if writer is not None]

    def done_status(self, one: Input) -> SkipStatus | None:
        found = {task: writer and writer.done_status(one) for task, writer in self._by_task.items()}
        self._left[one.identity] = [task for task, status in found.items() if status is None]
        all_of_them = [status for status in found.values() if status is not None]
        if self._combined is not None:
            status = self._combined.done_status(one)
            if status is None:
                return None
            all_of_them.append(status)
        if self._left[one.identity]:
            return None
        return next((status for status in ("partial", "ok") if status in all_of_them), "kept")

    def kept(self, one: Input) -> Mapping[Path, str]:
        return {path: why for writer in self._writers for path, why in writer.kept(one).items()}

    def claim(self, one: Input) -> bool:
        taken = self._claimed.setdefault(one.identity, [])
        for writer in self._own(one):
            if not writer.claim(one):
                self.release(one)
                return False
            taken.append(writer)
        return True

    def release(self, one: Input) -> None:
        for writer in self._claimed.pop(one.identity, []):
            writer.release(one)

    def outputs(self, one: Input) -> tuple[Path, ...]:
        return tuple(path for writer in self._writers for path in writer.outputs(one))

    def journal(self, one: Input) -> TaskJournals:
        def journal_of(writer: Writer | None) -> Journal:
            return NoJournal() if writer is None else writer.journal(one)

        return TaskJournals({task: journal_of(self._by_task[task]) for task in self._left[one.identity]})

    def check(self, one: Input) -> None:
        for writer in self._own(one):
            writer.check(one)

    def take(self, outcome: Outcome) -> Outcome:
        """Write the result of one task; what came of that."""
        writer = self._by_task[outcome.envelope.task]
        if writer is None:
            return outcome
        try:
            writer.write(outcome.input, outcome.envelope)
        except UsageError as error:  # a file has appeared in its place meanwhile
            failed = ErrorInfo(code=error.code, message=error.message)
            envelope = outcome.envelope.model_copy(update={"status": "error", "error": failed, "result": None})
            return Outcome(outcome.input, envelope, error)
        return outcome

    def done(self, one: Input) -> dict[str, Envelope]:
        """The envelopes of earlier runs, as far as they lie there as JSON."""
        found = {}
        for task, writer in self._by_task.items():
            paths = () if writer is None or task in self._left[one.identity] else writer.outputs(one)
            for path in paths:
                if path.suffix == ".json" and (envelope := _read(path, task)) is not None:
                    found[task] = envelope
        return found

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(self._by_task)

    def write(self, one: Input, envelope: Envelope) -> None:
        if self._combined is not None:
            self._combined.write(one, envelope)

    def finish(self) -> None:
        for writer in self._writers:
            writer.finish()


def _read(path: Path, task: str) -> Envelope | None:
    try:
        return envelope_type(task).model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None


@dataclass
class _Found:
    """What has come of an input so far."""

    missing: set[str]
    envelopes: dict[str, Envelope]
    errors: dict[str, MossError] = field(default_factory=dict)


class SeveralRunner:
    """Gives one outcome for each input: that of all tasks together. The result of each is written when it is there."""

    def __init__(self, runner: Runner, writer: SeveralWriter, before_write: Callable[[], None]) -> None:
        self._runner, self._writer, self._before_write = runner, writer, before_write
        self._waiting: deque[Input] = deque()
        self._found: dict[Input, _Found] = {}

    def run(self, inputs: Iterable[Input], journal_of: Callable[[Input], Journal]) -> Generator[Outcome, None, None]:
        """Outcomes whose envelopes are combined, in the order of the inputs."""
        with closing(self._runner.run_all(self._work(inputs, journal_of))) as outcomes:
            for outcome in outcomes:
                self._before_write()
                outcome = self._writer.take(outcome)
                found, task = self._found[outcome.input], outcome.envelope.task
                found.missing.discard(task)
                found.envelopes[task] = outcome.envelope
                if outcome.error is not None:
                    found.errors[task] = outcome.error
                yield from self._ready()
            yield from self._ready()

    def _work(self, inputs: Iterable[Input], journal_of: Callable[[Input], Journal]) -> Iterator[Work]:
        for one in inputs:
            journals = journal_of(one)
            assert isinstance(journals, TaskJournals)
            self._waiting.append(one)
            self._found[one] = _Found(set(journals.by_task), self._writer.done(one))
            if journals.by_task:
                yield Work(one, journals.by_task)

    def _ready(self) -> Iterator[Outcome]:
        while self._waiting and not self._found[self._waiting[0]].missing:
            one = self._waiting.popleft()
            found = self._found.pop(one)
            envelope = combine({task: found.envelopes[task] for task in self._writer.tasks if task in found.envelopes})
            error = next(iter(found.errors.values())) if envelope.status == "error" else None
            yield Outcome(one, envelope, error)
