"""The table, word for word."""

from __future__ import annotations

from dataclasses import replace

from moss_cli.bench.ceilings import Ceilings
from moss_cli.bench.machine import Machine
from moss_cli.bench.memory import MemoryUse
from moss_cli.bench.result import BatchFigures, Comparison, Result, SubjectFacts, Turns
from moss_cli.bench.table import table

MACHINE = Machine("Linux 6", "EPYC", 16, 128 * 10**9, "cuda:0", "H200", 150 * 10**9, "2.13.0", "13.0", 8)
RESULT = Result(
    moss="1.0.0",
    date="2026-12-01T00:00:00+00:00",
    machine=MACHINE,
    subject=SubjectFacts("8b", "random", "bf16", "bfloat16", 9_052_463_488, 18_104_926_976),
    ceilings=Ceilings(4.3e12, 4.1e12, 7.9e14),
    audio_s=30.0,
    new_tokens=32,
    tokens_per_audio_s=4.0,
    load_s=12.34,
    load_memory=MemoryUse(500_000_000, 250_000_000, 18_104_926_976),
    run_memory=MemoryUse(None, None, 20 * 10**9),
    encoder_s=0.0151,
    encoder_real_time=1986.0,
    first_token_s=0.02345,
    batches=(
        BatchFigures(1, 395, 0.0151, 0.01, 39_500.0, 0.711, 0.0044, 0.0043, 227.27, 16_000_000_000, 0.846, 1234.5),
        BatchFigures(64, 395, 0.5, 0.5, 50_560.0, 0.9, 0.006, 0.0059, 10_666.7, 20_000_000_000, 0.775, 30.25),
    ),
    left_out=(128,),
    comparison=None,
)
FIGURES = """\
8b, random weights, bf16 on cuda:0
H200, 16 cores, 128 GB of memory
moss 1.0.0, torch 2.13.0, 8 threads, 2026-12-01T00:00:00+00:00

weights      9.05 billion, 18.1 GB
loading      12.3 s, memory at most 500 MB (250 MB before), of the device 18.1 GB
running      memory not known, of the device 20 GB
bandwidth    4.3 TB/s copying (read + written), 4.1 TB/s reading
matrices     790 TFLOP/s in bfloat16
encoder      1,986 x real time (30 s of audio in 15.1 ms)
first token  23.4 ms after the samples of 30 s of audio

batch    prefill      of     decode      of     decode  transcription
        tokens/s  matrix  ms a step  memory   tokens/s    x real time
    1     39,500     71%        4.4     85%        227          1,234
   64     50,560     90%          6     78%     10,667           30.2
out of memory: batch 128

Prompts of 395 tokens, answers of 32. The shares are of what this device did in
the same run: of its rate of multiplying matrices, and of its bandwidth, for the
weights, keys and values that a step has to read. Transcription is encoder,
prefill and decoding, on the assumption of 4 tokens for a second of audio.
"""
BESIDE = """
Beside transformers 4.57.1, in turns: 32 tokens after prompts of 32, greedy,
with the same weights. It has the number of threads that suits it best.
batch      ours    theirs   ratio  lowest  highest  turns  tokens
    1    145 ms     1.2 s    8.28    7.90     8.40      5  equal
   64    200 ms     1.4 s    7.00    6.50     7.10      2  differ at 17
"""


def test_the_figures() -> None:
    assert table(RESULT) == FIGURES


def test_the_figures_beside_another_implementation() -> None:
    turns = (
        Turns(1, 5, 0.145, 1.2, 8.276, 7.9, 8.4, 2, None),
        Turns(64, 2, 0.2, 1.4, 7.0, 6.5, 7.1, 2, 17),
    )
    comparison = Comparison("transformers 4.57.1", 32, 32, turns)
    assert table(replace(RESULT, comparison=comparison)) == FIGURES + BESIDE


def test_one_core_and_one_thread_are_in_the_singular() -> None:
    lines = table(replace(RESULT, machine=replace(MACHINE, cores=1, threads=1))).splitlines()
    assert lines[1] == "H200, 1 core, 128 GB of memory"
    assert lines[2] == "moss 1.0.0, torch 2.13.0, 1 thread, 2026-12-01T00:00:00+00:00"


def test_a_checkpoint_has_no_random_weights() -> None:
    subject = replace(RESULT.subject, name="tiny", weights="checkpoint")
    assert table(replace(RESULT, subject=subject)).splitlines()[0] == "tiny, bf16 on cuda:0"
