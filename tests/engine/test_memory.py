"""Memory that runs out is told from other failures, and what decoding may take is counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from moss_cli.engine.cache import BUCKET, KVCache, cache_bytes
from moss_cli.engine.engine import Engine
from moss_cli.engine.memory import CACHE_SHARE, MOST_SLOTS, TYPICAL_POSITIONS, is_out_of_memory, slots_that_fit
from moss_cli.errors import DeviceError, ExitCode


def of_numpy() -> Exception:
    """What numpy raises; its class has another place in each version."""
    with pytest.raises(MemoryError) as raised:
        np.empty(1 << 60, np.int8)
    return raised.value


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
        MemoryError(),
        of_numpy(),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("HIP out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError(
            "MPS backend out of memory (MPS allocated: 5.05 GB, other allocations: 3 GB, max allowed: 9.07 GB)."
        ),
        RuntimeError("Failed to allocate private MTLBuffer for size 1073741824"),
        RuntimeError("Invalid buffer size: 75.62 GiB"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
            "allocate 4000000000000 bytes. Error code 12 (Cannot allocate memory)"
        ),
        RuntimeError("[enforce fail at alloc_cpu.cpp:86] data. DefaultCPUAllocator: not enough memory: you tried to"),
    ],
    ids=lambda error: str(error)[:40],
)
def test_what_says_that_memory_ran_out_is_known(error: Exception) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        RuntimeError("CUDA error: device-side assert triggered"),
        ValueError("out of memory"),
        OSError(12, "Cannot allocate memory"),
        KeyboardInterrupt(),
    ],
)
def test_other_failures_are_not_taken_for_it(error: BaseException) -> None:
    assert not is_out_of_memory(error)


def test_an_allocation_that_no_machine_has_room_for_is_known() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.zeros(2**55, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


def test_the_cache_takes_the_bytes_that_are_counted_for_it(engine: Engine) -> None:
    language = engine.model.config.language
    for n_positions, dtype in [(1, torch.float32), (BUCKET, torch.bfloat16), (BUCKET + 1, torch.float32)]:
        cache = KVCache(language, 3, n_positions, device=torch.device("cpu"), dtype=dtype)
        held = sum(tensor.nbytes for tensor in (*cache.keys, *cache.values))
        assert held == cache_bytes(language, 3, n_positions, dtype)


@pytest.mark.parametrize(("n_rows", "expected"), [(0.5, 1), (1, 1), (2.5, 2), (10_000, MOST_SLOTS["cpu"])])
def test_there_are_as_many_slots_as_fit_and_no_more_than_help(engine: Engine, n_rows: float, expected: int) -> None:
    row = cache_bytes(engine.model.config.language, 1, TYPICAL_POSITIONS, torch.float32)
    assert slots_that_fit(engine.model, int(n_rows * row)) == expected


def test_the_engine_makes_a_decode_loop_of_its_own_size_or_of_the_one_asked_for(engine: Engine) -> None:
    assert engine.decoding(3).n_slots == 3
    assert engine.decoding().n_slots == MOST_SLOTS["cpu"]
    assert 0 < CACHE_SHARE < 1


def short_of_memory(engine: Engine, most_windows: int) -> Any:
    def before(_: Any, args: Any) -> None:
        n_tried.append(len(args[0]))
        if len(args[0]) > most_windows:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    n_tried: list[int] = []
    return n_tried, engine.model.audio_encoder.register_forward_pre_hook(before)


def test_a_clip_is_heard_in_fewer_windows_at_a_time_when_memory_runs_out_and_so_are_the_next(tiny: Engine) -> None:
    samples = np.random.default_rng(0).standard_normal(16_000 * 18).astype(np.float32) * 0.1  # five windows
    expected = tiny.hear(samples)
    n_tried, handle = short_of_memory(tiny, 2)
    try:
        found = tiny.hear(samples)
        first = list(n_tried)
        tiny.hear(samples)
    finally:
        handle.remove()
        tiny.windows_at_once = 64
    assert torch.allclose(found.adapter, expected.adapter, atol=1e-5)
    assert first == [5, 5, 5, 5, 4, 2, 2, 1]  # 64, 32, 16, 8 and 4 windows at most, then two
    assert n_tried[len(first) :] == [2, 2, 1]


def test_a_clip_of_which_no_window_fits_is_a_device_error(tiny: Engine) -> None:
    _, handle = short_of_memory(tiny, 0)
    try:
        with pytest.raises(DeviceError, match="out of memory on cpu") as caught:
            tiny.hear(np.zeros(16_000, dtype=np.float32))
    finally:
        handle.remove()
        tiny.windows_at_once = 64
    assert (caught.value.code, caught.value.exit_code) == ("out_of_memory", ExitCode.DEVICE)


def test_other_failures_of_the_encoder_are_told_as_they_are(tiny: Engine) -> None:
    def fail(_: Any, args: Any) -> None:
        raise ValueError("poison")

    handle = tiny.model.audio_encoder.register_forward_pre_hook(fail)
    try:
        with pytest.raises(ValueError, match="poison"):
            tiny.hear(np.zeros(16_000, dtype=np.float32))
    finally:
        handle.remove()
    assert tiny.windows_at_once == 64
