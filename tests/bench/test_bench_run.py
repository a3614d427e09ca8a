"""A whole measurement of a small model. Which figures there are, and how they hang together; not how large they are."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

import moss_cli
from moss_cli.bench import subject as subjects
from moss_cli.bench.bench import bench
from moss_cli.bench.ceilings import Ceilings, measure_ceilings
from moss_cli.bench.kept import with_result
from moss_cli.bench.plan import Plan
from moss_cli.bench.result import Result
from moss_cli.bench.shapes import parse_shape
from moss_cli.bench.subject import load_folder, load_shape
from moss_cli.bench.table import table
from moss_cli.engine.cache import CacheRows
from moss_cli.engine.model import Tokens
from moss_cli.engine.random_weights import RandomTensors
from moss_cli.errors import DeviceError

pytestmark = pytest.mark.usefixtures("small_ceilings")

PLAN = Plan(batches=(1, 2), audio_s=2.0, new_tokens=4)
KEYS = {
    "": "moss date machine subject ceilings audio_s new_tokens tokens_per_audio_s load_s load_memory run_memory"
    " encoder_s encoder_real_time first_token_s batches left_out comparison",
    "machine": "system processor cores memory_bytes device device_name device_bytes torch cuda threads",
    "subject": "name weights dtype compute parameters bytes",
    "ceilings": "copy_bytes_s read_bytes_s matrix_flop_s",
    "load_memory": "anonymous before device",
    "run_memory": "anonymous before device",
    "batches": "batch prompt_tokens encoder_s prefill_s prefill_tokens_s matrix_share step_s step_least_s tokens_s"
    " step_bytes bandwidth_share real_time",
}


@pytest.fixture(scope="module")
def told() -> list[str]:
    return []


@pytest.fixture(scope="module")
def result(small_ceilings: None, told: list[str]) -> Result:
    subject = load_shape(parse_shape("tiny"), device="cpu", dtype="fp32")
    return bench(subject, PLAN, told.append)


def test_the_document_has_these_keys(result: Result) -> None:
    document = json.loads(json.dumps(result.document()))
    for name, keys in KEYS.items():
        values = document[name] if name else document
        for value in values if isinstance(values, list) else [values]:
            assert list(value) == keys.split(), name


def test_it_says_what_was_measured(result: Result) -> None:
    assert (result.moss, result.subject.name, result.subject.weights) == (moss_cli.__version__, "tiny", "random")
    assert (result.subject.dtype, result.subject.compute) == ("fp32", "float32")
    assert result.subject.parameters == 6_669_504
    assert result.subject.bytes >= 4 * 6_669_504
    assert (result.machine.device, result.machine.torch, result.machine.threads) == ("cpu", torch.__version__, 1)
    assert (result.audio_s, result.new_tokens, result.left_out) == (2.0, 4, ())


def test_it_says_what_it_is_doing(result: Result, told: list[str]) -> None:
    assert told == [
        "measuring what the device can do",
        "encoding 2 s of audio",
        "waiting for a first token",
        "decoding 4 tokens, batch 1",
        "decoding 4 tokens, batch 2",
        "measuring once more what the device can do",
    ]


def test_the_figures_of_a_batch_follow_from_its_times(result: Result) -> None:
    ceilings = result.ceilings
    bandwidth = max(ceilings.copy_bytes_s, ceilings.read_bytes_s)
    for one in result.batches:
        assert one.prompt_tokens == 20 + 25  # 2 s of audio, and the text around it
        assert one.prefill_tokens_s == one.batch * 45 / one.prefill_s
        assert one.tokens_s == one.batch / one.step_s
        assert one.bandwidth_share == one.step_bytes / one.step_s / bandwidth
        seconds = one.encoder_s + one.prefill_s + 4.0 * 2.0 * one.step_s
        assert one.real_time == one.batch * 2.0 / seconds
    assert [one.batch for one in result.batches] == [1, 2]
    assert result.batches[0].encoder_s == result.encoder_s
    assert result.encoder_real_time == 2.0 / result.encoder_s


def test_memory_is_at_most_what_it_was_before_or_more(result: Result) -> None:
    for use in (result.load_memory, result.run_memory):
        if Path("/proc/self/status").exists():
            assert use.anonymous is not None and use.before is not None and use.anonymous >= use.before > 0
        assert use.device is None


def test_a_checkpoint_is_measured_in_the_same_way() -> None:
    folder = Path(moss_cli.__file__).parent / "weights" / "tiny"
    subject = load_folder("tiny", folder, device="cpu", dtype="fp32")
    measured = bench(subject, dataclasses.replace(PLAN, batches=(1,)), lambda doing: None)
    assert (measured.subject.name, measured.subject.weights) == ("tiny", "checkpoint")
    assert subject.tensors().shapes == RandomTensors(subject.config).shapes


def test_a_shape_that_does_not_fit_is_refused_before_it_takes_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subjects, "free_bytes", lambda device: 20_000_000_000)
    monkeypatch.setattr(subjects, "RandomTensors", lambda config: pytest.fail("weights are made"))
    with pytest.raises(DeviceError) as caught:
        load_shape(parse_shape("8b"), device="cpu", dtype="bf16")
    assert str(caught.value) == "8b takes 20.8 GB as bf16, and cpu has 20.0 GB free"
    assert (caught.value.code, caught.value.exit_code) == ("out_of_memory", 6)


def test_batches_that_do_not_fit_are_named_and_the_others_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from moss_cli.bench import bench as module

    def measure(*arguments: object) -> object:
        if arguments[-1] == 4:
            raise torch.OutOfMemoryError("too much")
        return real(*arguments)  # type: ignore[arg-type]

    real = module.measure_batch
    monkeypatch.setattr(module, "measure_batch", measure)
    subject = load_shape(parse_shape("tiny"), device="cpu", dtype="fp32")
    measured = bench(subject, Plan(batches=(1, 4, 8), audio_s=1.0, new_tokens=4), lambda doing: None)
    assert ([one.batch for one in measured.batches], measured.left_out) == ([1], (4, 8))
    assert "out of memory: batch 4, 8" in table(measured)
    with pytest.raises(torch.OutOfMemoryError):
        bench(subject, Plan(batches=(4,), audio_s=1.0, new_tokens=4), lambda doing: None)


def test_rows_that_were_not_decoded_together_are_no_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where memory runs out the loop makes do with fewer rows: its times are not those of what was asked for."""
    from moss_cli.bench import measure

    subject = load_shape(parse_shape("tiny"), device="cpu", dtype="fp32")
    heard = measure.measure_encoder(subject.model, 1.0)
    forward, failed = subject.model.forward, []

    def short_of_memory(tokens: Tokens, past: CacheRows | None = None) -> torch.Tensor:
        if len(tokens.ids) == 4 and not failed:
            failed.append(tokens)
            raise torch.OutOfMemoryError("too much")
        return forward(tokens, past)

    monkeypatch.setattr(subject.model, "forward", short_of_memory)
    with pytest.raises(DeviceError, match="batch 4 does not fit") as caught:
        measure.measure_batch(subject, heard, Plan(batches=(4,), audio_s=1.0, new_tokens=4), 4)
    assert caught.value.code == "out_of_memory"


def test_the_better_of_two_measurements_of_a_ceiling_counts() -> None:
    assert Ceilings(1.0, 5.0, 3.0).or_better(Ceilings(2.0, 4.0, 3.5)) == Ceilings(2.0, 5.0, 3.5)


def test_ceilings_are_rates() -> None:
    ceilings = measure_ceilings(torch.device("cpu"), torch.float32, 1 << 20)
    assert min(dataclasses.astuple(ceilings)) > 0
    assert ceilings.bandwidth_bytes_s == max(ceilings.copy_bytes_s, ceilings.read_bytes_s)


def test_the_table_fits_80_columns(result: Result) -> None:
    assert max(map(len, table(result).splitlines())) <= 80


def test_the_last_figures_of_each_subject_device_and_dtype_are_kept(result: Result) -> None:
    other = dataclasses.replace(result, subject=dataclasses.replace(result.subject, dtype="bf16"))
    later = dataclasses.replace(result, date="2027-01-01T00:00:00+00:00")
    kept = with_result(with_result(with_result(None, result), other), later)
    dates = [(one["subject"]["dtype"], one["date"]) for one in json.loads(kept)["results"]]
    assert dates == [("bf16", result.date), ("fp32", later.date)]


@pytest.mark.parametrize("damaged", ["", "{", "[]", '{"results": 3}', '{"results": [{"subject": 1}]}'])
def test_kept_figures_that_cannot_be_read_are_begun_anew(damaged: str, result: Result) -> None:
    assert len(json.loads(with_result(damaged, result))["results"]) == 1
