"""Runs a job: loads the model once, takes the inputs as they come, yields an envelope for each.

Inputs are read while their turn has not come, piece by piece, so that pieces of several short ones are answered
together and a long one is never in memory as a whole. They are decoded in a thread, which `ahead` is about; all else
is done in the caller's.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from moss_cli.audio.chunk import Chunk, chunks
from moss_cli.engine.engine import Engine, load_engine
from moss_cli.errors import MossError, UsageError
from moss_cli.run.conversation import Answered, Answerer, OnShown
from moss_cli.run.envelopes import Envelopes, Found
from moss_cli.run.input_progress import FileRun
from moss_cli.run.inputs import Input
from moss_cli.run.job import Job, OnStep, OnText, Outcome, Step
from moss_cli.run.journal import Journal, NoJournal
from moss_cli.run.prefetch import Inputs
from moss_cli.run.second_pass import overall
from moss_cli.run.speech_pieces import Piece, passed_over, plan
from moss_cli.tasks.reading.task import Task

STEP_EVERY = 16  # tokens

_Wanted = tuple[FileRun, int, Piece]  # a piece, and its place among what is found of its file


class Runner:
    """Runs one job. The model is loaded when the first input has been read as audio."""

    def __init__(
        self,
        job: Job,
        on_step: OnStep | None = None,
        on_warning: Callable[[str], None] | None = None,
        on_text: OnText | None = None,
    ) -> None:
        self.job = job
        self._on_step = on_step or (lambda step: None)
        self._on_warning = on_warning or (lambda message: None)
        self._on_text = on_text
        self._engine: Engine | None = None

    def run(
        self, sources: Iterable[Input], journal_of: Callable[[Input], Journal] = lambda source: NoJournal()
    ) -> Generator[Outcome, None, None]:
        """An outcome for each input, in their order. Sources are taken one by one, some before earlier ones are done,
        in this thread; `journal_of` is called for each before the next is taken.

        What is wrong with one input is in its outcome; ModelError and DeviceError, which hold for
        all of them, are raised.
        """
        waiting: deque[FileRun] = deque()
        batch: list[_Wanted] = []
        files = (FileRun(source, self.job.task, journal_of(source)) for source in sources)
        with closing(Inputs(files, self.job)) as inputs:
            for file in inputs:
                waiting.append(file)
                for place, piece in self._pieces(file, inputs):
                    if batch and batch[0][0].task != file.task:
                        self._answer_all(batch)
                    batch.append((file, place, piece))
                    if len(batch) >= self._batch_size(file.source):
                        self._answer_all(batch)
                        yield from self._finished(waiting)
                if self._on_text is not None:  # what is shown while it is decoded comes alone
                    self._answer_all(batch)
                yield from self._finished(waiting)
        self._answer_all(batch)
        yield from self._finished(waiting)

    def with_task(self, task: Task, *, think: bool | None = None) -> Runner:
        """A runner of the same job but for the task and whether it is thought over, with the model as far as it is
        loaded."""
        other = Runner(replace(self.job, task=task, think=think), self._on_step, self._on_warning, self._on_text)
        other._engine = self._engine
        return other

    def ask_text(self) -> Outcome:
        """The answer to a question without audio. Raises MossError."""
        source, task, started = Input(Path("the question")), self.job.task, time.monotonic()
        engine, load_s = self._loaded(source)
        answerer = self._answerer(engine, source, "answering")
        answered = answerer.answer_text(task, on_shown=self._on_shown(task, source))
        seconds = time.monotonic() - started - load_s
        found = Found(task, [answered], answered.reading, 0.0, load_s, seconds)
        return Outcome(source, self._envelopes.answered(found, None))

    @property
    def _envelopes(self) -> Envelopes:
        return Envelopes(self.job, self._engine)

    def _pieces(self, file: FileRun, inputs: Inputs) -> Iterator[tuple[int, Piece]]:
        """Read an input; what is neither passed over nor known from an earlier run is yielded."""
        job = self.job
        self._on_step(Step("reading", file.source))
        with self._blamed([file]), file.timed():
            recording = inputs.open()
            try:
                sha256 = recording.sha256()
                file.begin(recording, sha256)
                chunked = chunks(recording.blocks, longest_s=job.longest_s, offset_s=recording.offset_s)
                heard = self._heard(file, chunked, inputs)
                for piece in plan(heard, sha256, passed_over(file.task) if job.vad else "nothing"):
                    place = file.expect(piece)
                    if isinstance(piece, Piece) and place is not None:
                        with file.paused():
                            yield place, piece
                file.end(recording.facts())
            finally:
                recording.close()

    def _heard(self, file: FileRun, chunked: Iterable[Chunk], inputs: Inputs) -> Iterator[Chunk]:
        """Chunks, with the model loaded before the first: also where nobody speaks, one that cannot be is an error.

        Before each one is listened to, the next input is set going if this one has been read.
        """
        for chunk in chunked:
            with file.paused():
                inputs.look_ahead()
                file.load_s += self._loaded(file.source)[1]
            self._on_step(Step("listening", file.source, 0, file.done_s, file.total_s))
            yield chunk

    @contextmanager
    def _blamed(self, files: Sequence[FileRun]) -> Iterator[None]:
        """What goes wrong in here is the files' fault, but for what holds for all of them."""
        try:
            yield
        except MossError as error:
            if self._engine is None and error.exit_code in (5, 6):
                raise
            for file in files:
                file.fail(error)
        except Exception as error:  # noqa: BLE001 - one input must not take the others with it
            internal = MossError(f"{type(error).__name__}: {error}", code="internal")
            internal.__cause__ = error
            for file in files:
                file.fail(internal)

    def _answer_all(self, batch: list[_Wanted]) -> None:
        """Answer the pieces of a batch, and empty it."""
        wanted = [one for one in batch if one[0].error is None]
        batch.clear()
        if wanted:
            self._answer(wanted)

    def _answer(self, wanted: Sequence[_Wanted]) -> None:
        """Answer pieces together. Where that fails, fewer at a time: memory may not hold all of them, or one of them
        may be at fault."""
        files = list(dict.fromkeys(file for file, _, _ in wanted))
        with self._blamed(files):
            engine, load_s = self._loaded(files[0].source)
            files[0].load_s += load_s
            started = time.monotonic()
            try:
                answers = self._answerer(engine, files[0].source, "listening", files[0]).answer(
                    files[0].task, [piece for _, _, piece in wanted], on_shown=self._shown(files)
                )
            except MossError:
                if len(wanted) == 1:
                    raise
                half = len(wanted) // 2
                self._answer(wanted[:half])
                self._answer(wanted[half:])
                return
            share_s = (time.monotonic() - started) / len(wanted)
            for (file, place, piece), answered in zip(wanted, answers, strict=True):
                file.seconds += share_s
                if isinstance(answered, MossError):
                    file.fail(answered)
                else:
                    file.found(place, piece, answered)

    def _finished(self, waiting: deque[FileRun]) -> Iterator[Outcome]:
        """The outcomes of the inputs that are done, as far as no earlier one is missing."""
        while waiting and waiting[0].done:
            file = waiting.popleft()
            with self._blamed([file]):
                if file.error is None:
                    yield self._outcome(file)
            if file.error is not None:
                yield Outcome(file.source, self._envelopes.failed(file.source, file.error), file.error)

    def _outcome(self, file: FileRun) -> Outcome:
        answered = file.answered
        reading = file.reading()
        if self.job.model.entry.text_only and self._engine is not None:
            with file.timed():
                answerer = self._answerer(self._engine, file.source, "answering")
                reading, more = overall(answerer, file.task, answered, reading)
                answered = [*answered[:-1], _adding(answered[-1], more)] if answered else answered
        found = Found(
            file.task,
            answered,
            reading,
            file.span.duration_s,
            file.load_s,
            file.seconds,
            notices=file.notices(),
            whole=file.complete,
        )
        return Outcome(file.source, self._envelopes.answered(found, file.input_info()))

    def _loaded(self, source: Input) -> tuple[Engine, float]:
        """The engine, and the seconds that loading it took of this input's time."""
        if self._engine is not None:
            return self._engine, 0.0
        self._on_step(Step("loading", source))
        engine = load_engine(
            self.job.model.folder,
            device=self.job.device,
            dtype=self.job.dtype,
            with_grammars=any(question.form for question in self.job.task.questions),
        )
        if self.job.think and not engine.can_think:
            raise UsageError(f"{self.job.model.entry.name} has no tokens to think with", hint="drop --think")
        self._engine = engine
        for message in engine.warnings:
            self._on_warning(message)
        return engine, engine.load_seconds

    def _batch_size(self, source: Input) -> int:
        if self.job.batch_size is not None:
            size = self.job.batch_size
        else:
            size = 8 if self._loaded(source)[0].placement.device.type == "cuda" else 4
        # One answer more than is shown at a time: only at an input's end is it known to have one piece.
        return max(2, size) if self._on_text is not None else size

    def _answerer(self, engine: Engine, source: Input, what: str, file: FileRun | None = None) -> Answerer:
        done_s, total_s = (file.done_s, file.total_s) if file is not None else (0.0, None)
        self._on_step(Step(what, source, 0, done_s, total_s))

        def count(n_tokens: int) -> None:
            if n_tokens % STEP_EVERY == 0:
                self._on_step(Step(what, source, n_tokens, done_s, total_s))

        return Answerer(engine, self.job, count)

    def _shown(self, files: Sequence[FileRun]) -> OnShown | None:
        """Where the only piece of an input is shown while it is decoded; several are merged before they are shown."""
        [file, *others] = files
        return self._on_shown(file.task, file.source) if not others and file.is_one_piece else None

    def _on_shown(self, task: Task, source: Input) -> OnShown | None:
        on_text = self._on_text
        return (lambda text: on_text(source, text)) if on_text is not None and task.shows else None


def _adding(answered: Answered, more: Answered | None) -> Answered:
    """The last piece's usage, and its thought, with those of what was asked about all pieces."""
    if more is None:
        return answered
    return replace(
        answered,
        n_prompt=answered.n_prompt + more.n_prompt,
        n_generated=answered.n_generated + more.n_generated,
        thought="\n\n".join(thought for thought in (answered.thought, more.thought) if thought) or None,
    )
