"""How much memory decoding may take, and what to do when it runs out."""

from __future__ import annotations

import ctypes
import os
import traceback

import torch

from moss_cli.engine.cache import cache_bytes
from moss_cli.engine.devices import free_bytes
from moss_cli.engine.model import MossAudio
from moss_cli.errors import DeviceError

CACHE_SHARE = 0.7  # of the memory that is free once the weights are loaded; chosen: activations and clips take the rest
# CPU: measured with `tiny` on one core, transcripts under their grammar. Tokens a second: 88 with 1 slot, 144 with 2,
# 215 with 4, 310 with 8, 430 with 16, 480 with 32. 64 clients of `moss serve` get 2.8 times the answers of one with 16,
# 3.4 times with 32. CUDA and MPS: chosen, not measured.
MOST_SLOTS = {"cpu": 32, "cuda": 32, "mps": 16}
TYPICAL_POSITIONS = 2048  # of a row; chosen: a clip of about two minutes with its answer

# What plain RuntimeErrors say; torch has a class of its own only for its caching allocators.
_TEXTS = (
    "can't allocate memory",  # CPU: DefaultCPUAllocator, since torch 1.7
    "not enough memory",  # CPU on Windows and under ulimit: DefaultCPUAllocator
    "cannot allocate memory",  # errno 12, from mmap
    "could not create a primitive",  # CPU: oneDNN, for want of memory to prepare a convolution or product
    "out of memory",  # "CUDA error: out of memory", "MPS backend out of memory", "HIP out of memory"
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
    "cusolver_status_alloc_failed",
    "cusparse_status_alloc_failed",
    "cudnn_status_internal_error_host_allocation_failed",
    "failed to allocate",  # MPS: "Failed to allocate private MTLBuffer for size …"
    "invalid buffer size",  # MPS: a tensor larger than any buffer may be
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the memory of the device, or of the machine, ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error).lower() for text in _TEXTS)


def release(error: BaseException, device: torch.device) -> None:
    """Let go of the tensors that the frames of a failed attempt hold, and hand unused blocks back to the device."""
    traceback.clear_frames(error.__traceback__)
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def return_freed() -> None:
    """Hand back to the system what the C library keeps of freed memory, where it can be told to: a tenth of a large
    model's weights after they were quantised in several threads."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None  # glibc's
    if trim is not None:
        trim(0)


def return_unused() -> None:
    """Hand back what torch and the C library keep of the memory of a model that is no longer there."""
    torch.cuda.empty_cache()  # nothing, where CUDA was not used
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
    return_freed()


def out_of_memory(device: torch.device, cause: Exception) -> DeviceError:
    """What is said when a request does not fit into memory even alone."""
    error = DeviceError(
        f"out of memory on {device}",
        hint="try --dtype 4bit, a smaller --batch-size or a shorter --chunk",
        code="out_of_memory",
    )
    error.__cause__ = cause
    return error


def cache_budget(device: torch.device) -> int:
    """Bytes that a cache may take on a device."""
    return int(CACHE_SHARE * free_bytes(device))


def auto_slots(model: MossAudio, device: torch.device) -> int:
    """How many requests to decode at a time: as many as the device has memory for, up to where more are no faster."""
    return slots_that_fit(model, cache_budget(device))


def slots_that_fit(model: MossAudio, max_cache_bytes: int) -> int:
    """How many rows of a usual length fit into a cache of so many bytes; at least one."""
    row = cache_bytes(model.config.language, 1, TYPICAL_POSITIONS, model.dtype)
    return max(1, min(MOST_SLOTS[model.device.type], max_cache_bytes // row))
