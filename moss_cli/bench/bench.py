"""One measurement from beginning to end."""

from __future__ import annotations

from datetime import UTC, datetime

from moss_cli import __version__
from moss_cli.bench.ceilings import measure_ceilings
from moss_cli.bench.counting import held_bytes
from moss_cli.bench.machine import this_machine
from moss_cli.bench.measure import (
    TOKENS_PER_AUDIO_S,
    BatchTimes,
    Heard,
    Tell,
    figures,
    measure_batch,
    measure_encoder,
    measure_first_token,
)
from moss_cli.bench.memory import PeakMemory
from moss_cli.bench.plan import Plan
from moss_cli.bench.result import Result, SubjectFacts
from moss_cli.bench.subject import Subject
from moss_cli.engine.memory import is_out_of_memory, release
from moss_cli.errors import MossError


def bench(subject: Subject, plan: Plan, tell: Tell) -> Result:
    """Measure a loaded model. Raises DeviceError where not even the first batch fits into memory."""
    tell("measuring what the device can do")
    ceilings = measure_ceilings(subject.device, subject.placement.compute)
    with PeakMemory(subject.device) as peak:
        tell(f"encoding {plan.audio_s:g} s of audio")
        heard = measure_encoder(subject.model, plan.audio_s)
        tell("waiting for a first token")
        first_token_s = measure_first_token(subject.model, plan.audio_s)
        times = _measure_batches(subject, heard, plan, tell)
    tell("measuring once more what the device can do")
    ceilings = ceilings.or_better(measure_ceilings(subject.device, subject.placement.compute))
    return Result(
        moss=__version__,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=this_machine(subject.device),
        subject=_facts(subject),
        ceilings=ceilings,
        audio_s=plan.audio_s,
        new_tokens=plan.new_tokens,
        tokens_per_audio_s=TOKENS_PER_AUDIO_S,
        load_s=subject.load_s,
        load_memory=subject.load_memory,
        run_memory=peak.use,
        encoder_s=heard.seconds,
        encoder_real_time=plan.audio_s / heard.seconds,
        first_token_s=first_token_s,
        batches=tuple(figures(one, ceilings, plan.audio_s) for one in times),
        left_out=plan.batches[len(times) :],
        comparison=None,
    )


def _measure_batches(subject: Subject, heard: Heard, plan: Plan, tell: Tell) -> list[BatchTimes]:
    """One after another, up to the first that does not fit into memory."""
    done: list[BatchTimes] = []
    for n_rows in plan.batches:
        tell(f"decoding {plan.new_tokens} tokens, batch {n_rows}")
        try:
            done.append(measure_batch(subject, heard, plan, n_rows))
        except Exception as error:
            is_short = is_out_of_memory(error) or (isinstance(error, MossError) and error.code == "out_of_memory")
            if not done or not is_short:
                raise
            release(error, subject.device)
            break
    return done


def _facts(subject: Subject) -> SubjectFacts:
    return SubjectFacts(
        name=subject.name,
        weights="random" if subject.is_random else "checkpoint",
        dtype=subject.placement.dtype,
        compute=str(subject.placement.compute).removeprefix("torch."),
        parameters=subject.n_parameters,
        bytes=held_bytes(subject.model),
    )
