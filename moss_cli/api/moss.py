"""The tasks from Python: a model that stays loaded, and a method for each command."""

from __future__ import annotations

import gc
import sys
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, Unpack, cast, overload

from moss_cli.api.audio_input import AudioInput, Spool, is_one, several
from moss_cli.api.job import DEMO_NOTE, ask_task, make_job, summarize_task, transcribe_task
from moss_cli.api.one_at_a_time import OneAtATime
from moss_cli.api.options import Dtype, JobOptions, SharedOptions, TaskOptions, check_names
from moss_cli.api.task_result import TaskResult, told
from moss_cli.api.tasks_together import tasks_together
from moss_cli.api.warn import warn
from moss_cli.models.registry import resolve
from moss_cli.run.job import Job, OnStep, Work
from moss_cli.run.journal import NoJournal
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
        self._runner = Runner(job, on_step, warn)
        self._turn = OneAtATime()
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

    @overload
    def analyze(  # type: ignore[overload-overlap]  # a str is one input
        self,
        audio: AudioInput,
        tasks: Iterable[str] | None = ...,
        *,
        question: str | None = ...,
        **options: Unpack[SharedOptions],
    ) -> dict[str, TaskResult[Any]]: ...
    @overload
    def analyze(
        self,
        audio: Iterable[AudioInput],
        tasks: Iterable[str] | None = ...,
        *,
        question: str | None = ...,
        **options: Unpack[SharedOptions],
    ) -> Iterator[dict[str, TaskResult[Any]]]: ...
    def analyze(
        self,
        audio: AudioInput | Iterable[AudioInput],
        tasks: Iterable[str] | None = None,
        *,
        question: str | None = None,
        **options: Unpack[SharedOptions],
    ) -> dict[str, TaskResult[Any]] | Iterator[dict[str, TaskResult[Any]]]:
        """Run several tasks in one pass, those of `moss analyze` by default: their results, by the commands' names. Of
        one input it raises only what keeps every task from a result; else the task's result has the `error`."""
        meant = self._options(options)
        jobs = [make_job(task, self._model, meant) for task in tasks_together(tasks, question, meant)]
        if not is_one(audio):
            return self._together(jobs, several(audio))
        [results] = self._together(jobs, [cast("AudioInput", audio)])
        errors = [result.error for result in results.values()]
        if errors[0] is not None and all(errors):
            raise errors[0]
        return results

    def close(self) -> None:
        """Give back the memory that the model takes. The next call loads it again."""
        with self._turn.taken():
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
        if audio is None and task.name == "ask":
            with self._turn.taken():
                return told(self._runner_of(job).ask_text())
        if not is_one(audio):
            return self._results(job, several(audio))
        [result] = self._results(job, [cast("AudioInput", audio)])
        if result.error is not None:
            raise result.error
        return result

    def _options(self, options: Mapping[str, Any]) -> JobOptions:
        check_names(options)
        return JobOptions(**self._fixed, **options)

    def _results(self, job: Job, audio: Iterable[AudioInput]) -> Iterator[TaskResult[Any]]:
        with closing(self._together([job], audio)) as found:
            for results in found:
                yield results[job.task.name]

    def _together(
        self, jobs: Sequence[Job], audio: Iterable[AudioInput]
    ) -> Generator[dict[str, TaskResult[Any]], None, None]:
        """For each input the results of its tasks, in the order of the jobs."""
        with ExitStack() as stack:
            stack.enter_context(self._turn.taken())
            spool = stack.enter_context(closing(Spool()))
            journals = {job.task.name: NoJournal() for job in jobs}
            work = (Work(input, journals) for input in spool.inputs(audio))
            outcomes = stack.enter_context(closing(self._runner_of(*jobs).run_all(work)))
            while of_one_input := list(islice(outcomes, len(jobs))):
                named = {one.envelope.task: one for one in spool.named(of_one_input)}
                yield {job.task.name: told(named[job.task.name]) for job in jobs}

    def _runner_of(self, job: Job, *also: Job) -> Runner:
        if self._model.entry.demo and not self._is_introduced:
            self._is_introduced = True
            warn(DEMO_NOTE.format(name=self._model.entry.name))
        self._runner = self._runner.with_job(job, also=also)
        return self._runner
