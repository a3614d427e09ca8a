"""Going through the inputs: what is done is passed over, what another run is at is put off."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import chain
from typing import TYPE_CHECKING

from moss_cli.cli.report import Report
from moss_cli.cli.writers import Writer
from moss_cli.errors import MossError, UsageError
from moss_cli.folders.names import PlannedInput, path_text
from moss_cli.run.job import Source

if TYPE_CHECKING:
    from moss_cli.run.runner import Runner

WAIT_S = 0.5  # between looks at what other runs are at


def go_through(
    make_runner: Callable[[], Runner], writer: Writer, inputs: Sequence[PlannedInput], report: Report
) -> None:
    """Read, answer and write the inputs; what is wrong with one of them alone goes to the report. The runner is asked
    for when there is something to do.

    In as many passes as it takes: inputs that another run is at are looked at again at the end, when that run has done
    them or has died. In a pass all that was claimed is given back, so that no two runs wait for each other.
    """
    left: Sequence[PlannedInput] = inputs
    while left:
        turns = _Turns(writer, report, left)
        turns.take(make_runner)
        if len(turns.put_off) == len(left):
            report.waiting(len(left))
            time.sleep(WAIT_S)
        left = turns.put_off


class _Turns:
    """One pass."""

    def __init__(self, writer: Writer, report: Report, inputs: Sequence[PlannedInput]) -> None:
        self.writer, self.report, self.inputs = writer, report, inputs
        self.put_off: list[PlannedInput] = []
        self._given: deque[PlannedInput] = deque()  # to the runner, whose outcomes come in the same order

    def take(self, make_runner: Callable[[], Runner]) -> None:
        sources = self._sources()
        first = next(sources, None)
        if first is None:
            return
        with closing(
            make_runner().run(chain([first], sources), lambda source: self.writer.journal(self._given[-1]))
        ) as outcomes:
            for outcome in outcomes:
                one = self._given.popleft()
                self.report.console.clear()  # stdout may be the same terminal
                try:
                    self.writer.write(one, outcome.envelope)
                except UsageError as error:  # a file has appeared in its place meanwhile
                    self.report.failed(one, error)
                else:
                    self.report.show(one, outcome, self.writer.outputs(one))
                self.writer.release(one)

    def _sources(self) -> Iterator[Source]:
        """The inputs that are to be done and whose results can be written, each looked at when its turn comes."""
        for one in self.inputs:
            try:
                if self._is_to_do(one):
                    self.writer.check(one)
                    self._given.append(one)
                    yield Source(one.path, *path_text(one.path))
            except MossError as error:
                self.writer.release(one)
                self.report.failed(one, error)

    def _is_to_do(self, one: PlannedInput) -> bool:
        """Whether it has no result yet; then it is claimed. It may get one between the look and the claim."""
        standing = self.writer.standing(one)
        if standing is None:
            if not self.writer.claim(one):
                self.put_off.append(one)
                return False
            standing = self.writer.standing(one)
            if standing is None:
                return True
            self.writer.release(one)
        self.report.skipped(one, self.writer.outputs(one), standing)
        return False
