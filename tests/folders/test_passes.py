"""Working through inputs that several runs share: a writer and a runner that do what the test says."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from moss_cli.errors import AudioError, MossError, OutputError, UsageError
from moss_cli.folders import passes
from moss_cli.folders.freshness import SkipStatus
from moss_cli.run.inputs import Input
from moss_cli.run.job import Outcome
from moss_cli.run.journal import Journal, NoJournal
from moss_cli.schema import Envelope

A, B, C = (Input(Path(name)) for name in "abc")


@dataclass
class Folder:
    """A writer; `held` are the inputs of other runs, `done` those that have results."""

    done: dict[Input, SkipStatus] = field(default_factory=dict)
    held: set[Input] = field(default_factory=set)
    finished_when_claimed: set[Input] = field(default_factory=set)
    refused: dict[Input, MossError] = field(default_factory=dict)
    unwritable: dict[Input, MossError] = field(default_factory=dict)
    of_user: dict[Input, Mapping[Path, str]] = field(default_factory=dict)
    claimed: set[Input] = field(default_factory=set)
    log: list[str] = field(default_factory=list)
    resumes: bool = True

    def done_status(self, one: Input) -> SkipStatus | None:
        return self.done.get(one)

    def kept(self, one: Input) -> Mapping[Path, str]:
        return self.of_user.get(one, {})

    def claim(self, one: Input) -> bool:
        if one in self.held:
            return False
        self.claimed.add(one)
        if one in self.finished_when_claimed:
            self.done[one] = "ok"
        return True

    def release(self, one: Input) -> None:
        self.claimed.discard(one)

    def outputs(self, one: Input) -> tuple[Path, ...]:
        return (one.path.with_suffix(".txt"),)

    def journal(self, one: Input) -> Journal:
        self.log.append(f"journal {one.path}")
        return NoJournal()

    def check(self, one: Input) -> None:
        if one in self.refused:
            raise self.refused[one]

    def write(self, one: Input, envelope: Envelope) -> None:
        assert one in self.claimed
        if one in self.unwritable:
            raise self.unwritable[one]
        self.log.append(f"write {one.path}")

    def finish(self) -> None:
        raise AssertionError("the caller finishes")


@dataclass
class Told:
    """A listener; `when_waiting` is done where all that is left is held."""

    when_waiting: Callable[[], None] = lambda: None
    said: list[str] = field(default_factory=list)

    def before_write(self) -> None:
        pass

    def show(self, one: Input, outcome: Outcome, outputs: Sequence[Path]) -> None:
        self.said.append(f"{one.path} in {outputs[0]}")

    def kept(self, files: Mapping[Path, str]) -> None:
        self.said += [f"{path} kept, {why}" for path, why in files.items()]

    def skipped(self, one: Input, outputs: Sequence[Path], status: SkipStatus) -> None:
        self.said.append(f"{one.path} skipped, {status}")

    def failed(self, one: Input, error: MossError) -> None:
        self.said.append(f"{one.path} failed: {error.message}")

    def waiting(self, n_inputs: int) -> None:
        self.said.append(f"waiting for {n_inputs}")
        self.when_waiting()


class Reversed:
    """A runner that answers all of its inputs, the last one first."""

    def run(self, inputs: Iterable[Input], journal_of: Callable[[Input], Journal]) -> Generator[Outcome, None, None]:
        taken = list(inputs)
        for one in taken:
            journal_of(one)
        for one in reversed(taken):
            yield Outcome(one, cast(Envelope, None))


@pytest.fixture(autouse=True)
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "WAIT_S", 0.0)


def go(folder: Folder, told: Told, inputs: Sequence[Input] = (A, B, C)) -> list[str]:
    passes.go_through(Reversed, folder, inputs, told)
    assert not folder.claimed
    return told.said


def test_each_outcome_is_written_as_that_of_its_own_input_in_whatever_order_they_come() -> None:
    folder = Folder()
    assert go(folder, Told()) == ["c in c.txt", "b in b.txt", "a in a.txt"]
    assert folder.log == ["journal a", "journal b", "journal c", "write c", "write b", "write a"]


def test_what_is_done_is_skipped_and_no_runner_is_made_where_all_of_it_is() -> None:
    told = Told()
    passes.go_through(lambda: pytest.fail("made"), Folder(done={A: "ok", B: "partial"}), [A, B], told)
    assert told.said == ["a skipped, ok", "b skipped, partial"]


def test_what_is_kept_is_told_of_inputs_that_are_skipped_and_of_those_that_are_done() -> None:
    folder = Folder(done={A: "kept"}, of_user={A: {Path("a.txt"): "mine"}, B: {Path("b.srt"): "mine too"}})
    assert go(folder, Told(), [A, B]) == ["a skipped, kept", "a.txt kept, mine", "b in b.txt", "b.srt kept, mine too"]


def test_an_input_that_another_run_finishes_between_the_look_and_the_claim_is_skipped() -> None:
    assert go(Folder(finished_when_claimed={B}), Told(), [A, B]) == ["b skipped, ok", "a in a.txt"]


def test_what_another_run_holds_is_put_off_and_looked_at_again() -> None:
    folder = Folder(held={A, C})
    told = Told()

    def others_go_on() -> None:
        if folder.held == {A, C}:
            folder.held, folder.done = {C}, {A: "partial"}  # one is done,
        else:
            folder.held = set()  # and that of the other run dies

    told.when_waiting = others_go_on
    assert go(folder, told) == [
        "b in b.txt",
        "waiting for 2",
        "a skipped, partial",
        "waiting for 1",
        "c in c.txt",
    ]


def test_what_is_wrong_with_one_input_is_told_and_the_others_go_on() -> None:
    folder = Folder(refused={A: AudioError("no")}, unwritable={B: UsageError("exists")})
    assert go(folder, Told()) == ["a failed: no", "c in c.txt", "b failed: exists"]


def test_a_full_disk_ends_the_run() -> None:
    folder: Any = Folder(unwritable={B: OutputError("full")})
    with pytest.raises(OutputError, match="full"):
        passes.go_through(Reversed, folder, [A, B, C], Told())
    assert folder.log[-1] == "write c"
