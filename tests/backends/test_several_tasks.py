"""All tasks over one recording with the embedded model: what each says alone, from audio encoded and prefilled once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import moss_cli
from moss_cli.audio.results import Samples
from moss_cli.backends.local import LocalBackend, LocalClip
from moss_cli.backends.protocol import Clip
from moss_cli.engine.engine import load_engine
from moss_cli.errors import MossError
from moss_cli.models.registry import resolve
from moss_cli.run.inputs import Input
from moss_cli.run.job import Job, Work
from moss_cli.run.journal import NoJournal
from moss_cli.run.runner import Runner
from moss_cli.tasks.catalogue import TASKS, entry

PACKAGE = Path(moss_cli.__file__).parent


class Counting(LocalBackend):
    """Notes which samples are encoded, and as how many tokens."""

    def __init__(self, engine: Any) -> None:
        super().__init__(engine)
        self.heard: Counter[bytes] = Counter()
        self.n_tokens = 0

    def listen(self, clips: Sequence[Samples]) -> list[Clip | MossError]:
        found = super().listen(clips)
        self.heard.update(samples.tobytes() for samples in clips)
        self.n_tokens += sum(one.features.n_tokens for one in found if isinstance(one, LocalClip))
        return found


def make_job(task: str) -> Job:
    made: Any = entry(task).load()
    return Job(made("What is said?") if task == "ask" else made(), resolve("tiny"), device="cpu")


def said(jobs: Sequence[Job], one: Input, backend: LocalBackend) -> dict[str, dict[str, Any]]:
    runner = Runner(jobs[0], also=jobs[1:], open_backend=lambda model, **options: backend)
    outcomes = runner.run_all([Work(one, {job.task.name: NoJournal() for job in jobs})])
    return {outcome.envelope.task: outcome.envelope.model_dump() | {"usage": None} for outcome in outcomes}


def test_all_seven_tasks_say_what_they_say_alone_and_each_piece_is_encoded_and_prefilled_once() -> None:
    engine = load_engine(PACKAGE / "weights" / "tiny", device="cpu", dtype="fp32", with_grammars=True)
    one, jobs = Input(PACKAGE / "samples" / "meeting.wav"), [make_job(task) for task in TASKS]
    expected: dict[str, dict[str, Any]] = {}
    for job in jobs:
        expected |= said([job], one, LocalBackend(engine))
    backend = Counting(engine)
    assert said(jobs, one, backend) == expected
    assert len(backend.heard) > 1  # scene asks again for a part
    assert set(backend.heard.values()) == {1}
    assert backend._decoding.n_audio_prefilled == backend.n_tokens
