"""Random weights: whatever is drawn, every task gives an envelope that validates, within its token limit.

The suite decodes short answers. All variants of all tasks, as long as answers may become:

    python tests/run/test_random_weights.py --seeds 50 --max-new-tokens 1024
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from safetensors.torch import load_file

from moss_cli.answers import Sampling
from moss_cli.audio.chunk import Chunk
from moss_cli.backends.local import LocalBackend
from moss_cli.engine.engine import Engine, load_engine
from moss_cli.engine.linear import frozen_linear
from moss_cli.errors import AnswerError
from moss_cli.models.entry import ModelEntry
from moss_cli.models.registry import Resolved
from moss_cli.output.formats import FORMATS
from moss_cli.output.json_schema import json_schema
from moss_cli.output.render import render
from moss_cli.run.conversation import MOST_ATTEMPTS, Asking, Conversation
from moss_cli.run.envelopes import Analysis, Envelopes
from moss_cli.run.in_flight import InFlight
from moss_cli.run.job import Job
from moss_cli.run.second_pass import Whole
from moss_cli.schema import Envelope, InputInfo
from moss_cli.span import Span
from moss_cli.tasks.ask import Ask
from moss_cli.tasks.describe_speaker import DescribeSpeaker
from moss_cli.tasks.emotion import DescribeEmotion
from moss_cli.tasks.music import DescribeMusic
from moss_cli.tasks.reading.task import Part, Task
from moss_cli.tasks.scene import DescribeScene
from moss_cli.tasks.summarize import Summarize
from moss_cli.tasks.transcribe import Transcribe

CHECKPOINT = Path(__file__).parents[1] / "fixtures" / "reference" / "checkpoint"
SPAN = Span(60.0, 61.0)
SAMPLED = Sampling(1.0, top_k=50)
PROMPT = "Say {what} you hear: <|im_end|> </think> [bold]"


@dataclass(frozen=True)
class Variant:
    """A task and how it is to think."""

    name: str
    task: Task[Any]
    think: bool | None = False
    thinking_budget: int | None = None


VARIANTS = (
    Variant("transcribe", Transcribe()),
    Variant("transcribe speakers", Transcribe(speakers=True)),
    Variant("describe-speaker", DescribeSpeaker()),
    Variant("emotion", DescribeEmotion()),
    Variant("scene", DescribeScene()),
    Variant("music", DescribeMusic()),
    Variant("ask", Ask("What is said?")),
    Variant("ask choices", Ask("Which?", choices=("rain", "wind", "snow"))),
    Variant("summarize", Summarize()),
    Variant("emotion, a short thought", DescribeEmotion(), think=True, thinking_budget=8),
)
MORE_VARIANTS = (
    Variant("transcribe word", Transcribe("word")),
    Variant("transcribe none", Transcribe("none")),
    Variant("transcribe none speakers", Transcribe("none", speakers=True)),
    Variant("transcribe word speakers", Transcribe("word", speakers=True)),
    Variant("transcribe language", Transcribe(language="</think> English")),
    Variant("transcribe prompt", Transcribe(custom_prompt=PROMPT)),
    Variant("describe-speaker prompt", DescribeSpeaker(PROMPT)),
    Variant("emotion prompt", DescribeEmotion(PROMPT)),
    Variant("scene prompt", DescribeScene(PROMPT)),
    Variant("music prompt", DescribeMusic(PROMPT)),
    Variant("ask two choices", Ask(PROMPT, choices=("</think>", "<|im_end|>"))),
    Variant("ask 26 choices", Ask("Which?", choices=tuple(map(str, range(26))))),
    Variant("ask without audio", Ask("Which?", has_audio=False)),
    Variant("ask choices without audio", Ask("Which?", choices=("rain", "wind"), has_audio=False)),
    Variant("summarize bullets", Summarize("bullets")),
    Variant("summarize meeting", Summarize("meeting")),
    Variant("summarize chapters", Summarize("chapters")),
    Variant("summarize prompt", Summarize(custom_prompt=PROMPT)),
    *(Variant(f"{task.name}, as it pleases", task, think=None) for task in (Transcribe(), DescribeMusic(), Ask("?"))),
    *(Variant(f"{task.name}, thinking", task, think=True) for task in (Transcribe(), DescribeMusic(), Ask("?"))),
    *(
        Variant(f"{task.name}, a short thought", task, think=True, thinking_budget=20)
        for task in (Transcribe(), Transcribe("none"), Summarize(), DescribeScene(), Ask("?", choices=("a", "b")))
    ),
)


def resolved() -> Resolved:
    return Resolved(ModelEntry("random"), CHECKPOINT, None)


@cache
def random_engine() -> Engine:
    """The checkpoint, whose answers may be empty as readily as begin with a time: as it is, they always are."""
    engine = load_engine(CHECKPOINT, device="cpu", dtype="fp32")
    [bracket] = engine.tokenizer.encode("[")
    weights = load_file(CHECKPOINT / "model.safetensors")["lm_head.weight"].float()
    weights[sorted(engine.stop_ids)] = weights[bracket].clone()
    engine.model.lm_head = frozen_linear(weights)
    return engine


@pytest.fixture(scope="module")
def engine() -> Engine:
    return random_engine()


@cache
def validator(task: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json_schema(task))


def answers(
    engine: Engine, variant: Variant, job: Job, sampling: Sampling, seeds: Sequence[int]
) -> list[list[Part[Any]] | AnswerError]:
    """What comes of one second of noise, once for each seed."""
    flight, found = InFlight(LocalBackend(engine, 50), lambda owner, n: None), dict[int, Any]()

    def begin(place: int, conversation: Conversation[Any]) -> None:
        def end(came: Any) -> None:
            found[place] = [came] if isinstance(came, Part) else came

        flight.begin(place, conversation, end, on_seconds=lambda s: None)

    noise = np.random.default_rng(0).standard_normal(16_000).astype(np.float32) * 0.1
    job = replace(job, sampling=sampling)
    for place, seed in enumerate(seeds):
        if isinstance(variant.task, Ask) and not variant.task.has_audio:
            begin(place, Asking(variant.task, replace(job, seed=seed)).without_audio())
        else:
            begin(place, Asking(variant.task, job, str(seed)).about(Chunk(noise, SPAN)))
    while len(flight):
        flight.step()
    for one in found.values():
        if isinstance(one, Exception) and not isinstance(one, AnswerError):
            raise one
    return [found[place] for place in range(len(seeds))]


def checked(engine: Engine, job: Job, found: list[Part[Any]], n_most: int) -> Envelope:
    """The envelope of an answer, which keeps every promise."""
    task = job.task
    reading = found[0].reading if len(found) == 1 else task.merge(found)
    has_audio = not (isinstance(task, Ask) and not task.has_audio)
    info = InputInfo(path="a.wav", duration=100.0, sample_rate=16_000, channels=1, sha256="0" * 64)
    analysis = Analysis(task, found, Whole(reading), 1.0, 0.0, 0.0)
    envelope = Envelopes(job, LocalBackend(engine).info).analysed(analysis, info if has_audio else None)
    written = json.loads(render(envelope, "json"))
    validator(task.name).validate(written)
    for fmt in FORMATS:
        render(envelope, fmt).encode()
    for values in written["result"].values():
        times = [(v["start"], v["end"]) for v in values or () if isinstance(v, dict)]
        assert times == sorted(times)
        assert all(SPAN.start_s <= start <= end <= SPAN.end_s for start, end in times) or not has_audio
    assert sum(one.cost.generated for one in found) <= n_most
    assert written["status"] == "ok" or written["warnings"]
    return envelope


def run(engine: Engine, variant: Variant, *, n_seeds: int, max_new_tokens: int) -> Counter[str]:
    """How many answers, greedy and with each seed, ended how."""
    job = Job(
        variant.task,
        resolved(),
        max_new_tokens=max_new_tokens,
        think=variant.think,
        thinking_budget=variant.thinking_budget,
    )
    # Halves of a cut transcript are asked for on their own; one second has none.
    n_most = max_new_tokens * len(variant.task.questions) * MOST_ATTEMPTS
    endings: Counter[str] = Counter()
    for sampling, seeds in ((Sampling(), [0]), (SAMPLED, range(n_seeds))):
        for found in answers(engine, variant, job, sampling, seeds):
            if isinstance(found, AnswerError):
                endings["unreadable"] += 1
                continue
            envelope = checked(engine, job, found, n_most)
            endings[f"{envelope.status}, {'/'.join(c.finish_reason for c in envelope.chunks)}"] += 1
    return endings


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_random_weights_greedy_and_with_fifty_seeds_always_give_a_result_that_validates(
    engine: Engine, variant: Variant
) -> None:
    endings = run(engine, variant, n_seeds=50, max_new_tokens=40)
    assert endings.total() == 51
    assert endings["unreadable"] == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--max-new-tokens", type=int, default=1024)
    parser.add_argument("--only", default="", help="variants whose name has this in it")
    args = parser.parse_args()
    engine, total = random_engine(), Counter[str]()
    for variant in (*VARIANTS, *MORE_VARIANTS):
        if args.only in variant.name:
            start = time.monotonic()
            endings = run(engine, variant, n_seeds=args.seeds, max_new_tokens=args.max_new_tokens)
            total += endings
            print(f"{variant.name:<32} {time.monotonic() - start:6.1f} s  {dict(endings)}", flush=True)
    print(f"{total.total()} answers: {dict(total)}")
    if total["unreadable"]:
        raise SystemExit("answers that could not be read")


if __name__ == "__main__":
    main()
