"""The machine that figures were measured on."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Machine:
    """Processor, memory in bytes, and the device with what drives it."""

    system: str
    processor: str
    cores: int
    memory_bytes: int
    device: str
    device_name: str
    device_bytes: int | None
    torch: str
    cuda: str | None
    threads: int


def this_machine(device: torch.device) -> Machine:
    """What there is here, with the threads that torch computes with now."""
    processor, name, device_bytes = _processor(), _processor(), None
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        name, device_bytes = properties.name, properties.total_memory
    return Machine(
        system=f"{platform.system()} {platform.release()}",
        processor=processor,
        cores=_n_cores(),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        device=str(device),
        device_name=name,
        device_bytes=device_bytes,
        torch=torch.__version__,
        cuda=torch.version.cuda,
        threads=torch.get_num_threads(),
    )


def _n_cores() -> int:
    """That this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
