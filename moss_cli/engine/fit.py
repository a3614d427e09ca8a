"""In which dtype a model fits into the memory of a device. Nothing here needs torch, so that a list is quick."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from moss_cli.errors import UsageError

VALUE_BYTES = {"bf16": 2, "fp16": 2, "fp32": 4}
HEADROOM = 1.15  # what activations and the cache take beside the weights

DtypeName = Literal["bf16", "fp16", "fp32", "4bit"]

# What the drivers of NVIDIA and AMD make, and Windows' for the Linux beside it.
_GPU_NODES = ("nvidia*", "kfd", "dxg")


@dataclass(frozen=True)
class DeviceFacts:
    """What decides the dtype on a device: its type, the bytes that weights may take, and whether it computes in bf16
    (a CUDA device that does not takes fp16)."""

    type: str
    free_bytes: int
    has_bf16: bool = True


def facts_without_torch(dev: Path = Path("/dev")) -> DeviceFacts | None:
    """What decides the dtype where there is surely nothing but a CPU; None where only torch can tell."""
    if sys.platform != "linux" or any(next(dev.glob(name), None) for name in _GPU_NODES):
        return None
    return DeviceFacts("cpu", free_memory())


def free_memory() -> int:
    """Bytes that a program may take of the machine's memory."""
    try:
        with Path("/proc/meminfo").open(encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def pick_dtype(asked: str, n_parameters: int, facts: DeviceFacts) -> DtypeName:
    """The dtype that is asked for, or under `auto` the best that fits. Raises UsageError.

    auto on CUDA: bf16 (or fp16) if it fits, else 4bit; on a CPU fp32 if it fits, else bf16, else 4bit; on MPS fp32 if
    it fits, else fp16.
    """
    half: DtypeName = "bf16" if facts.has_bf16 or facts.type != "cuda" else "fp16"
    if asked != "auto":
        named: dict[str, DtypeName] = {"bf16": half, "fp16": "fp16", "fp32": "fp32", "4bit": "4bit"}
        if asked not in named:
            raise UsageError(f"no such dtype: {asked}", hint="auto, bf16, fp16, fp32 or 4bit")
        return named[asked]
    choices: dict[str, tuple[DtypeName, ...]] = {"cuda": (half,), "cpu": ("fp32", "bf16"), "mps": ("fp32",)}
    for dtype in choices[facts.type]:
        if VALUE_BYTES[dtype] * n_parameters * HEADROOM < facts.free_bytes:
            return dtype
    return "fp16" if facts.type == "mps" else "4bit"
