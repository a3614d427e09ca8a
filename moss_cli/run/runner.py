"""Runs a job: loads the model once, takes the inputs as they come, yields an outcome for each."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from moss_cli.backends.opening import OpenBackend, open_backend
from moss_cli.backends.protocol import Backend
from moss_cli.errors import MossError, UsageError
from moss_cli.run.conversation import Asking
from moss_cli.run.envelopes import Analysis, Envelopes
from moss_cli.run.in_flight import InFlight
from moss_cli.run.input_progress import InputProgress
from moss_cli.run.inputs import Input
from moss_cli.run.job import Job, OnCertain, OnStep, OnText, Outcome, Step, Work
from moss_cli.run.journal import Journal, NoJournal
from moss_cli.run.loading import Loading
from moss_cli.run.scheduler import STEP_EVERY, Scheduler
from moss_cli.run.second_pass import Whole
from moss_cli.tasks.reading.certain import Certain
from moss_cli.tasks.reading.task import Part, Task

QUESTION = Input(Path("the question"))  # what stands for an input where there is no audio


class Runner:
    """Runs one job; with `also`, several that differ in their tasks alone. The model is loaded from when the first
    input could be opened, beside the reading of it."""

    def __init__(
        self,
        job: Job,
        on_step: OnStep | None = None,
        on_warning: Callable[[str], None] | None = None,
        on_text: OnText | None = None,
        *,
        also: Sequence[Job] = (),
        on_certain: OnCertain | None = None,
        open_backend: OpenBackend = open_backend,
    ) -> None:
        self.job, self.jobs = job, {one.task.name: one for one in (job, *also)}
        self._on_step = on_step or (lambda step: None)
        self._on_warning = on_warning or (lambda message: None)
        self._on_text, self._on_certain = on_text, on_certain
        self._open_backend = open_backend
        self._loading: Loading | None = None
        self._backend: Backend | None = None  # once it is loaded and can be used
        self._told: set[str] = set()  # warnings of the backend

    def run(
        self, inputs: Iterable[Input], journal_of: Callable[[Input], Journal] = lambda input: NoJournal()
    ) -> Generator[Outcome, None, None]:
        """An outcome for each input, in their order. Inputs are taken one by one, some before earlier ones are done,
        in this thread; `journal_of` is called for each before the next is taken.

        What is wrong with one input is in its outcome; ModelError and DeviceError while the model is loaded, which hold
        for all of them, are raised.
        """
        return self.run_all(Work(one, {self.job.task.name: journal_of(one)}) for one in inputs)

    def run_all(self, work: Iterable[Work]) -> Generator[Outcome, None, None]:
        """Likewise an outcome for each task of each input. What several tasks ask about the same piece of audio is
        asked together."""

        def files(one: Work) -> list[InputProgress]:
            return [InputProgress(one.input, self.jobs[task], journal) for task, journal in one.journals.items()]

        return Scheduler(self).outcomes(map(files, work))

    def with_task(self, task: Task[Any], *, think: bool | None = None) -> Runner:
        """A runner of the same job but for the task and whether it is thought over; see `with_job`."""
        return self.with_job(replace(self.job, task=task, think=think))

    def without_model(self) -> Runner:
        """A runner of the same job that loads a model of its own."""
        return self._of(self.job)

    def with_job(self, job: Job, also: Sequence[Job] = ()) -> Runner:
        """A runner of another job for the same model, or of several, with the model as far as it is loaded. One that
        could not be loaded is tried again."""
        other = self._of(job, also)
        other._backend, other._told = self._backend, self._told
        if self._loading is not None and not self._loading.has_failed:
            other._loading = self._loading
        return other

    def _of(self, job: Job, also: Sequence[Job] = ()) -> Runner:
        """Another runner that tells the same."""
        tells = (self._on_step, self._on_warning, self._on_text)
        return Runner(job, *tells, also=also, on_certain=self._on_certain, open_backend=self._open_backend)

    def close(self) -> None:
        """Let go of the model; where it is being loaded, that is waited for."""
        loading, self._loading, self._backend = self._loading, None, None
        if loading is None:
            return
        with suppress(Exception):  # that it cannot be loaded is nobody's affair any more
            loading.result().close()

    def ask_text(self) -> Outcome:
        """The answer to a question without audio. Raises MossError."""
        task, started = self.job.task, time.monotonic()
        backend, load_s = self.loaded(QUESTION)
        ended: list[Part[Any] | MossError] = []
        flight = InFlight(backend, self._decoded)
        asking = Asking(task, self.job, tells=self._on_text is not None)
        self.step(Step("answering", QUESTION))
        flight.begin(
            QUESTION, asking.without_audio(), ended.append, on_seconds=lambda s: None, on_text=self.shown(QUESTION)
        )
        while not ended:
            flight.step()
        self.tell_warnings()
        [part] = ended
        if isinstance(part, MossError):
            raise part
        seconds = time.monotonic() - started - load_s
        analysis = Analysis(task, [part], Whole(part.reading), 0.0, load_s, seconds)
        return Outcome(QUESTION, self.envelopes(self.job).analysed(analysis, None))

    def envelopes(self, job: Job) -> Envelopes:
        """Those of a job, with the backend as far as it is loaded."""
        return Envelopes(job, self._backend.info if self._backend else None)

    @property
    def shows_text(self) -> bool:
        """Whether answers are wanted while they come."""
        return self._on_text is not None and self.job.task.shows

    @property
    def tells_certain(self) -> bool:
        """Whether results are wanted as far as they are certain."""
        return self._on_certain is not None

    @property
    def is_loaded(self) -> bool:
        return self._backend is not None

    def load(self, input: Input) -> None:
        """Begin to load the model, for this input."""
        if self._loading is not None:
            return
        self.step(Step("loading", input))
        self._loading = Loading(self._opened_backend)
        self._loading.start()

    def _opened_backend(self) -> Backend:
        job = self.job
        return self._open_backend(
            job.model,
            device=job.device,
            dtype=job.dtype,
            n_together=job.batch_size,
            has_forms=any(question.form for one in self.jobs.values() for question in one.task.questions),
        )

    def loaded(self, input: Input) -> tuple[Backend, float]:
        """The backend, which is waited for, and the seconds that loading it took, if that was for this input.

        Raises what loading it has raised."""
        self.load(input)
        assert self._loading is not None
        backend = self._loading.result()
        if self.job.think and not backend.info.can_think:
            raise UsageError(f"{self.job.model.entry.name} does not support thinking", hint="drop --think")
        if self._backend is not None:
            return backend, 0.0
        self._backend = backend
        self.tell_warnings()
        return backend, backend.info.load_seconds

    def tell_warnings(self) -> None:
        """Tell what the backend warns of, once."""
        for message in self._backend.info.warnings if self._backend is not None else ():
            if message not in self._told:
                self._told.add(message)
                self._on_warning(message)

    def step(self, step: Step) -> None:
        """Tell what is being done."""
        self._on_step(step)

    def _decoded(self, owner: Any, n_decoded: int) -> None:
        if n_decoded % STEP_EVERY == 0:
            self.step(Step("answering", QUESTION, n_decoded))

    def certain(self, input: Input, certain: Certain[Any]) -> None:
        """Tell what more of an input's result is certain."""
        if self._on_certain is not None:
            self._on_certain(input, certain)

    def shown(self, input: Input) -> Callable[[str], None]:
        """Shows, of the answer that has come, what the task lets be shown."""

        def show(text: str) -> None:
            ready = self.job.task.shown(text) if self._on_text is not None else None
            if ready and self._on_text is not None:
                self._on_text(input, ready)

        return show
