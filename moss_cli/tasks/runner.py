"""Runs a job: loads the model once, takes the inputs one by one, yields an envelope for each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from moss_cli import __version__
from moss_cli.audio.decode import Audio, load, stream
from moss_cli.audio.vad import has_speech
from moss_cli.engine.engine import Engine, load_engine
from moss_cli.engine.generate import FinishReason, Generation, Request, Thought
from moss_cli.engine.grammar import END_THINK, THINK, Constraint
from moss_cli.engine.loops import without_loop
from moss_cli.engine.model import Prompt
from moss_cli.engine.sampling import Sampling, draw_seed
from moss_cli.errors import MossError, UsageError
from moss_cli.schema import ChunkInfo, Envelope, ErrorInfo, InputInfo, ModelInfo, Notice, Params, Usage
from moss_cli.tasks.job import Job, OnStep, Outcome, Source, Step
from moss_cli.tasks.task import Question, Reading, Span, Task
from moss_cli.tasks.thinking import split_thinking

MOST_ATTEMPTS = 3
AGAIN = Sampling(temperature=1.0, top_k=50)  # what gets the model out of a loop


@dataclass
class _Answers:
    """The answers to a task's questions about one clip."""

    texts: list[str] = field(default_factory=list)
    finish_reason: FinishReason | Literal["no_speech"] = "stop"
    attempts: int = 1
    n_prompt: int = 0
    n_generated: int = 0


class Runner:
    """Runs one job. The model is loaded when the first input has been read as audio."""

    def __init__(
        self, job: Job, on_step: OnStep | None = None, on_warning: Callable[[str], None] | None = None
    ) -> None:
        self.job = job
        self._on_step = on_step or (lambda step: None)
        self._on_warning = on_warning or (lambda message: None)
        self._engine: Engine | None = None

    def run(self, sources: Sequence[Source]) -> Iterator[Outcome]:
        """An outcome for each input, in their order.

        What is wrong with one input is in its outcome; ModelError and DeviceError, which hold for
        all of them, are raised.
        """
        for source in sources:
            yield self._outcome(source)

    def _outcome(self, source: Source) -> Outcome:
        try:
            return Outcome(self._analyse(source))
        except MossError as error:
            if self._engine is None and error.exit_code in (5, 6):
                raise
            return Outcome(self._failed(source, error), error)

    def _analyse(self, source: Source) -> Envelope:
        job, started = self.job, time.monotonic()
        self._on_step(Step("reading", source))
        task, audio = self._read(source)
        self._check_length(source, audio)
        engine, load_seconds = self._loaded(source)
        self._on_step(Step("listening", source))
        span = Span(audio.offset_s, audio.offset_s + audio.duration_s)
        if task.needs_speech and job.vad and not has_speech(audio.samples):
            # Models invent text for clips without speech, and no prompt keeps them from it.
            answers = _Answers([""] * len(task.questions), "no_speech")
        else:
            answers = self._answers(engine, source, task, audio.samples, audio.info.sha256, span)
        return self._envelope(
            task,
            answers,
            span,
            input_info=_input_info(source, audio),
            notices=tuple(Notice(code=w.code, message=w.message, start=w.start_s, end=w.end_s) for w in audio.warnings),
            whole=audio.complete,
            load_seconds=load_seconds,
            seconds=time.monotonic() - started - load_seconds,
        )

    def _untrained(self) -> Iterator[Notice]:
        entry, name = self.job.model.entry, self.job.task.name
        if entry.tasks and name not in entry.tasks:
            message = f"{entry.name} was not trained for {name}: what it answers means nothing"
            yield Notice(code="untrained", message=message)
        elif entry.tasks and not self.job.task.is_usual:
            message = (
                f"{entry.name} was trained for the usual instruction alone: what it answers to another means nothing"
            )
            yield Notice(code="untrained", message=message)

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

    def ask_text(self) -> Outcome:
        """The answer to a question without audio. Raises MossError."""
        source = Source(Path(), "the question")
        started = time.monotonic()
        engine, load_seconds = self._loaded(source)
        self._on_step(Step("answering", source))
        span = Span(0.0, 0.0)
        answers = self._answers(engine, source, self.job.task, None, "", span)
        seconds = time.monotonic() - started - load_seconds
        return Outcome(
            self._envelope(self.job.task, answers, span, input_info=None, load_seconds=load_seconds, seconds=seconds)
        )

    def _envelope(
        self,
        task: Task,
        answers: _Answers,
        span: Span,
        *,
        input_info: InputInfo | None,
        load_seconds: float,
        seconds: float,
        notices: tuple[Notice, ...] = (),
        whole: bool = True,
    ) -> Envelope:
        thoughts, texts = zip(*map(split_thinking, answers.texts), strict=True)
        reading = task.read(texts, span)
        chunk = ChunkInfo(
            start=span.start_s, end=span.end_s, finish_reason=answers.finish_reason, attempts=answers.attempts
        )
        complete = whole and reading.complete and answers.finish_reason in ("stop", "no_speech")
        return Envelope(
            moss=__version__,
            task=task.name,
            status="ok" if complete else "partial",
            input=input_info,
            model=self._model_info(),
            params=self._params(task),
            result=reading.result,
            text=reading.text,
            thinking="\n\n".join(thought for thought in thoughts if thought) or None,
            chunks=(chunk,),
            warnings=(*self._untrained(), *notices, *reading.notices, *_endings(answers, reading, span)),
            usage=Usage(
                audio_seconds=span.duration_s,
                prompt_tokens=answers.n_prompt,
                generated_tokens=answers.n_generated,
                load_seconds=load_seconds,
                seconds=seconds,
            ),
        )

    def _check_length(self, source: Source, audio: Audio) -> None:
        entry = self.job.model.entry
        if audio.duration_s > entry.max_seconds:
            raise UsageError(
                f"{source.shown}: {audio.duration_s:.1f} s is more than {entry.name} takes at once "
                f"({entry.max_seconds:g} s); longer recordings are not cut into pieces yet",
                code="too_long",
                hint="analyse a part of it with --start and --end",
            )

    def _loaded(self, source: Source) -> tuple[Engine, float]:
        """The engine, and the seconds that loading it took of this input's time."""
        if self._engine is not None:
            return self._engine, 0.0
        self._on_step(Step("loading", source))
        self._engine = load_engine(self.job.model.folder, device=self.job.device, dtype=self.job.dtype)
        if self.job.think and not self._engine.can_think:
            raise UsageError(f"{self.job.model.entry.name} has no tokens to think with", hint="drop --think")
        for message in self._engine.warnings:
            self._on_warning(message)
        return self._engine, self._engine.load_seconds

    def _answers(
        self,
        engine: Engine,
        source: Source,
        task: Task,
        samples: np.ndarray | None,
        input_id: str,
        span: Span,
    ) -> _Answers:
        """Ask every question of the task about a clip, or without one."""
        job = self.job
        features = None if samples is None else engine.hear(samples)
        found = _Answers()
        for place, question in enumerate(task.questions):
            prompt = engine.ask(question.prompt, features, time_markers=job.time_markers, think=job.think)
            found.n_prompt += len(prompt.ids)
            answer, attempts = self._answer(engine, source, prompt, question, input_id, span, place)
            found.n_generated += len(answer.ids)
            opened = THINK if job.think else ""  # the prompt's part of the answer
            found.texts.append(opened + engine.text(answer.ids))
            found.attempts = max(found.attempts, attempts)
            if answer.finish_reason != "stop":
                found.finish_reason = answer.finish_reason
        return found

    def _answer(
        self,
        engine: Engine,
        source: Source,
        prompt: Prompt,
        question: Question,
        input_id: str,
        span: Span,
        place: int,
    ) -> tuple[Generation, int]:
        """An answer, and how many attempts it took.

        One that goes round in circles is decoded again with draws (a repetition penalty is known
        not to help); if every attempt does, the first stands, with one round of its loop.
        """
        job = self.job
        first: Generation | None = None
        for attempt in range(1, MOST_ATTEMPTS + 1):
            request = Request(
                prompt,
                job.max_new_tokens or job.task.max_new_tokens(span.duration_s),
                job.sampling if attempt == 1 else AGAIN,
                # A task's second question has draws of its own.
                draw_seed(job.seed, f"{input_id}/{place}" if place else input_id, chunk=0, attempt=attempt),
                self._constraint(engine, question),
                stop_loops=True,
                thought=self._thought(engine),
            )
            answer = self._generate(engine, request, source)
            if answer.finish_reason != "loop":
                return answer, attempt
            first = first or answer
        assert first is not None
        return Generation(without_loop(first.ids), "loop"), MOST_ATTEMPTS

    def _constraint(self, engine: Engine, question: Question) -> Constraint | None:
        if question.grammar is None:
            return None
        job = self.job
        may_think = job.model.entry.thinking is not False if job.think is None else job.think
        return engine.grammars.constrain(question.grammar, thinking=may_think, in_thought=bool(job.think))

    def _thought(self, engine: Engine) -> Thought | None:
        budget = self.job.thinking_budget
        if budget is None or not engine.can_think:
            return None
        special = engine.tokenizer.special
        is_open = bool(self.job.think)
        return Thought(special[THINK], special[END_THINK], budget, engine.closing_words(), is_open)

    def _generate(self, engine: Engine, request: Request, source: Source) -> Generation:
        n_tokens = 0

        def count(index: int, token: int) -> None:
            nonlocal n_tokens
            n_tokens += 1
            if n_tokens % 16 == 0:
                self._on_step(Step("listening", source, n_tokens))

        return engine.generate([request], count)[0]

    def _model_info(self) -> ModelInfo:
        entry, engine = self.job.model.entry, self._engine
        return ModelInfo(
            name=entry.name,
            revision=self.job.model.revision,
            dtype=engine.placement.dtype if engine else self.job.dtype,
            device=str(engine.placement.device) if engine else self.job.device,
            demo=entry.demo,
        )

    def _params(self, task: Task) -> Params:
        job = self.job
        markers = job.time_markers
        if markers is None:
            markers = self._engine.processor.enable_time_marker if self._engine else True
        return Params(
            prompt=task.questions[0].prompt,
            temperature=job.sampling.temperature,
            top_p=job.sampling.top_p,
            top_k=job.sampling.top_k,
            seed=job.seed,
            max_new_tokens=job.max_new_tokens,
            think=job.think,
            thinking_budget=job.thinking_budget,
            vad=job.vad if task.needs_speech else None,
            chunk=job.model.entry.max_seconds,
            start=job.start_s,
            end=job.end_s,
            time_markers=markers,
            **task.params,
        )

    def _failed(self, source: Source, error: MossError) -> Envelope:
        return Envelope(
            moss=__version__,
            task=self.job.task.name,
            status="error",
            input=InputInfo(path=source.shown, path_bytes=source.path_bytes),
            model=self._model_info(),
            params=self._params(self.job.task),
            error=ErrorInfo(code=error.code, message=error.message),
        )


def _input_info(source: Source, audio: Audio) -> InputInfo:
    info = audio.info
    return InputInfo(
        path=source.shown,
        path_bytes=source.path_bytes,
        duration=info.duration_s,
        sample_rate=info.sample_rate,
        channels=info.channels,
        sha256=info.sha256,
    )


def _endings(answers: _Answers, reading: Reading, span: Span) -> Iterator[Notice]:
    """What is to be said of how the answers ended."""
    if answers.finish_reason == "length":
        code, message = "cut", "the answer reached its longest length and was cut; what follows it is missing"
    elif answers.finish_reason == "loop":
        code, message = (
            "loop",
            f"the answer went round in circles in all of {answers.attempts} attempts and was cut there",
        )
    elif not reading.complete:
        code, message = "unreadable", "the answer, or a part of it, was not in the form that was asked for"
    elif answers.attempts > 1:
        code, message = (
            "retried",
            f"the answer went round in circles and was decoded again; attempt {answers.attempts} stands",
        )
    else:
        return
    yield Notice(code=code, message=message, start=span.start_s, end=span.end_s)
