"""Reading ahead: what is read while something else is done, how far, and that its thread ends."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from moss_cli.audio.chunk import Chunk
from moss_cli.audio.results import SAMPLE_RATE, AudioInfo, Samples
from moss_cli.errors import AudioError
from moss_cli.models.registry import resolve
from moss_cli.run import prefetch, together
from moss_cli.run.input_progress import InputProgress
from moss_cli.run.inputs import Input
from moss_cli.run.job import Job
from moss_cli.run.journal import NoJournal
from moss_cli.run.open_input import Facts, OpenInput, open_input
from moss_cli.run.planned_input import PlannedInput, planned
from moss_cli.run.prefetch import InputQueue, Prefetch
from moss_cli.run.together import PlannedTogether
from moss_cli.span import Span
from moss_cli.tasks.ask import Ask
from moss_cli.tasks.reading.task import Task
from moss_cli.tasks.transcribe import Transcribe

FACTS = Facts(AudioInfo(50.0, SAMPLE_RATE, 1, "hash"), (), complete=True)
BLOCK: Samples = np.zeros(10 * SAMPLE_RATE, np.float32)
ENOUGH_S = 60  # to wait for what comes at once, or does not come at all


def job(task: Task | None = None, **options: float) -> Job:
    return replace(Job(task or Transcribe(), resolve("tiny")), **options)  # type: ignore[arg-type]


class Tape:
    """Stands for `open_input`: five blocks of 10 s each, and notes of what is done to them."""

    def __init__(self, fails_after: int | None = None) -> None:
        self.n_blocks, self.fails_after = 0, fails_after
        self.opened, self.closed, self.third = threading.Event(), threading.Event(), threading.Event()
        self.threads: set[str] = set()

    def __call__(self, file: Input, job: Job) -> OpenInput:
        self.opened.set()
        return OpenInput(job.task, self._blocks(), 0.0, 50.0, lambda: "hash", lambda: FACTS, self._close)

    def _blocks(self) -> Iterator[Samples]:
        self.threads.add(threading.current_thread().name)
        for n in range(5):
            if n == self.fails_after:
                raise AudioError("the tape is torn", code="corrupt")
            self.n_blocks += 1
            if self.n_blocks == 3:
                self.third.set()
            yield BLOCK

    def _close(self) -> None:
        self.threads.add(threading.current_thread().name)
        self.closed.set()


def block_by_block(opened: OpenInput, job: Job, *shared: Any) -> PlannedInput:
    """Stands for `planned`: every block is a chunk."""
    pieces = (Chunk(block, Span(10.0 * n, 10.0 * n + 10), str(n)) for n, block in enumerate(opened.blocks))
    return PlannedInput(job.task, pieces, 0.0, 50.0, opened.sha256, opened.facts, opened.close)


@pytest.fixture
def tape(monkeypatch: pytest.MonkeyPatch) -> Tape:
    one = Tape()
    monkeypatch.setattr(together, "open_input", one)
    monkeypatch.setattr(together, "planned", block_by_block)
    return one


@pytest.fixture
def file(tmp_path: Path) -> Input:
    path = tmp_path / "a.wav"
    path.touch()
    return Input(path)


def alone(opened: PlannedTogether) -> Iterator[Chunk | Span]:
    """The pieces of an input that is read for one job."""
    for pieces in opened.pieces:
        [(place, piece)] = pieces
        assert place == 0
        yield piece


def started(file: Input, job: Job) -> Prefetch:
    one = Prefetch(file, [job])
    one.start()
    return one


def test_a_thread_decodes_no_more_than_the_bound_before_it_is_asked_and_ends_when_it_is_closed(
    tape: Tape, file: Input, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefetch, "AHEAD_S", 25.0)
    one = started(file, job())
    assert tape.third.wait(ENOUGH_S)
    one._thread.join(0.5)  # without a bound it would have come to its end
    assert one._thread.is_alive()
    assert (tape.n_blocks, tape.closed.is_set(), one.is_read) == (3, False, False)
    one.close()
    assert (tape.n_blocks, tape.closed.is_set(), one._thread.is_alive()) == (3, True, False)


def test_what_is_taken_makes_room_up_to_the_end(tape: Tape, file: Input, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "AHEAD_S", 10.0)
    one = started(file, job())
    opened = one.opened()
    [recording] = opened.by_job
    assert isinstance(recording, PlannedInput)
    assert (recording.sha256(), recording.total_s) == ("hash", 50.0)
    assert [piece.name for piece in alone(opened) if isinstance(piece, Chunk)] == ["0", "1", "2", "3", "4"]
    assert recording.facts() is FACTS
    assert one.is_read
    assert (tape.closed.is_set(), tape.threads) == (True, {"prefetch"})


@pytest.mark.parametrize("n_good", [0, 2])
def test_an_error_comes_after_the_pieces_before_it(file: Input, monkeypatch: pytest.MonkeyPatch, n_good: int) -> None:
    tape = Tape(fails_after=n_good)
    monkeypatch.setattr(together, "open_input", tape)
    monkeypatch.setattr(together, "planned", block_by_block)
    pieces = alone(started(file, job()).opened())
    assert [isinstance(next(pieces), Chunk) for _ in range(n_good)] == [True] * n_good
    with pytest.raises(AudioError, match="the tape is torn"):
        next(pieces)
    assert tape.closed.wait(ENOUGH_S)


def test_an_input_that_cannot_be_opened_says_so_when_it_is_asked_for(tmp_path: Path) -> None:
    one = started(Input(tmp_path / "gone.wav"), job())
    one._thread.join(ENOUGH_S)
    with pytest.raises(AudioError, match="no such file"):
        one.opened()


def write_wav(path: Path, samples: np.ndarray) -> None:
    soundfile.write(path, samples, 44_100, format="WAV")


def write_mp3(path: Path, samples: np.ndarray) -> None:
    soundfile.write(path, samples, 44_100, format="MP3")


def write_m4a(path: Path, samples: np.ndarray) -> None:
    with av.open(str(path), "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=44_100, layout="stereo")
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), "fltp", "stereo")
        frame.sample_rate = 44_100
        output.mux([*stream.encode(frame), *stream.encode(None)])


@pytest.mark.parametrize("write", [write_wav, write_mp3, write_m4a])
@pytest.mark.parametrize("options", [{}, {"end_s": 17.3}], ids=["whole", "to 17.3 s"])
def test_the_samples_and_all_that_is_said_of_them_are_those_of_reading_in_turn(
    tmp_path: Path, write: Callable[[Path, np.ndarray], None], options: dict[str, float]
) -> None:
    path = tmp_path / "a"
    write(path, np.random.default_rng(0).uniform(-0.5, 0.5, (25 * 44_100, 2)).astype(np.float32))
    file, whole = Input(path), job(**options)
    plain, opened = planned(open_input(file, whole), whole), started(file, whole).opened()
    [one] = opened.by_job
    assert isinstance(one, PlannedInput)
    assert (one.task, one.offset_s, one.total_s) == (plain.task, plain.offset_s, plain.total_s)
    assert one.sha256() == plain.sha256()
    for ours, theirs in zip(alone(opened), plain.pieces, strict=True):
        if isinstance(ours, Chunk) and isinstance(theirs, Chunk):
            assert np.array_equal(ours.samples, theirs.samples)
            assert (ours.span, ours.name) == (theirs.span, theirs.name)
        else:
            assert ours == theirs
    assert one.facts() == plain.facts()
    plain.close()


def inputs(sources: Iterator[Input], job: Job) -> InputQueue:
    return InputQueue([InputProgress(file, job, NoJournal())] for file in sources)


def test_the_next_input_is_taken_once_the_one_before_has_been_read_and_not_earlier(
    tape: Tape, file: Input, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefetch, "AHEAD_S", 25.0)
    n_taken = 0

    def sources() -> Iterator[Input]:
        nonlocal n_taken
        for _ in range(3):
            n_taken += 1
            yield file

    them = inputs(sources(), job())
    next(them)
    pieces = them.open().pieces
    next(pieces)
    them.look_ahead()
    assert n_taken == 1  # another run may do the next one while this one is read
    assert len(list(pieces)) == 4
    tape.opened.clear()
    for _ in range(2):
        them.look_ahead()
    assert n_taken == 2
    assert tape.opened.wait(ENOUGH_S)  # although its turn has not come
    next(them)
    assert n_taken == 2
    assert len(list(them.open().pieces)) == 5
    them.close()


def test_several_inputs_are_taken_one_after_another_as_far_as_they_are_wanted(tape: Tape, file: Input) -> None:
    them = inputs(iter([file] * 9), job())
    next(them)
    assert len(list(them.open().pieces)) == 5
    for n in (1, 2, 3, 3):
        them.look_ahead(3)
        assert len(them._next) == n
        last = them._next[-1].ahead
        assert last is not None
        last._thread.join(ENOUGH_S)
    for _ in range(4):
        next(them)
        assert len(list(them.open().pieces)) == 5
    them.close()


def test_whether_the_next_piece_would_have_to_be_waited_for_is_known(
    tape: Tape, file: Input, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    def slow(opened: OpenInput, job: Job, *shared: Any) -> PlannedInput:
        def pieces() -> Iterator[Chunk | Span]:
            yield Span(0.0, 10.0)
            go_on.wait(ENOUGH_S)

        return replace(block_by_block(opened, job, *shared), pieces=pieces())

    monkeypatch.setattr(together, "planned", slow)
    them = inputs(iter([file]), job())
    assert them.is_ready  # there is none that could be waited for
    next(them)
    pieces = alone(them.open())
    assert next(pieces) == Span(0.0, 10.0)
    assert not them.is_ready
    go_on.set()
    assert list(pieces) == []
    assert them.is_ready
    them.close()


def test_an_input_is_open_before_it_is_hashed(file: Input, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()

    def slowly_hashed(file: Input, job: Job, *audio: Any) -> OpenInput:
        def sha256() -> str:
            go_on.wait(ENOUGH_S)
            return "hash"

        return replace(Tape()(file, job), sha256=sha256)

    monkeypatch.setattr(together, "open_input", slowly_hashed)
    monkeypatch.setattr(together, "planned", block_by_block)
    one = started(file, job())
    [recording] = one.opened().by_job
    assert isinstance(recording, PlannedInput)
    assert not one.is_ready
    go_on.set()
    assert recording.sha256() == "hash"
    one.close()


def test_what_goes_wrong_with_taking_the_next_input_is_raised_when_its_turn_comes(tape: Tape, file: Input) -> None:
    def sources() -> Iterator[Input]:
        yield file
        raise OSError("no more")

    them = inputs(sources(), job())
    assert [one.input for one in next(them)] == [file]
    assert len(list(them.open().pieces)) == 5
    them.look_ahead()
    with pytest.raises(OSError, match="no more"):
        next(them)


@pytest.mark.parametrize(
    ("task", "options"),
    [(Transcribe(), {"start_s": 1.0}), (Ask("What is said at 0:10?"), {})],
    ids=["--start", "a time in the question"],
)
def test_parts_of_a_file_are_read_in_their_turn(tape: Tape, file: Input, task: Task, options: dict[str, float]) -> None:
    """To go to a place in an MP3 file, stderr is muted: everybody's."""
    them = inputs(iter([file]), job(task, **options))
    next(them)
    assert not tape.opened.is_set()
    list(them.open().pieces)
    assert tape.threads == {threading.current_thread().name}


@pytest.mark.parametrize("path", [Path("-"), Path("fifo")])
def test_what_may_wait_for_its_writer_is_read_in_its_turn(
    tape: Tape, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo")
    Path("-").touch()  # which is not what is meant
    them = inputs(iter([Input(path)]), job())
    next(them)
    assert not tape.opened.is_set()
    list(them.open().pieces)
    assert tape.threads == {threading.current_thread().name}


def test_closing_stops_the_one_that_is_read_and_the_next(file: Input, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "AHEAD_S", 25.0)
    tapes = [Tape(), Tape()]
    unread = iter(tapes)
    monkeypatch.setattr(together, "open_input", lambda file, job: next(unread)(file, job))
    monkeypatch.setattr(together, "planned", block_by_block)
    them = inputs(iter([file, file]), job())
    next(them)
    list(them.open().pieces)
    them.look_ahead()
    assert tapes[1].opened.wait(ENOUGH_S)
    them.close()
    assert all(tape.closed.is_set() for tape in tapes)
    assert "prefetch" not in {thread.name for thread in threading.enumerate()}


def test_any_error_in_the_thread_reaches_the_one_who_asks(file: Input, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(file: Input, job: Job, *audio: Any) -> OpenInput:
        raise MemoryError

    monkeypatch.setattr(together, "open_input", broken)
    with pytest.raises(MemoryError):
        started(file, job()).opened()
