"""A measurement for people to read, in 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from moss_cli.bench.memory import MemoryUse
from moss_cli.bench.result import BatchFigures, Comparison, Result, Turns
from moss_cli.errors import counted

_WIDTH = 80
_COLUMNS = "{:>5}  {:>9}  {:>6}  {:>9}  {:>6}  {:>9}  {:>13}"


def table(result: Result) -> str:
    """All figures, with what was assumed."""
    return "\n".join(_lines(result)) + "\n"


def _lines(result: Result) -> Iterator[str]:
    machine, subject, ceilings = result.machine, result.subject, result.ceilings
    drawn = "random weights, " if subject.weights == "random" else ""
    yield f"{subject.name}, {drawn}{subject.dtype} on {machine.device}"
    yield f"{machine.device_name}, {counted(machine.cores, 'core')}, {_bytes(machine.memory_bytes)} of memory"
    yield f"moss {result.moss}, torch {machine.torch}, {counted(machine.threads, 'thread')}, {result.date}"
    yield ""
    yield _row("weights", f"{subject.parameters / 1e9:.2f} billion, {_bytes(subject.bytes)}")
    yield _row("loading", f"{_seconds(result.load_s)}, memory {_memory(result.load_memory)}")
    yield _row("running", f"memory {_memory(result.run_memory)}")
    yield _row(
        "bandwidth",
        f"{_bytes(ceilings.copy_bytes_s)}/s copying (read + written), {_bytes(ceilings.read_bytes_s)}/s reading",
    )
    yield _row("matrices", f"{_figure(ceilings.matrix_flop_s / 1e12)} TFLOP/s in {subject.compute}")
    took = f"{result.audio_s:g} s of audio in {_seconds(result.encoder_s)}"
    yield _row("encoder", f"{_figure(result.encoder_real_time)} x real time ({took})")
    yield _row("first token", f"{_seconds(result.first_token_s)} after the samples of {result.audio_s:g} s of audio")
    yield ""
    yield from _batches(result)
    if result.comparison is not None:
        yield ""
        yield from _comparison(result.comparison)


def _batches(result: Result) -> Iterator[str]:
    yield _COLUMNS.format("batch", "prefill", "of", "decode", "of", "decode", "transcription").rstrip()
    yield _COLUMNS.format("", "tokens/s", "matrix", "ms a step", "memory", "tokens/s", "x real time")
    for one in result.batches:
        yield _batch(one)
    if result.left_out:
        yield f"out of memory: batch {', '.join(map(str, result.left_out))}"
    yield ""
    yield from textwrap.wrap(
        f"Prompts of {result.batches[0].prompt_tokens} tokens, answers of {result.new_tokens}. The shares are of what "
        "this device did in the same run: of its rate of multiplying matrices, and of its bandwidth, for the weights, "
        "keys and values that a step has to read. Transcription is encoder, prefill and decoding, on the assumption "
        f"of {result.tokens_per_audio_s:g} tokens for a second of audio.",
        _WIDTH,
    )


def _batch(one: BatchFigures) -> str:
    return _COLUMNS.format(
        one.batch,
        _figure(one.prefill_tokens_s),
        f"{one.matrix_share:.0%}",
        _figure(1000 * one.step_s),
        f"{one.bandwidth_share:.0%}",
        _figure(one.tokens_s),
        _figure(one.real_time),
    )


def _comparison(comparison: Comparison) -> Iterator[str]:
    yield from textwrap.wrap(
        f"Beside {comparison.other}, in turns: {comparison.new_tokens} tokens after prompts of "
        f"{comparison.prompt_tokens}, greedy, with the same weights. It has the number of threads that suits it best.",
        _WIDTH,
    )
    yield f"{'batch':>5}  {'ours':>8}  {'theirs':>8}  {'ratio':>6}  {'lowest':>6}  {'highest':>7}  {'turns':>5}  tokens"
    for one in comparison.batches:
        yield (
            f"{one.batch:>5}  {_seconds(one.ours_s):>8}  {_seconds(one.theirs_s):>8}  {one.ratio:>6.2f}"
            f"  {one.ratio_least:>6.2f}  {one.ratio_most:>7.2f}  {one.turns:>5}  {_agreement(one)}"
        )


def _agreement(one: Turns) -> str:
    return "equal" if one.first_difference is None else f"differ at {one.first_difference}"


def _row(name: str, text: str) -> str:
    return f"{name:<13}{text}"


def _memory(use: MemoryUse) -> str:
    anonymous = "not known"
    if use.anonymous is not None and use.before is not None:
        anonymous = f"at most {_bytes(use.anonymous)} ({_bytes(use.before)} before)"
    return anonymous if use.device is None else f"{anonymous}, of the device {_bytes(use.device)}"


def _bytes(n: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9)):
        if n >= size:
            return f"{_figure(n / size)} {unit}"
    return f"{_figure(n / 1e6)} MB"


def _seconds(seconds: float) -> str:
    return f"{_figure(seconds)} s" if seconds >= 1 else f"{_figure(1000 * seconds)} ms"


def _figure(value: float) -> str:
    """Three digits, or all those before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
