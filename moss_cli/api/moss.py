"""The tasks from Python: a model that stays loaded, and a method for each command."""

from __future__ import annotations

import gc
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, Unpack, cast, overload

from moss_cli.api.audio_input import AudioInput, Spool, is_one
from moss_cli.api.job import DEMO_NOTE, ask_task, make_job, summarize_task, transcribe_task
from moss_cli.api.options import Dtype, JobOptions, SharedOptions, TaskOptions
from moss_cli.api.task_result import TaskResult
from moss_cli.errors import UsageError
from moss_cli.models.registry import resolve
from moss_cli.output.terminal import one_line
from moss_cli.run.job import Job, OnStep, Outcome
from moss_cli.run.runner import Runner
from moss_cli.schema import Record
from moss_cli.tasks.ask import Answer
from moss_cli.tasks.describe_speaker import DescribeSpeaker, SpeakerDescription
from moss_cli.tasks.emotion import DescribeEmotion, Emotion
from moss_cli.tasks.music import DescribeMusic, Music
from moss_cli.tasks.reading.task import Task
from moss_cli.tasks.scene import DescribeScene, Scene
from moss_cli.tasks.summarize import Style, Summary
from moss_cli.tasks.transcribe import Timestamps, Transcribe, Transcription

R = TypeVar("R", bound=Record)


class MossWarning(UserWarning):
    """What `moss` says on stderr beside a result: what is missing from it, and what is wrong with the audio."""


class Moss:
    """A model, and the tasks that it can be given. It is loaded when it is first needed, and stays loaded.

    `model`: a name of `moss models list`, a checkpoint folder, or None for the default. `device`, `dtype` and
    `batch_size` are the options of the commands, as are the keyword arguments of the methods, which `SharedOptions`
    lists. Variables (`MOSS_MODEL`) and config.toml are for the command line; they change nothing here. `on_step` is
    told what is being done, often.

    Each method takes one input, and returns its result: a path, the bytes of a file, or a binary file object. An input
    that fails raises a MossError. Or it takes several inputs, and returns an iterator of results in their order, each
    as soon as it is there; one that fails is a result with an `error`, and the others go on.

    A Moss does one thing at a time: calls from several threads wait for each other.
    Raises ModelError for a model that is not on this machine, UsageError for options that cannot be meant.
    """

    def __init__(
        self,
        model: str | PathLike[str] | None = None,
        *,
        device: str = "auto",
        dtype: Dtype = "auto",
        batch_size: int | Literal["auto"] = "auto",
        on_step: OnStep | None = None,
    ) -> None:
        # A Path is a folder, also where it has no slash.
        self._model = resolve(str(Path(model).absolute()) if isinstance(model, PathLike) else model)
        self._fixed: dict[str, Any] = {"device": device, "dtype": dtype, "batch_size": batch_size}
        job = make_job(Transcribe(), self._model, JobOptions(**self._fixed))  # raises what holds for every call
        self._runner = Runner(job, on_step, self._warn)
        self._lock, self._thread = threading.Lock(), 0
        self._is_introduced = False

    @overload
    def transcribe(  # type: ignore[overload-overlap]  # a str is one input
        self,
        audio: AudioInput,
        *,
        timestamps: Timestamps = ...,
        speakers: bool = ...,
        language: str | None = ...,
        **options: Unpack[TaskOptions],
    ) -> TaskResult[Transcription]: ...
    @overload
    def transcribe(
        self,
        audio: Iterable[AudioInput],
        *,
        timestamps: Timestamps = ...,
        speakers: bool = ...,
        language: str | None = ...,
        **options: Unpack[TaskOptions],
    ) -> Iterator[TaskResult[Transcription]]: ...
    def transcribe(
        self,
        audio: AudioInput | Iterable[AudioInput],
        *,
        timestamps: Timestamps = "segment",
        speakers: bool = False,
        language: str | None = None,
        **options: Unpack[TaskOptions],
    ) -> TaskResult[Transcription] | Iterator[TaskResult[Transcription]]:
        """Transcribe speech: `segments`, each with `start`, `end` and `text` and, if wanted, `words` and `speaker`."""
        return self._do(transcribe_task(timestamps, speakers, language, options.get("prompt")), audio, options)

    @overload
    def describe_speaker(  # type: ignore[overload-overlap]  # a str is one input
        self, audio: AudioInput, **options: Unpack[TaskOptions]
    ) -> TaskResult[SpeakerDescription]: ...
    @overload
    def describe_speaker(
        self, audio: Iterable[AudioInput], **options: Unpack[TaskOptions]
    ) -> Iterator[TaskResult[SpeakerDescription]]: ...
    def describe_speaker(
        self, audio: AudioInput | Iterable[AudioInput], **options: Unpack[TaskOptions]
    ) -> TaskResult[SpeakerDescription] | Iterator[TaskResult[SpeakerDescription]]:
        """Describe a voice: `result.gender`, `age`, `accent`, `pitch` and nine more."""
        return self._do(DescribeSpeaker(options.get("prompt")), audio, options)

    @overload
    def emotion(  # type: ignore[overload-overlap]  # a str is one input
        self, audio: AudioInput, **options: Unpack[TaskOptions]
    ) -> TaskResult[Emotion]: ...
    @overload
    def emotion(self, audio: Iterable[AudioInput], **options: Unpack[TaskOptions]) -> Iterator[TaskResult[Emotion]]: ...
    def emotion(
        self, audio: AudioInput | Iterable[AudioInput], **options: Unpack[TaskOptions]
    ) -> TaskResult[Emotion] | Iterator[TaskResult[Emotion]]:
        """Tell what emotion a voice conveys: `result.overall`, and `segments` where it changes."""
        return self._do(DescribeEmotion(options.get("prompt")), audio, options)

    @overload
    def scene(  # type: ignore[overload-overlap]  # a str is one input
        self, audio: AudioInput, **options: Unpack[TaskOptions]
    ) -> TaskResult[Scene]: ...
    @overload
    def scene(self, audio: Iterable[AudioInput], **options: Unpack[TaskOptions]) -> Iterator[TaskResult[Scene]]: ...
    def scene(
        self, audio: AudioInput | Iterable[AudioInput], **options: Unpack[TaskOptions]
    ) -> TaskResult[Scene] | Iterator[TaskResult[Scene]]:
        """Describe where a recording was made: `result.setting`, `summary`, and `events` with times."""
        return self._do(DescribeScene(options.get("prompt")), audio, options)

    @overload
    def music(  # type: ignore[overload-overlap]  # a str is one input
        self, audio: AudioInput, **options: Unpack[TaskOptions]
    ) -> TaskResult[Music]: ...
    @overload
    def music(self, audio: Iterable[AudioInput], **options: Unpack[TaskOptions]) -> Iterator[TaskResult[Music]]: ...
    def music(
        self, audio: AudioInput | Iterable[AudioInput], **options: Unpack[TaskOptions]
    ) -> TaskResult[Music] | Iterator[TaskResult[Music]]:
        """Describe music: `result.style`, `tempo_bpm`, `key`, `instruments`, and `sections` with times."""
        return self._do(DescribeMusic(options.get("prompt")), audio, options)

    @overload
    def summarize(  # type: ignore[overload-overlap]  # a str is one input
        self, audio: AudioInput, *, style: Style = ..., **options: Unpack[TaskOptions]
    ) -> TaskResult[Summary]: ...
    @overload
    def summarize(
        self, audio: Iterable[AudioInput], *, style: Style = ..., **options: Unpack[TaskOptions]
    ) -> Iterator[TaskResult[Summary]]: ...
    def summarize(
        self, audio: AudioInput | Iterable[AudioInput], *, style: Style = "brief", **options: Unpack[TaskOptions]
    ) -> TaskResult[Summary] | Iterator[TaskResult[Summary]]:
        """Summarize speech: `result.summary`, `key_points`, and `chapters` with times."""
        return self._do(summarize_task(style, options.get("prompt")), audio, options)

    @overload
    def ask(  # type: ignore[overload-overlap]  # a str is one input
        self,
        question: str,
        audio: AudioInput | None = ...,
        *,
        choices: Sequence[str] = ...,
        **options: Unpack[SharedOptions],
    ) -> TaskResult[Answer]: ...
    @overload
    def ask(
        self,
        question: str,
        audio: Iterable[AudioInput],
        *,
        choices: Sequence[str] = ...,
        **options: Unpack[SharedOptions],
    ) -> Iterator[TaskResult[Answer]]: ...
    def ask(
        self,
        question: str,
        audio: AudioInput | Iterable[AudioInput] | None = None,
        *,
        choices: Sequence[str] = (),
        **options: Unpack[SharedOptions],
    ) -> TaskResult[Answer] | Iterator[TaskResult[Answer]]:
        """Ask a question about recordings, or without any: `result.answer`, and `evidence` with times."""
        task = ask_task(question, choices, self._options(options), has_audio=audio is not None)
        return self._do(task, audio, options)

    def close(self) -> None:
        """Give back the memory that the model takes. The next call loads it again."""
        with self._used():
            runner, self._runner = self._runner, self._runner.without_model()
            runner.close()
            del runner
        gc.collect()
        if "torch" in sys.modules:
            from moss_cli.engine.memory import return_unused

            return_unused()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _do(
        self, task: Task[R], audio: AudioInput | Iterable[AudioInput] | None, options: Mapping[str, Any]
    ) -> TaskResult[R] | Iterator[TaskResult[R]]:
        """Options are checked before anything is done, also where results are an iterator."""
        job = make_job(task, self._model, self._options(options))
        if audio is None:
            with self._used():
                return self._told(self._runner_of(job).ask_text())
        if not is_one(audio):
            return self._results(job, cast("Iterable[AudioInput]", audio))
        [result] = self._results(job, [cast("AudioInput", audio)])
        if result.error is not None:
            raise result.error
        return result

    def _options(self, options: Mapping[str, Any]) -> JobOptions:
        known = TaskOptions.__optional_keys__
        if unknown := options.keys() - known:
            raise TypeError(f"there is no option {min(unknown)!r}; there are {', '.join(sorted(known))}")
        return JobOptions(**self._fixed, **options)

    def _results(self, job: Job, audio: Iterable[AudioInput]) -> Iterator[TaskResult[Any]]:
        with ExitStack() as stack:
            stack.enter_context(self._used())
            spool = stack.enter_context(closing(Spool()))
            for outcome in stack.enter_context(closing(self._runner_of(job).run(spool.inputs(audio)))):
                yield self._told(spool.named(outcome))

    def _runner_of(self, job: Job) -> Runner:
        if self._model.entry.demo and not self._is_introduced:
            self._is_introduced = True
            self._warn(DEMO_NOTE.format(name=self._model.entry.name))
        self._runner = self._runner.with_job(job)
        return self._runner

    @contextmanager
    def _used(self) -> Iterator[None]:
        """One call at a time: another thread waits, and the same one would wait for ever."""
        if self._lock.locked() and self._thread == threading.get_ident():
            hint = "take all its results first, as with list(...), or close() it"
            raise UsageError("an iterator of results is not at its end", hint=hint)
        with self._lock:
            self._thread = threading.get_ident()
            try:
                yield
            finally:
                self._thread = 0

    def _told(self, outcome: Outcome) -> TaskResult[Any]:
        result = TaskResult[Any](outcome.envelope, outcome.error)
        for notice in result.warnings:
            self._warn(f"{one_line(result.path)}: {notice.message}" if result.path else notice.message)
        return result

    def _warn(self, message: str) -> None:
        warnings.warn(message, MossWarning, stacklevel=_levels_to_caller())


def _levels_to_caller() -> int:
    """How far up the line is that called a Moss, seen from `_warn`."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(("moss_cli.", "contextlib")):
        level, frame = level + 1, frame.f_back
    return level
