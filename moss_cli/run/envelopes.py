"""What came of an input as the envelope that every format is made from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from moss_cli import __version__
from moss_cli.answers import Cost
from moss_cli.backends.protocol import BackendInfo
from moss_cli.errors import MossError
from moss_cli.run.inputs import Input
from moss_cli.run.job import Job
from moss_cli.run.second_pass import Whole
from moss_cli.schema import ChunkInfo, Envelope, ErrorInfo, InputInfo, ModelInfo, Notice, Params, Usage
from moss_cli.tasks.reading.task import Part, Task
from moss_cli.tasks.reading.untold import still_untold


@dataclass(frozen=True)
class Analysis:
    """What came of one input. `notices` are about the audio; `is_whole` is False where some of it could not be read."""

    task: Task[Any]
    parts: Sequence[Part[Any]]
    whole: Whole
    audio_s: float
    load_s: float
    seconds: float
    notices: tuple[Notice, ...] = ()
    is_whole: bool = True

    @property
    def complete(self) -> bool:
        answered = self.whole.reading.complete and all(part.complete for part in self.parts)
        return self.is_whole and answered and not still_untold(self.parts)

    @property
    def cost(self) -> Cost:
        """All tokens that it took."""
        return sum((part.cost for part in self.parts), self.whole.cost)


@dataclass(frozen=True)
class Envelopes:
    """Makes the envelopes of one job. `backend` is None until one is loaded."""

    job: Job
    backend: BackendInfo | None

    def analysed(self, found: Analysis, input_info: InputInfo | None) -> Envelope:
        """The envelope of an input that has a result."""
        reading = found.whole.reading
        thoughts = [thought for thought in (*(part.thought for part in found.parts), found.whole.thought) if thought]
        endings = [notice for part in found.parts for notice in ending_notices(part)]
        return Envelope(
            moss=__version__,
            task=found.task.name,
            status="ok" if found.complete else "partial",
            input=input_info,
            model=self._model_info(),
            params=self._params(found.task),
            result=reading.result,
            text=reading.text,
            thinking="\n\n".join(thoughts) or None,
            chunks=tuple(_chunk_info(part) for part in found.parts),
            warnings=(*self._untrained(), *found.notices, *reading.notices, *endings, *untold_notices(found)),
            usage=Usage(
                audio_seconds=found.audio_s,
                prompt_tokens=found.cost.prompt,
                generated_tokens=found.cost.generated,
                load_seconds=found.load_s,
                seconds=found.seconds,
            ),
        )

    def failed(self, input: Input, error: MossError) -> Envelope:
        """The envelope of an input that has none."""
        return Envelope(
            moss=__version__,
            task=self.job.task.name,
            status="error",
            input=InputInfo(path=input.shown, path_bytes=input.path_bytes),
            model=self._model_info(),
            params=self._params(self.job.task),
            error=ErrorInfo(code=error.code, message=error.message),
        )

    def _untrained(self) -> Iterator[Notice]:
        entry, name = self.job.model.entry, self.job.task.name
        if not entry.knows(name):
            message = f"{entry.name} was not trained for {name}, so its answer is meaningless"
            yield Notice(code="untrained", message=message)
        elif entry.tasks and not self.job.task.is_usual:
            message = (
                f"{entry.name} was trained only with the standard instruction, so its answer to another is meaningless"
            )
            yield Notice(code="untrained", message=message)
        elif entry.tasks and self.job.context is not None:
            message = f"{entry.name} was trained without any context, so its answer beside one is meaningless"
            yield Notice(code="untrained", message=message)

    def _model_info(self) -> ModelInfo:
        entry, backend = self.job.model.entry, self.backend
        return ModelInfo(
            name=entry.name,
            revision=self.job.model.revision,
            dtype=backend.dtype if backend else self.job.dtype,
            device=backend.device if backend else self.job.device,
            demo=entry.demo,
        )

    def _params(self, task: Task[Any]) -> Params:
        job = self.job
        markers = job.time_markers
        if markers is None:
            markers = self.backend.time_markers if self.backend else True
        return Params(
            prompt=task.questions[0].prompt,
            context=job.context,
            channel=job.channel,
            track=job.track,
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


def ending_notices(part: Part[Any]) -> Iterator[Notice]:
    """What is to be said of how the answers about a chunk ended."""
    cut = part.reading.cut
    if part.finish_reason == "length" and part.thought and not part.reading.text:
        code, message = "cut", "the thought used up the maximum length, so there is no answer"
    elif part.finish_reason == "length" and cut:
        named = ", ".join(cut)
        code, message = "cut", f"the answer reached its maximum length in {named}; the rest is missing"
    elif part.finish_reason == "length":
        code, message = "cut", "the answer reached its maximum length; the rest is missing"
    elif part.finish_reason == "loop":
        code = "loop"
        message = f"the model repeated itself in all {part.attempts} attempts; the answer was cut there"
    elif part.attempts > 1:
        code, message = "retried", f"this answer took {part.attempts} attempts"
    else:
        return
    yield Notice(code=code, message=message, start=part.span.start_s, end=part.span.end_s)


def untold_notices(found: Analysis) -> Iterator[Notice]:
    """What the answers say nothing of though they should."""
    for span in still_untold(found.parts):
        message = found.task.untold_message
        yield Notice(code=found.task.untold_code, message=message, start=span.start_s, end=span.end_s)


def _chunk_info(part: Part[Any]) -> ChunkInfo:
    span = part.span
    return ChunkInfo(
        start=span.start_s,
        end=span.end_s,
        finish_reason=part.finish_reason,
        attempts=part.attempts,
        channel=part.channel,
    )
