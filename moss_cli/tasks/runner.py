"""Runs a job: loads the model once, takes the inputs one by one, yields an envelope for each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from moss_cli import __version__
from moss_cli.audio.decode import Audio, load
from moss_cli.engine.engine import Engine, load_engine
from moss_cli.engine.generate import FinishReason, Generation, Request
from moss_cli.engine.loops import without_loop
from moss_cli.engine.sampling import Sampling, draw_seed
from moss_cli.errors import MossError, UsageError
from moss_cli.registry import Resolved
from moss_cli.schema import ChunkInfo, Envelope, ErrorInfo, InputInfo, ModelInfo, Notice, Params, Usage
from moss_cli.tasks.task import Reading, Span, Task
from moss_cli.tasks.thinking import split_thinking

MOST_ATTEMPTS = 3
AGAIN = Sampling(temperature=1.0, top_k=50)  # what gets the model out of a loop


@dataclass(frozen=True)
class Source:
    """One input: where its samples are, and how it is called in results."""

    path: Path
    shown: str
    path_bytes: str | None = None


@dataclass(frozen=True)
class Job:
    """Everything that decides the answers, apart from the inputs."""

    task: Task
    model: Resolved
    device: str = "auto"
    dtype: str = "auto"
    start_s: float | None = None
    end_s: float | None = None
    sampling: Sampling = field(default_factory=Sampling)
    seed: int = 0
    max_new_tokens: int | None = None
    time_markers: bool | None = None
    max_duration_s: float = 86_400.0


@dataclass(frozen=True)
class Outcome:
    """An input's envelope, and the error that it reports, if it failed."""

    envelope: Envelope
    error: MossError | None = None


@dataclass(frozen=True)
class Step:
    """What the runner is at; `n_tokens` counts up while an answer is decoded."""

    what: str  # "reading", "loading" or "listening"
    source: Source
    n_tokens: int = 0


OnStep = Callable[[Step], None]


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
        audio = load(source.path, start_s=job.start_s, end_s=job.end_s, max_duration_s=job.max_duration_s)
        self._check_length(source, audio)
        engine, load_seconds = self._loaded(source)
        self._on_step(Step("listening", source))
        span = Span(audio.offset_s, audio.offset_s + audio.duration_s)
        generation, n_prompt, attempts = self._answer(engine, source, audio)
        thinking, answer = split_thinking(engine.text(generation.ids))
        reading = job.task.read(answer, span)
        whole = generation.finish_reason == "stop"
        return Envelope(
            moss=__version__,
            task="transcribe",
            status="ok" if whole and audio.complete else "partial",
            input=_input_info(source, audio),
            model=self._model_info(),
            params=self._params(),
            result=reading.result,
            text=reading.text,
            thinking=thinking,
            chunks=(
                ChunkInfo(
                    start=span.start_s, end=span.end_s, finish_reason=generation.finish_reason, attempts=attempts
                ),
            ),
            warnings=_warnings(audio, reading, span, generation.finish_reason, attempts),
            usage=Usage(
                audio_seconds=audio.duration_s,
                prompt_tokens=n_prompt,
                generated_tokens=len(generation.ids),
                load_seconds=load_seconds,
                seconds=time.monotonic() - started - load_seconds,
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
        for message in self._engine.warnings:
            self._on_warning(message)
        return self._engine, self._engine.load_seconds

    def _answer(self, engine: Engine, source: Source, audio: Audio) -> tuple[Generation, int, int]:
        """The answer, the tokens of its prompt, and how many attempts it took.

        An answer that goes round in circles is decoded again with draws (a repetition penalty is
        known not to help); if every attempt does, the first stands, with one round of its loop.
        """
        job = self.job
        prompt = engine.ask(job.task.prompt, engine.hear(audio.samples), time_markers=job.time_markers)
        first: Generation | None = None
        for attempt in range(1, MOST_ATTEMPTS + 1):
            grammar = job.task.grammar
            request = Request(
                prompt,
                job.max_new_tokens or job.task.max_new_tokens(audio.duration_s),
                job.sampling if attempt == 1 else AGAIN,
                draw_seed(job.seed, audio.info.sha256, chunk=0, attempt=attempt),
                None if grammar is None else engine.grammars.constrain(grammar),
                stop_loops=True,
            )
            answer = self._generate(engine, request, source)
            if answer.finish_reason != "loop":
                return answer, len(prompt.ids), attempt
            first = first or answer
        assert first is not None
        return Generation(without_loop(first.ids), "loop"), len(prompt.ids), MOST_ATTEMPTS

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

    def _params(self) -> Params:
        job = self.job
        markers = job.time_markers
        if markers is None:
            markers = self._engine.processor.enable_time_marker if self._engine else True
        return Params(
            prompt=job.task.prompt,
            temperature=job.sampling.temperature,
            top_p=job.sampling.top_p,
            top_k=job.sampling.top_k,
            seed=job.seed,
            max_new_tokens=job.max_new_tokens,
            chunk=job.model.entry.max_seconds,
            start=job.start_s,
            end=job.end_s,
            time_markers=markers,
            timestamps=getattr(job.task, "timestamps", None),
        )

    def _failed(self, source: Source, error: MossError) -> Envelope:
        return Envelope(
            moss=__version__,
            task="transcribe",
            status="error",
            input=InputInfo(path=source.shown, path_bytes=source.path_bytes),
            model=self._model_info(),
            params=self._params(),
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


def _warnings(
    audio: Audio, reading: Reading, span: Span, finish_reason: FinishReason, attempts: int
) -> tuple[Notice, ...]:
    notices = [Notice(code=w.code, message=w.message, start=w.start_s, end=w.end_s) for w in audio.warnings]
    notices += reading.notices
    for code, message in _endings(finish_reason, attempts):
        notices.append(Notice(code=code, message=message, start=span.start_s, end=span.end_s))
    return tuple(notices)


def _endings(finish_reason: FinishReason, attempts: int) -> Iterator[tuple[str, str]]:
    """What is to be said of how the answer ended: code and message."""
    if finish_reason == "length":
        yield "cut", "the answer reached its longest length and was cut; what follows it is missing"
    elif finish_reason == "loop":
        yield "loop", f"the answer went round in circles in all of {attempts} attempts and was cut there"
    elif attempts > 1:
        yield "retried", f"the answer went round in circles and was decoded again; attempt {attempts} stands"
