"""Runs a job: loads the model once, takes the inputs one by one, yields an envelope for each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from moss_cli.audio.chunk import chunks
from moss_cli.audio.decode import Audio, load, stream
from moss_cli.engine.engine import Engine, load_engine
from moss_cli.errors import DeviceError, MossError, UsageError
from moss_cli.schema import Notice
from moss_cli.tasks.answering import Answered, Answerer, OnShown
from moss_cli.tasks.envelopes import Envelopes, Found, input_info
from moss_cli.tasks.job import Job, OnStep, OnText, Outcome, Source, Step
from moss_cli.tasks.pieces import Piece, plan
from moss_cli.tasks.task import Reading, Span, Task

STEP_EVERY = 16  # tokens


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

    def run(self, sources: Sequence[Source]) -> Iterator[Outcome]:
        """An outcome for each input, in their order.

        What is wrong with one input is in its outcome; ModelError and DeviceError, which hold for
        all of them, are raised.
        """
        for source in sources:
            yield self._outcome(source)

    def ask_text(self) -> Outcome:
        """The answer to a question without audio. Raises MossError."""
        source, task, started = Source(Path(), "the question"), self.job.task, time.monotonic()
        engine, load_seconds = self._loaded(source)
        answerer = self._answerer(engine, source, "answering")
        answered = answerer.answer_text(task, on_shown=self._on_shown(task, source))
        seconds = time.monotonic() - started - load_seconds
        found = Found(task, [answered], answered.reading, answerer.usage, 0.0, load_seconds, seconds)
        return Outcome(self._envelopes.answered(found, None))

    @property
    def _envelopes(self) -> Envelopes:
        return Envelopes(self.job, self._engine)

    def _outcome(self, source: Source) -> Outcome:
        try:
            return self._analyse(source)
        except MossError as error:
            if self._engine is None and error.exit_code in (5, 6):
                raise
            return Outcome(self._envelopes.failed(source, error), error)

    def _analyse(self, source: Source) -> Outcome:
        job, started = self.job, time.monotonic()
        self._on_step(Step("reading", source))
        task, audio = self._read(source)
        engine, load_seconds = self._loaded(source)
        answerer = self._answerer(engine, source, "listening")
        chunked = chunks(iter([audio.samples]), longest_s=job.longest_s, offset_s=audio.offset_s)
        pieces = plan(chunked, skip_silence=task.needs_speech and job.vad)
        answered = list(self._answered(answerer, task, pieces, audio, source))
        span = Span(audio.offset_s, audio.offset_s + audio.duration_s)
        found = Found(
            task,
            answered,
            _merged(task, answered, span),
            answerer.usage,
            audio.duration_s,
            load_seconds,
            time.monotonic() - started - load_seconds,
            notices=tuple(Notice(code=w.code, message=w.message, start=w.start_s, end=w.end_s) for w in audio.warnings),
            whole=audio.complete,
        )
        return Outcome(self._envelopes.answered(found, input_info(source, audio)))

    def _answered(
        self, answerer: Answerer, task: Task, pieces: Iterator[Piece | Span], audio: Audio, source: Source
    ) -> Iterator[Answered]:
        """What came of each piece, in order, as many together as a batch holds."""
        first = list(islice(pieces, 2))
        on_shown = self._on_shown(task, source) if len(first) == 1 else None  # else it is merged before it is shown
        size = self.job.batch_size or _batch_size(answerer.engine)
        batch: list[Piece | Span] = []
        for piece in chain(first, pieces):
            batch.append(piece)
            if sum(isinstance(one, Piece) for one in batch) == size:
                yield from self._answer_batch(answerer, task, batch, audio.info.sha256, on_shown)
                batch = []
        yield from self._answer_batch(answerer, task, batch, audio.info.sha256, on_shown)

    def _answer_batch(
        self, answerer: Answerer, task: Task, batch: Sequence[Piece | Span], input_id: str, on_shown: OnShown | None
    ) -> Iterator[Answered]:
        pieces = [one for one in batch if isinstance(one, Piece)]
        answers = iter(_answers(answerer, task, pieces, input_id, on_shown))
        for one in batch:
            if isinstance(one, Piece):
                yield from next(answers)
            else:
                yield Answered(one, task.read([""] * len(task.questions), one), "no_speech")

    def _read(self, source: Source) -> tuple[Task, Audio]:
        """The samples, and the task as it is asked about them: of a question that names a time, that part."""
        job = self.job
        whole_range = job.start_s is None and job.end_s is None
        if whole_range and job.task.may_name_a_time and source.path.is_file():
            with stream(source.path) as header:
                duration_s = header.duration_s
            focus = None if duration_s is None else job.task.focus(duration_s)
            if focus is not None:
                part = load(source.path, start_s=focus.start_s, end_s=focus.end_s, max_duration_s=job.max_duration_s)
                return focus.task, part
        audio = load(source.path, start_s=job.start_s, end_s=job.end_s, max_duration_s=job.max_duration_s)
        # A pipe can be read only once, and some files say their length only at their end.
        focus = job.task.focus(audio.info.duration_s) if whole_range else None
        return (job.task, audio) if focus is None else (focus.task, audio.part(focus.start_s, focus.end_s))

    def _loaded(self, source: Source) -> tuple[Engine, float]:
        """The engine, and the seconds that loading it took of this input's time."""
        if self._engine is not None:
            return self._engine, 0.0
        self._on_step(Step("loading", source))
        self._engine = load_engine(
            self.job.model.folder,
            device=self.job.device,
            dtype=self.job.dtype,
            with_grammars=any(question.grammar for question in self.job.task.questions),
        )
        if self.job.think and not self._engine.can_think:
            raise UsageError(f"{self.job.model.entry.name} has no tokens to think with", hint="drop --think")
        for message in self._engine.warnings:
            self._on_warning(message)
        return self._engine, self._engine.load_seconds

    def _answerer(self, engine: Engine, source: Source, what: str) -> Answerer:
        self._on_step(Step(what, source))

        def count(n_tokens: int) -> None:
            if n_tokens % STEP_EVERY == 0:
                self._on_step(Step(what, source, n_tokens))

        return Answerer(engine, self.job, count)

    def _on_shown(self, task: Task, source: Source) -> OnShown | None:
        on_text = self._on_text
        return (lambda text: on_text(source, text)) if on_text is not None and task.shows else None


def _batch_size(engine: Engine) -> int:
    return 8 if engine.placement.device.type == "cuda" else 4


def _answers(
    answerer: Answerer, task: Task, pieces: Sequence[Piece], input_id: str, on_shown: OnShown | None
) -> list[list[Answered]]:
    """What came of each piece. Where memory does not hold all of them together, fewer at a time."""
    try:
        return answerer.answer(task, pieces, input_id, on_shown=on_shown)
    except DeviceError as error:
        if error.code != "out_of_memory" or len(pieces) < 2:
            raise
    half = len(pieces) // 2
    return [
        *_answers(answerer, task, pieces[:half], input_id, None),
        *_answers(answerer, task, pieces[half:], input_id, None),
    ]


def _merged(task: Task, answered: Sequence[Answered], span: Span) -> Reading:
    if not answered:  # an input without a sample
        return task.read([""] * len(task.questions), span)
    if len(answered) == 1:
        return answered[0].reading
    return task.merge([one.part for one in answered])
