"""Which device computes, and in which dtype the weights are held."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from moss_cli.errors import DeviceError, UsageError

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
SMALL = 50_000_000  # parameters; the work of so small a model is not worth sharing out among threads
HEADROOM = 1.15  # what activations and the cache take beside the weights

DtypeName = Literal["bf16", "fp16", "fp32", "4bit"]


@dataclass(frozen=True)
class Placement:
    """Where the weights go. `compute` is what everything not quantised is held and computed in;
    `asked_compute` replaces it for 4-bit weights."""

    device: torch.device
    dtype: DtypeName
    asked_compute: torch.dtype | None = None

    @property
    def compute(self) -> torch.dtype:
        if self.dtype != "4bit":
            return DTYPES[self.dtype]
        if self.asked_compute is not None:
            return self.asked_compute
        if self.device.type == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
        return torch.float32


def pick_device(asked: str) -> torch.device:
    """`auto`, `cuda`, `cuda:N`, `mps` or `cpu`. Raises DeviceError for one that is not here."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]{1,3})?", asked):
        raise UsageError(f"no such device: {asked}", hint="auto, cuda, cuda:N, mps or cpu")
    if asked == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    device = torch.device(asked)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError("no CUDA device is available", hint="use --device cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(f"there is no {asked}: this machine has {torch.cuda.device_count()} CUDA device(s)")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("no MPS device is available", hint="use --device cpu")
    return device


def free_bytes(device: torch.device) -> int:
    """Memory that weights may take on a device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    try:
        with Path("/proc/meminfo").open(encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def spare_threads(device: torch.device, n_parameters: int) -> None:
    """Let a small model compute in one thread on a CPU: several gain nothing, and wait for each other for long where
    other programs want the cores too."""
    if device.type == "cpu" and n_parameters < SMALL:
        torch.set_num_threads(1)


def pick_placement(
    device_name: str, dtype_name: str, n_parameters: int, compute: torch.dtype | None = None
) -> Placement:
    """Decide device and dtype for a model of `n_parameters`. Raises DeviceError, UsageError.

    auto on CUDA: bf16 if it fits, else 4bit; elsewhere fp32 if it fits, else bf16 (fp16 on MPS).
    """
    device = pick_device(device_name)
    if dtype_name in ("bf16", "fp16", "fp32", "4bit"):
        named: DtypeName = dtype_name  # type: ignore[assignment]
        if named == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
            named = "fp16"
        return Placement(device, named, compute)
    if dtype_name != "auto":
        raise UsageError(f"no such dtype: {dtype_name}", hint="auto, bf16, fp16, fp32 or 4bit")
    free = free_bytes(device)
    if device.type == "cuda":
        half: DtypeName = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
        return Placement(device, half if 2 * n_parameters * HEADROOM < free else "4bit", compute)
    if device.type == "mps":
        return Placement(device, "fp32" if 4 * n_parameters * HEADROOM < free else "fp16")
    return Placement(device, "fp32" if 4 * n_parameters * HEADROOM < free else "bf16")
