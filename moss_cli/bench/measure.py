"""Measures a loaded model: encoder, prefill, decode steps and first token, by the loop that answers all questions."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from moss_cli.audio.mel import SAMPLE_RATE, log_mel
from moss_cli.bench.ceilings import Ceilings, best_s, synchronise
from moss_cli.bench.counting import prefill_operations, step_bytes
from moss_cli.bench.plan import Plan
from moss_cli.bench.result import BatchFigures
from moss_cli.bench.subject import Subject
from moss_cli.engine.decoding import Broken, Decoding, Ended, Event
from moss_cli.engine.model import AudioFeatures, MossAudio, Prompt
from moss_cli.engine.row import DecodeRequest
from moss_cli.errors import DeviceError

N_TEXT = 20  # tokens around the audio; those of `Transcribe the audio.` with its chat template
TOKENS_PER_AUDIO_S = (
    4.0  # of a transcript; chosen: fluent English is about 2.5 words a second, 1.3 tokens each, and marks
)
ROUNDS = 3  # of what is measured more than once
LONG_S = 2.0  # what takes longer is measured once

Tell = Callable[[str], None]  # what is being measured


@dataclass(frozen=True)
class Heard:
    """A clip that was encoded, and the seconds that took."""

    features: AudioFeatures
    seconds: float


@dataclass(frozen=True)
class BatchTimes:
    """Of so many rows together: seconds, and what was computed and moved in them."""

    batch: int
    prompt_tokens: int
    encoder_s: float
    prefill_s: float
    prefill_operations: int
    step_s: float
    step_least_s: float
    step_bytes: int


def noise_mel(model: MossAudio, audio_s: float) -> torch.Tensor:
    """The mel [n_mels, T] of so many seconds of noise."""
    samples = torch.randn(int(audio_s * SAMPLE_RATE), generator=torch.Generator().manual_seed(0)) * 0.1
    return log_mel(samples, n_mels=model.config.audio.num_mel_bins)


@torch.inference_mode()
def measure_encoder(model: MossAudio, audio_s: float) -> Heard:
    """Encode a clip a few times; the middle time, after one that does not count."""
    mel = noise_mel(model, audio_s)
    times: list[float] = []
    features = model.adapt(model.encode(mel))
    while len(times) < ROUNDS and sum(times) < LONG_S:
        synchronise(model.device)
        began = time.perf_counter()
        features = model.adapt(model.encode(mel))
        synchronise(model.device)
        times.append(time.perf_counter() - began)
    return Heard(features, statistics.median(times))


@torch.inference_mode()
def encoding_s(model: MossAudio, heard: Heard, audio_s: float, n_clips: int) -> float:
    """Seconds to encode so many such clips together; where that would take long, so many times one clip's."""
    if n_clips == 1 or n_clips * heard.seconds > LONG_S:
        return n_clips * heard.seconds
    mels = [noise_mel(model, audio_s)] * n_clips
    return best_s(model.device, lambda: model.adapt_all(model.encode_all(mels)))


def random_prompt(model: MossAudio, audio: AudioFeatures | None, n_text: int, seed: int) -> Prompt:
    """Random text around a clip, or without one."""
    n_audio = audio.n_tokens if audio is not None else 0
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(model.config.language.vocab_size, (n_text + n_audio,), generator=generator)
    mask = torch.zeros(len(ids), dtype=torch.bool)
    mask[n_text // 2 : n_text // 2 + n_audio] = True
    return Prompt(ids, mask, audio)


@torch.inference_mode()
def measure_first_token(model: MossAudio, audio_s: float) -> float:
    """Seconds from a clip's samples to the first token of the answer; the least of two."""
    times = []
    for _ in range(2):
        began = time.perf_counter()
        features = model.adapt(model.encode(noise_mel(model, audio_s)))
        answer(Decoding(model, frozenset(), n_slots=1), [random_prompt(model, features, N_TEXT, seed=0)], 1)
        times.append(time.perf_counter() - began)
    return min(times)


def answer(decoding: Decoding, prompts: Sequence[Prompt], n_tokens: int) -> tuple[list[list[int]], list[float]]:
    """Decode so many tokens greedily for each of the prompts: what came, and the seconds of each step, of which the
    first has the prefill in it. Raises what breaks one."""
    tickets = [decoding.submit(DecodeRequest(prompt, n_tokens)) for prompt in prompts]
    events: list[Event] = []
    times = []
    while decoding.n_waiting or decoding.n_active:
        began = time.perf_counter()
        events += decoding.step()
        times.append(time.perf_counter() - began)
    for event in events:
        if isinstance(event, Broken):
            raise event.error
    made = {event.ticket: event.generation.ids for event in events if isinstance(event, Ended)}
    return [made[ticket] for ticket in tickets], times


def measure_batch(subject: Subject, heard: Heard, plan: Plan, n_rows: int) -> BatchTimes:
    """Prefill and decode `n_rows` together. Raises DeviceError where they do not fit into memory together."""
    model, language = subject.model, subject.config.language
    prompts = [random_prompt(model, heard.features, N_TEXT, seed) for seed in range(n_rows)]
    n_prompt = len(prompts[0].ids)
    decoding = Decoding(model, frozenset(), n_slots=n_rows)
    prefill_s = _prefill_s(decoding, prompts)
    if model.device.type == "cuda":
        answer(decoding, prompts, plan.new_tokens)  # what is captured or tuned at first use does not count
    _, times = answer(decoding, prompts, plan.new_tokens)
    if decoding.n_slots < n_rows:  # it has made do with less
        raise DeviceError(f"batch {n_rows} does not fit into the memory of {model.device}", code="out_of_memory")
    return BatchTimes(
        batch=n_rows,
        prompt_tokens=n_prompt,
        encoder_s=encoding_s(model, heard, plan.audio_s, n_rows),
        prefill_s=prefill_s,
        prefill_operations=prefill_operations(language, n_rows, n_prompt),
        step_s=statistics.median(times[1:]),
        step_least_s=min(times[1:]),
        step_bytes=step_bytes(model, n_rows, n_prompt + plan.new_tokens // 2),
    )


def figures(times: BatchTimes, ceilings: Ceilings, audio_s: float) -> BatchFigures:
    """What follows from the times of a batch."""
    transcript_s = times.encoder_s + times.prefill_s + TOKENS_PER_AUDIO_S * audio_s * times.step_s
    return BatchFigures(
        batch=times.batch,
        prompt_tokens=times.prompt_tokens,
        encoder_s=times.encoder_s,
        prefill_s=times.prefill_s,
        prefill_tokens_s=times.batch * times.prompt_tokens / times.prefill_s,
        matrix_share=times.prefill_operations / times.prefill_s / ceilings.matrix_flop_s,
        step_s=times.step_s,
        step_least_s=times.step_least_s,
        tokens_s=times.batch / times.step_s,
        step_bytes=times.step_bytes,
        bandwidth_share=times.step_bytes / times.step_s / ceilings.bandwidth_bytes_s,
        real_time=times.batch * audio_s / transcript_s,
    )


def _prefill_s(decoding: Decoding, prompts: Sequence[Prompt]) -> float:
    """The least of a few prefills; of one, if that takes long."""
    times: list[float] = []
    while len(times) < ROUNDS and sum(times) < LONG_S:
        times.append(sum(answer(decoding, prompts, 1)[1]))
    return min(times)
