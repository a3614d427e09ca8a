"""What came of an input as the envelope that every format is made from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from moss_cli import __version__
from moss_cli.engine.engine import Engine
from moss_cli.errors import MossError
from moss_cli.run.conversation import Answered
from moss_cli.run.inputs import Input
from moss_cli.run.job import Job
from moss_cli.schema import ChunkInfo, Envelope, ErrorInfo, InputInfo, ModelInfo, Notice, Params, Usage
from moss_cli.tasks.reading.task import Reading, Task


@dataclass(frozen=True)
class Found:
    """What came of one input. `notices` are about the audio; `whole` is False where some of it could not be read."""

    task: Task
    answered: Sequence[Answered]
    reading: Reading
    audio_s: float
    load_s: float
    seconds: float
    notices: tuple[Notice, ...] = ()
    whole: bool = True


@dataclass(frozen=True)
class Envelopes:
    """Makes the envelopes of one job; the engine is None until one is loaded."""

    job: Job
    engine: Engine | None

    def answered(self, found: Found, input_info: InputInfo | None) -> Envelope:
        """The envelope of an input that has a result."""
        complete = found.whole and found.reading.complete and all(one.complete for one in found.answered)
        thoughts = [one.thought for one in found.answered if one.thought]
        endings = [notice for one in found.answered for notice in one.notices()]
        return Envelope(
            moss=__version__,
            task=found.task.name,
            status="ok" if complete else "partial",
            input=input_info,
            model=self._model_info(),
            params=self._params(found.task),
            result=found.reading.result,
            text=found.reading.text,
            thinking="\n\n".join(thoughts) or None,
            chunks=tuple(_chunk_info(one) for one in found.answered),
            warnings=(*self._untrained(), *found.notices, *found.reading.notices, *endings),
            usage=Usage(
                audio_seconds=found.audio_s,
                prompt_tokens=sum(one.n_prompt for one in found.answered),
                generated_tokens=sum(one.n_generated for one in found.answered),
                load_seconds=found.load_s,
                seconds=found.seconds,
            ),
        )

    def failed(self, source: Input, error: MossError) -> Envelope:
        """The envelope of an input that has none."""
        return Envelope(
            moss=__version__,
            task=self.job.task.name,
            status="error",
            input=InputInfo(path=source.shown, path_bytes=source.path_bytes),
            model=self._model_info(),
            params=self._params(self.job.task),
            error=ErrorInfo(code=error.code, message=error.message),
        )

    def _untrained(self) -> Iterator[Notice]:
        entry, name = self.job.model.entry, self.job.task.name
        if not entry.knows(name):
            message = f"{entry.name} was not trained for {name}: what it answers means nothing"
            yield Notice(code="untrained", message=message)
        elif entry.tasks and not self.job.task.is_usual:
            message = (
                f"{entry.name} was trained for the usual instruction alone: what it answers to another means nothing"
            )
            yield Notice(code="untrained", message=message)

    def _model_info(self) -> ModelInfo:
        entry, engine = self.job.model.entry, self.engine
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
            markers = self.engine.processor.enable_time_marker if self.engine else True
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
            chunk=job.longest_s,
            start=job.start_s,
            end=job.end_s,
            time_markers=markers,
            **task.params,
        )


def _chunk_info(one: Answered) -> ChunkInfo:
    return ChunkInfo(start=one.span.start_s, end=one.span.end_s, finish_reason=one.finish_reason, attempts=one.attempts)
