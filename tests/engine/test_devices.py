"""The dtype that a model is loaded in: what is asked for, or the best that fits."""

from __future__ import annotations

import pytest
import torch

from moss_cli.engine.devices import (
    DTYPES,
    SMALL,
    Placement,
    compute_of_4bit,
    free_bytes,
    keep_fp32,
    pick_device,
    pick_four_bit,
    pick_placement,
    threads_for,
)
from moss_cli.engine.fit import HEADROOM, DeviceFacts, DtypeName, pick_dtype
from moss_cli.errors import DeviceError, UsageError

N = 1_000_000  # parameters


def facts(kind: str, bytes_per_parameter: float, *, has_bf16: bool = True) -> DeviceFacts:
    """A device with so much memory for each parameter, beside what the cache takes, and a byte more."""
    return DeviceFacts(kind, int(bytes_per_parameter * N * HEADROOM) + 1, has_bf16)


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        (facts("cuda", 2), "bf16"),
        (facts("cuda", 1.99), "4bit"),
        (facts("cuda", 40), "bf16"),
        (facts("cuda", 2, has_bf16=False), "fp16"),
        (facts("cuda", 1.99, has_bf16=False), "4bit"),
        (facts("cpu", 4), "fp32"),
        (facts("cpu", 3.99), "bf16"),
        (facts("cpu", 2), "bf16"),
        (facts("cpu", 1.99), "4bit"),
        (facts("mps", 4), "fp32"),
        (facts("mps", 3.99), "fp16"),
        (facts("mps", 0.1), "fp16"),
    ],
)
def test_auto_takes_the_best_dtype_that_fits(device: DeviceFacts, expected: str) -> None:
    assert pick_dtype("auto", N, device) == expected


@pytest.mark.parametrize("kind", ["cuda", "cpu", "mps"])
@pytest.mark.parametrize("dtype", ["bf16", "fp16", "fp32", "4bit"])
def test_a_dtype_that_is_asked_for_is_taken_whether_it_fits_or_not(kind: str, dtype: str) -> None:
    assert pick_dtype(dtype, N, facts(kind, 0.0)) == dtype


def test_fp16_stands_in_for_bf16_where_a_device_has_none() -> None:
    assert pick_dtype("bf16", N, facts("cuda", 9, has_bf16=False)) == "fp16"


def test_another_dtype_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no such dtype: int8"):
        pick_dtype("int8", N, facts("cpu", 9))


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        (facts("cuda", 1), torch.bfloat16),
        (facts("cuda", 1, has_bf16=False), torch.float16),
        (facts("cpu", 1), torch.bfloat16),
        (facts("cpu", 1, has_bf16=False), torch.float32),
        (facts("mps", 1), torch.float32),
    ],
)
def test_what_stands_beside_4bit_weights_is_in_the_devices_own_precision(
    device: DeviceFacts, expected: torch.dtype
) -> None:
    assert compute_of_4bit(device) is expected


@pytest.mark.parametrize(("has_kernel", "expected"), [(True, "nf4"), (False, "int4")])
def test_4bit_on_a_cpu_is_what_it_has_a_kernel_for(
    has_kernel: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moss_cli.engine.devices.has_fused_nf4", lambda: has_kernel)
    assert pick_four_bit(torch.device("cpu")) == expected
    assert pick_four_bit(torch.device("cuda")) == "nf4"
    placed = pick_placement("cpu", "auto", 10**13)
    assert placed.dtype == placed.four_bit == expected
    assert pick_placement("cpu", "4bit", N, four_bit="nf4").dtype == "nf4"
    assert pick_placement("cpu", "4bit", N, four_bit="int4").dtype == "int4"


def test_a_placement_on_this_cpu() -> None:
    assert free_bytes(torch.device("cpu")) > 10**8
    placed = pick_placement("cpu", "auto", N)
    assert (placed.device, placed.dtype, placed.compute) == (torch.device("cpu"), "fp32", torch.float32)
    assert pick_placement("cpu", "bf16", N).compute is torch.bfloat16
    assert pick_placement("cpu", "bf16", N).four_bit is None
    assert pick_placement("cpu", "4bit", N, compute=torch.float32).compute is torch.float32
    assert pick_placement("cpu", "4bit", N, compute=torch.bfloat16).compute is torch.bfloat16
    assert pick_placement("cpu", "fp32", N, compute=torch.bfloat16).compute is torch.float32


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cuda:1234", "CPU", ""])
def test_a_device_that_cannot_be_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError, match="no such device"):
        pick_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("name", ["cuda", "cuda:0"])
def test_a_device_that_is_not_here_is_a_device_error(name: str) -> None:
    with pytest.raises(DeviceError, match="no CUDA device is available"):
        pick_device(name)


def test_a_small_model_on_a_cpu_computes_in_one_thread_and_others_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moss_cli.engine.devices.usual_threads", lambda: 7)
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert [threads_for(cpu, SMALL - 1), threads_for(cpu, SMALL), threads_for(cuda, SMALL - 1)] == [1, 7, 7]


@pytest.mark.parametrize(
    ("device", "dtype", "expected"), [("cuda", "fp32", False), ("cuda", "bf16", True), ("cpu", "fp32", True)]
)
def test_fp32_is_not_rounded_to_tf32_on_cuda(
    device: str, dtype: DtypeName, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    keep_fp32(Placement(torch.device(device), dtype, DTYPES[dtype]))
    assert torch.backends.cudnn.allow_tf32 is expected
