"""A job run by the workers of a cluster, as if it were run here: inputs go in one by one, outcomes come out.

The driver gives each worker a few inputs ahead. What a worker that dies had been given goes to others, with the pieces
that its journal holds. An input during which workers die again and again is at fault itself, and fails.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moss_cli import __version__
from moss_cli.cluster.connection import Cluster, WorkerDied, WorkerSize, connected
from moss_cli.cluster.messages import Began, FoundPiece, Given, InputEnded, Message, Stepped, Stopped, Warned
from moss_cli.cluster.options import ClusterOptions
from moss_cli.errors import DeviceError, MossError, UsageError, counted
from moss_cli.run.envelopes import Envelopes
from moss_cli.run.inputs import Input
from moss_cli.run.job import Job, OnStep, Outcome
from moss_cli.run.journal import Journal

AHEAD = 16  # inputs that a worker is given before their outcomes are known; chosen: more than are decoded together
AHEAD_BYTES = 1 << 28  # of inputs whose bytes are sent; chosen
MOST_DEATHS = 3  # of workers that had an input; from the second on it is given alone
MOST_DEATHS_IN_A_ROW = 8  # of workers, without an outcome between them; chosen
PATIENCE_S = 600.0  # without any worker; chosen: a cluster that grows by itself takes minutes to start a node
_WAIT_S = 1.0

Connect = Callable[[ClusterOptions], AbstractContextManager[Cluster]]


@dataclass(eq=False)
class _OneInput:
    """An input that has been taken and has no outcome."""

    number: int
    input: Input
    journal: Journal
    n_bytes: int = 0
    n_deaths: int = 0


@dataclass(eq=False)
class _Hand:
    """A worker as the driver sees it. `hello` until it has answered, then `messages`."""

    actor: Any
    hello: Any
    node: str = ""
    messages: Any = None
    has: dict[int, _OneInput] = field(default_factory=dict)

    @property
    def is_ready(self) -> bool:
        return self.messages is not None

    def has_room(self, collects: bool) -> bool:
        if any(one.n_deaths > 1 for one in self.has.values()):
            return False
        n_bytes = sum(one.n_bytes for one in self.has.values()) if collects else 0
        return self.is_ready and len(self.has) < AHEAD and n_bytes < AHEAD_BYTES


class ClusterRunner:
    """Runs one job on a cluster."""

    def __init__(
        self,
        job: Job,
        options: ClusterOptions,
        on_step: OnStep | None = None,
        on_warning: Callable[[str], None] | None = None,
        on_note: Callable[[str], None] | None = None,
        *,
        connect: Connect = connected,
    ) -> None:
        self._connect = connect
        self.job, self.options = job, options
        self._on_step = on_step or (lambda step: None)
        self._on_warning = on_warning or (lambda message: None)
        self._on_note = on_note or (lambda message: None)

    def run(self, inputs: Iterable[Input], journal_of: Callable[[Input], Journal]) -> Generator[Outcome, None, None]:
        """An outcome for each input, in the order in which they come. Inputs are taken one by one, a few ahead.

        Raises DeviceError where there is no cluster or no worker left, ModelError where no node has the model.
        """
        with self._connect(self.options) as cluster:
            yield from _Run(self, cluster).outcomes(iter(inputs), journal_of)

    def warn(self, message: str) -> None:
        self._on_warning(message)

    def note(self, message: str) -> None:
        self._on_note(message)

    def step(self, stepped: Stepped) -> None:
        self._on_step(stepped.step)


class _Run:
    def __init__(self, runner: ClusterRunner, cluster: Cluster) -> None:
        self._runner, self._cluster = runner, cluster
        self._size: WorkerSize = cluster.size_of(runner.job, runner.options.n_workers)
        self._hands: list[_Hand] = []
        self._again: deque[_OneInput] = deque()  # of workers that died
        self._n_taken = 0
        self._is_all = False
        self._warned: set[str] = set()
        self._stopped: MossError | None = None  # why the last worker could not go on
        self._lonely_since: float | None = None
        self._n_deaths = 0  # since the last outcome

    def outcomes(
        self, inputs: Iterator[Input], journal_of: Callable[[Input], Journal]
    ) -> Generator[Outcome, None, None]:
        for _ in range(self._size.n_workers):
            self._start()
        try:
            while True:
                self._give(inputs, journal_of)
                if self._is_all and not self._again and not any(hand.has for hand in self._hands):
                    return
                self._check_alive()
                for hand in self._heard_of():
                    yield from self._hear(hand)
        finally:
            for hand in self._hands:
                self._cluster.stop(hand.actor)

    def _start(self) -> None:
        actor = self._cluster.start(self._runner.job, self._size)
        self._hands.append(_Hand(actor, actor.hello.remote()))

    def _give(self, inputs: Iterator[Input], journal_of: Callable[[Input], Journal]) -> None:
        """Give inputs to the workers that have room, to those that have fewest first."""
        while ready := [hand for hand in self._hands if hand.has_room(self._runner.options.collects)]:
            hand = min(ready, key=lambda one: len(one.has))
            one = self._again[0] if self._again else self._taken(inputs, journal_of)
            if one is None or (one.n_deaths > 1 and hand.has):
                return  # what killed two workers is given to one that has nothing else
            if self._again:
                self._again.popleft()
            hand.has[one.number] = one
            hand.actor.give.remote(self._given(one))

    def _taken(self, inputs: Iterator[Input], journal_of: Callable[[Input], Journal]) -> _OneInput | None:
        one = next(inputs, None)
        if one is None:
            self._is_all = True
            return None
        self._n_taken += 1
        return _OneInput(self._n_taken, one, journal_of(one))

    def _given(self, one: _OneInput) -> Given:
        path = Path(one.input.identity)
        if not self._runner.options.collects:
            return Given(one.number, one.input, path)
        try:
            data = one.input.path.read_bytes()
        except OSError:
            return Given(one.number, one.input, path)  # a worker finds out in its own way that it cannot be read
        one.n_bytes = len(data)
        return Given(one.number, one.input, path, data)

    def _heard_of(self) -> list[_Hand]:
        waited_for = {id(what): hand for hand in self._hands for what in (hand.messages or hand.hello,)}
        whats = [hand.messages or hand.hello for hand in self._hands]
        return [waited_for[id(what)] for what in self._cluster.wait(whats, _WAIT_S)]

    def _hear(self, hand: _Hand) -> Iterator[Outcome]:
        try:
            if not hand.is_ready:
                self._greet(hand)
                return
            batch: list[Message] = self._cluster.get(hand.messages)
        except WorkerDied as death:
            yield from self._bury(hand, str(death))
            return
        for message in batch:
            if isinstance(message, InputEnded):
                one = hand.has.pop(message.number, None)
                if one is not None:
                    self._n_deaths = 0
                    self._check_seen(one, hand, message.outcome)
                    yield message.outcome
            elif isinstance(message, Stopped):
                self._stop(hand, message.error)
                return
            else:
                self._take(hand, message)

    def _greet(self, hand: _Hand) -> None:
        version, hand.node = self._cluster.get(hand.hello)
        if version != __version__:
            what = f"the node {hand.node} has moss {version}, and this one {__version__}"
            raise UsageError(what, hint="install the same version on all nodes")
        hand.messages = self._cluster.messages(hand.actor)
        self._runner.note(f"worker on {hand.node}")

    def _take(self, hand: _Hand, message: Message) -> None:
        """Deal with a message that is no outcome."""
        if isinstance(message, Warned):
            self._warn(message.message)
        elif isinstance(message, Stepped):
            self._runner.step(message)
        elif isinstance(message, (Began, FoundPiece)) and (one := hand.has.get(message.number)) is not None:
            if isinstance(message, Began):
                one.journal.begin(message.opened)
                hand.actor.known.remote(one.number, dict(one.journal.pieces))
            else:
                one.journal.put(message.piece, message.found)

    def _check_seen(self, one: _OneInput, hand: _Hand, outcome: Outcome) -> None:
        """Raise UsageError for a file that is here and not on the node."""
        is_missing = outcome.error is not None and outcome.error.code == "not_found"
        if is_missing and not self._runner.options.collects and one.input.path.exists():
            what = f"the node {hand.node} does not see {one.input.shown}"
            raise UsageError(what, hint="add --ray-collect: files are then sent to the nodes, and results brought back")

    def _stop(self, hand: _Hand, error: MossError) -> None:
        """A worker cannot go on: the others do its work. Where there is none left, its reason is that of the run."""
        self._stopped = error
        self._hands.remove(hand)
        self._again.extend(hand.has.values())
        self._cluster.stop(hand.actor)
        if not self._hands:
            raise error
        self._warn(f"the worker on {hand.node} cannot go on: {error.message}")

    def _bury(self, hand: _Hand, reason: str) -> Iterator[Outcome]:
        """A worker has died: start another one, and give what it had to whoever has room."""
        self._hands.remove(hand)
        where = f" on {hand.node}" if hand.node else ""
        left = f"; its {counted(len(hand.has), 'input')} will be done by others" if hand.has else ""
        self._runner.warn(f"a worker{where} has died{left}")
        for one in hand.has.values():
            one.n_deaths += 1
            if one.n_deaths < MOST_DEATHS:
                self._again.append(one)
            else:
                message = f"{MOST_DEATHS} workers died while they were at it, the last with: {reason}"
                error = MossError(message, code="worker_died")
                envelope = Envelopes(self._runner.job, None).failed(one.input, error)
                yield Outcome(one.input, envelope, error)
        self._n_deaths += 1
        if self._n_deaths > MOST_DEATHS_IN_A_ROW:
            raise DeviceError(f"{self._n_deaths} workers have died one after another: {reason}", code="worker_died")
        self._start()

    def _check_alive(self) -> None:
        """Raise DeviceError where there has been no worker for long."""
        if any(hand.is_ready for hand in self._hands):
            self._lonely_since = None
            return
        now = time.monotonic()
        self._lonely_since = self._lonely_since or now
        if now - self._lonely_since > PATIENCE_S:
            what = f"no worker could be started in {PATIENCE_S / 60:.0f} minutes: the cluster has no room for one"
            raise DeviceError(what, hint="look at `ray status`", code="no_cluster")

    def _warn(self, message: str) -> None:
        """Say once what several workers say."""
        if message not in self._warned:
            self._warned.add(message)
            self._runner.warn(message)
