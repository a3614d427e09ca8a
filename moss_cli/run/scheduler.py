"""Which inputs are being read, asked about and brought to their end.

Inputs are read one after another, chunk by chunk, and what a task asks about a chunk is a conversation of its own: they
are in flight together, those of all inputs, as many as the backend answers at once. So a long input is never in memory
as a whole, nothing waits for its neighbour, and what goes wrong with one task of one input is its own affair. The model
is loaded while the first input is read, and what is in flight goes on while the next chunk has yet to be read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal

from moss_cli.audio.chunk import Chunk
from moss_cli.backends.protocol import Clip
from moss_cli.errors import ExitCode, MossError, as_moss_error
from moss_cli.run.clock import SharedClock
from moss_cli.run.conversation import Asking
from moss_cli.run.envelopes import Analysis
from moss_cli.run.host import Host
from moss_cli.run.in_flight import InFlight
from moss_cli.run.input_progress import InputProgress
from moss_cli.run.job import Outcome, Step
from moss_cli.run.planned_input import PlannedInput
from moss_cli.run.prefetch import InputQueue
from moss_cli.run.second_pass import Whole, needs_second_pass, second_pass
from moss_cli.run.together import Pieces

STEP_EVERY = 16  # tokens; chosen
MOST_AHEAD = 4  # inputs read before their turn, as far as so many chunks are answered together; chosen
OF_ALL_INPUTS = (ExitCode.MODEL, ExitCode.DEVICE)  # what goes wrong with these while the model is loaded


@dataclass(frozen=True)
class _Wanted:
    """A chunk that a task is to be asked about, and its place among the chunks of its input."""

    file: InputProgress
    place: int
    chunk: Chunk


class Scheduler:
    """One run over inputs."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._waiting: deque[InputProgress] = deque()  # in the order in which their outcomes come
        self._flight: InFlight | None = None  # once the model is loaded
        self._beside: dict[InputProgress, Sequence[InputProgress]] = {}  # all that is about the same input

    def outcomes(self, files: Iterable[Sequence[InputProgress]]) -> Generator[Outcome, None, None]:
        """An outcome for each task of each input, in the order of the inputs. `files`: what stands together is about
        one input."""
        is_read = False
        with closing(InputQueue(files)) as queue, closing(self._wanted(queue)) as wanted:
            try:
                while True:
                    if not is_read and self._has_room and (queue.is_ready or not self._n_in_flight):
                        try:
                            one = next(wanted)
                        except StopIteration:
                            is_read = True
                        else:
                            if one is not None:
                                self._ask_all(one)
                            elif queue.may_block:  # nobody else is to wait for whoever writes into that pipe
                                yield from self._drained()
                    elif self._n_in_flight:
                        self._step()
                    else:
                        return
                    self._look_ahead(queue)
                    self._tell_certain()
                    yield from self._finished()
            finally:
                if self._flight is not None:
                    self._flight.drop_all()

    @property
    def _n_in_flight(self) -> int:
        return 0 if self._flight is None else len(self._flight)

    @property
    def _has_room(self) -> bool:
        return self._flight is None or self._flight.has_room

    def _look_ahead(self, queue: InputQueue) -> None:
        if self._flight is not None:
            queue.look_ahead(min(MOST_AHEAD, self._flight.backend.n_together))

    def _step(self) -> None:
        assert self._flight is not None
        self._flight.step()

    def _tell_certain(self) -> None:
        """Tell what has become certain of the input whose outcome comes next."""
        file = self._waiting[0] if self._waiting else None
        if file is None or file.error is not None or not self._host.tells_certain:
            return
        for certain in file.certain():
            self._host.certain(file.input, certain)

    def _drained(self) -> Iterator[Outcome]:
        """Bring all that is in flight to its end."""
        yield from self._finished()
        while self._n_in_flight:
            self._step()
            self._tell_certain()
            yield from self._finished()

    def _wanted(self, queue: InputQueue) -> Generator[list[_Wanted] | None, None, None]:
        """The chunks that are to be asked about, those that begin together at once; None before each input is opened,
        and where the next piece of one may have yet to be read."""
        for files in queue:
            self._waiting.extend(files)
            yield None
            self._host.step(Step("reading", files[0].input))
            try:
                yield from self._read(files, queue)
            except Exception as error:
                failure = as_moss_error(error)
                if not self._host.is_loaded and failure.exit_code in OF_ALL_INPUTS:
                    raise failure from error
                for file in files:
                    self._fail(file, failure)
            for file in files:
                self._settle(file)

    def _read(self, files: Sequence[InputProgress], queue: InputQueue) -> Iterator[list[_Wanted] | None]:
        """Read an input; what is neither skipped nor known from an earlier run is yielded.

        The model begins to be loaded when the first input is open, and is waited for where a piece is to be asked
        about, or at the end: also where nobody speaks, one that cannot be loaded is an error.
        """
        held: list[_Wanted] | None = None
        input, clock = files[0].input, SharedClock([file.took for file in files])
        with clock.running():
            opened = queue.open()
            try:
                with clock.paused():
                    self._host.load(input)
                self._begin(files, opened.by_job)
                for pieces in opened.pieces:
                    with clock.paused():
                        queue.look_ahead()
                    wanted = self._wanted_of(files, pieces) or None
                    if wanted is not None:
                        with clock.paused():
                            self._load(files)
                    self._tell("listening", files[0])
                    # Only what is known to be all of its input is shown while it comes.
                    if self._host.shows_text and wanted is not None:
                        held, wanted = wanted, held
                    with clock.paused():
                        yield wanted
                    if all(file.error is not None for file in files):  # the rest of it is not worth reading
                        return
                with clock.paused():
                    self._load(files)
                for file, plan in zip(files, opened.by_job, strict=True):
                    if isinstance(plan, PlannedInput):
                        file.end(plan.facts())
                if held is not None:
                    with clock.paused():
                        yield held
            finally:
                opened.close()

    def _begin(self, files: Sequence[InputProgress], plans: Sequence[PlannedInput | MossError]) -> None:
        for file, plan in zip(files, plans, strict=True):
            if isinstance(plan, MossError):
                self._fail(file, plan)
            else:
                file.begin(plan, plan.sha256())
        for file in files:
            self._beside[file] = files

    def _wanted_of(self, files: Sequence[InputProgress], pieces: Pieces) -> list[_Wanted]:
        """Pieces as they are asked about, without what is skipped, or known from an earlier run."""
        found = ((files[number], piece, files[number].expect(piece)) for number, piece in pieces)
        return [
            _Wanted(file, place, piece)
            for file, piece, place in found
            if place is not None and isinstance(piece, Chunk) and file.error is None
        ]

    def _load(self, files: Sequence[InputProgress]) -> None:
        """Have the model loaded."""
        backend, load_s = self._host.loaded(files[0].input)
        for file in files:
            file.load_s += load_s
        if self._flight is None:
            self._flight = InFlight(backend, self._decoded)

    def _decoded(self, owner: Hashable, n_decoded: int) -> None:
        """Tell, once in a while, that more of an answer has come."""
        if isinstance(owner, InputProgress) and n_decoded % STEP_EVERY == 0:
            self._tell("answering", owner, n_decoded)

    def _tell(self, what: Literal["listening", "answering"], file: InputProgress, n_decoded: int = 0) -> None:
        """Tell what is being done, and how much of the input is done by all its tasks together."""
        beside = self._beside.get(file, (file,))
        done_s, known_s = (sum(of) / len(beside) for of in zip(*((f.done_s, f.known_s) for f in beside), strict=True))
        total_s = next((one.total_s for one in beside if one.total_s is not None), None)
        self._host.step(Step(what, file.input, n_decoded, done_s, total_s, known_s))

    def _ask_all(self, together: Sequence[_Wanted]) -> None:
        clips: dict[Hashable, Clip] | None = {} if len(together) > 1 else None
        # Who asks most begins first, so as not to be the last one left, which is decoded alone.
        for wanted in sorted(together, key=lambda one: len(one.file.task.questions), reverse=True):
            self._ask(wanted, clips)

    def _ask(self, wanted: _Wanted, clips: dict[Hashable, Clip] | None) -> None:
        file, chunk = wanted.file, wanted.chunk
        if file.error is not None or self._flight is None:
            return

        def take(found: Any) -> None:
            if isinstance(found, MossError):
                self._fail(file, found)
            else:
                file.found(wanted.place, chunk, found)
                self._settle(file)

        asking = Asking(file.task, file.job, file.sha256, self._host.shows_text, file.source, clips)
        self._flight.begin(file, asking.about(chunk), take, on_seconds=file.took, on_text=self._shown(file))

    def _shown(self, file: InputProgress) -> Callable[[str], None] | None:
        """Where the only chunk of the input that comes next is shown; several are merged before they are shown."""
        if not self._host.shows_text:
            return None
        show = self._host.shown(file.input)

        def show_first(text: str) -> None:
            if file.is_one_chunk and self._waiting and self._waiting[0] is file:
                show(text)

        return show_first

    def _settle(self, file: InputProgress) -> None:
        """Bring an input together, once all its chunks are answered: by rule, and by a second pass where that helps."""
        if file.error is not None or not file.is_answered or file.is_settling:
            return
        file.is_settling = True
        try:
            merged, parts = file.merged(), file.parts
            asks = file.job.model.entry.text_only and needs_second_pass(file.task, parts)
        except Exception as error:  # noqa: BLE001 - one input must not take the others with it
            file.fail(as_moss_error(error))
            return
        if self._flight is None or not asks:
            file.whole = Whole(merged)
            return

        def take(whole: Any) -> None:
            if isinstance(whole, MossError):
                file.fail(whole)
            else:
                file.whole = whole

        self._tell("answering", file)
        asking = second_pass(file.task, parts, merged, file.job, self._flight.backend.fits)
        self._flight.begin(file, asking, take, on_seconds=file.took)

    def _fail(self, file: InputProgress, error: MossError) -> None:
        file.fail(error)
        if self._flight is not None:
            self._flight.drop(file)

    def _finished(self) -> Iterator[Outcome]:
        """The outcomes of the inputs that are done, as far as no earlier one is missing; of the tasks of one input each
        as it is done."""
        while self._waiting:
            beside = self._beside.get(self._waiting[0], (self._waiting[0],))
            done = next((file for file in self._waiting if file.done and file in beside), None)
            if done is None:
                return
            self._waiting.remove(done)
            yield self._outcome(done)

    def _outcome(self, file: InputProgress) -> Outcome:
        self._host.tell_warnings()
        envelopes = self._host.envelopes(file.job)
        self._beside.pop(file, None)
        if file.error is None and file.whole is not None:
            try:
                seconds, notices = (file.load_s, file.seconds), file.notices()
                analysis = Analysis(
                    file.task, file.parts, file.whole, file.span.duration_s, *seconds, notices, is_whole=file.is_whole
                )
                return Outcome(file.input, envelopes.analysed(analysis, file.info()))
            except Exception as error:  # noqa: BLE001 - one input must not take the others with it
                file.fail(as_moss_error(error))
        failure = file.error or MossError("there is no result", code="internal")
        return Outcome(file.input, envelopes.failed(file.input, failure), failure)
