"""Working through the inputs: what is done is skipped, what another run is working on is put off to the next pass."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Protocol

from moss_cli.errors import MossError, UsageError
from moss_cli.folders.freshness import SkipStatus
from moss_cli.run.inputs import Input
from moss_cli.run.job import Outcome
from moss_cli.run.journal import Journal
from moss_cli.schema import Envelope

WAIT_S = 0.5  # before looking again at what other runs are working on; chosen


class Writer(Protocol):
    """Takes the envelopes of all inputs, failed ones too.

    `resumes`: a later run goes on from what this one has written, and from the journals of unfinished inputs.
    """

    resumes: bool

    def done_status(self, one: Input) -> SkipStatus | None:
        """The status of the result that exists; None where there is something to do for this input."""

    def kept(self, one: Input) -> Mapping[Path, str]:
        """Files that lie in the place of this input's result and are left as they are, and why."""

    def claim(self, one: Input) -> bool:
        """Claim an input for this run; False where another run has it. `release` gives it back."""

    def release(self, one: Input) -> None: ...

    def outputs(self, one: Input) -> tuple[Path, ...]:
        """The files that this input's result goes into."""

    def journal(self, one: Input) -> Journal:
        """Keeps what is found of an input's chunks until the input is done."""

    def check(self, one: Input) -> None:
        """Raise, before the work is done, what would keep this input's result from being written."""

    def write(self, one: Input, envelope: Envelope) -> None: ...

    def finish(self) -> None: ...


class Listener(Protocol):
    """Is told what becomes of each input."""

    def before_write(self) -> None:
        """A result is about to be written, perhaps to the terminal that progress is shown on."""

    def show(self, one: Input, outcome: Outcome, outputs: Sequence[Path]) -> None:
        """An input has an outcome, and the files that it was written to."""

    def skipped(self, one: Input, outputs: Sequence[Path], status: SkipStatus) -> None:
        """There is nothing to do for an input: its result exists."""

    def kept(self, files: Mapping[Path, str]) -> None:
        """Files that lie in the place of results are left as they are, for these reasons."""

    def failed(self, one: Input, error: MossError) -> None:
        """An input has no result; the others go on."""

    def waiting(self, n_inputs: int) -> None:
        """All that is left is being worked on by other runs."""


class InputRunner(Protocol):
    """What is needed of `run.runner.Runner`."""

    def run(
        self, inputs: Iterable[Input], journal_of: Callable[[Input], Journal]
    ) -> Generator[Outcome, None, None]: ...


def go_through(
    make_runner: Callable[[], InputRunner], writer: Writer, inputs: Sequence[Input], listener: Listener
) -> None:
    """Read, answer and write the inputs; what is wrong with one input alone is told to the listener. The runner is made
    when there is something to do.

    Inputs that another run is working on are looked at again in the next pass, when that run has finished them or has
    died. A pass ends with no claims left, so that no two runs wait for each other.
    """
    left: Sequence[Input] = inputs
    while left:
        one_pass = _Pass(writer, listener, left)
        one_pass.run(make_runner)
        if len(one_pass.put_off) == len(left):
            listener.waiting(len(left))
            time.sleep(WAIT_S)
        left = one_pass.put_off


class _Pass:
    def __init__(self, writer: Writer, listener: Listener, inputs: Sequence[Input]) -> None:
        self.writer, self.listener, self.inputs = writer, listener, inputs
        self.put_off: list[Input] = []

    def run(self, make_runner: Callable[[], InputRunner]) -> None:
        to_do = self._to_do()
        first = next(to_do, None)
        if first is None:
            return
        with closing(make_runner().run(chain([first], to_do), self.writer.journal)) as outcomes:
            for outcome in outcomes:
                self._write(outcome)

    def _write(self, outcome: Outcome) -> None:
        one = outcome.input
        self.listener.before_write()
        try:
            self.writer.write(one, outcome.envelope)
        except UsageError as error:  # a file has appeared in its place meanwhile
            self.listener.failed(one, error)
        else:
            self.listener.show(one, outcome, self.writer.outputs(one))
            self.listener.kept(self.writer.kept(one))
        self.writer.release(one)

    def _to_do(self) -> Iterator[Input]:
        """The inputs that are to be done and whose results can be written, each checked when its turn comes."""
        for one in self.inputs:
            try:
                if self._claimed(one):
                    self.writer.check(one)
                    yield one
            except MossError as error:
                self.writer.release(one)
                self.listener.failed(one, error)

    def _claimed(self, one: Input) -> bool:
        """Whether the input has no result and is now claimed. It may get a result between the look and the claim."""
        status = self.writer.done_status(one)
        if status is None:
            if not self.writer.claim(one):
                self.put_off.append(one)
                return False
            status = self.writer.done_status(one)
            if status is None:
                return True
            self.writer.release(one)
        self.listener.skipped(one, self.writer.outputs(one), status)
        self.listener.kept(self.writer.kept(one))
        return False
