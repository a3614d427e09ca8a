"""moss, Python and torch."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from moss_cli import __version__
from moss_cli.doctor.check import Check, install

PYTHONS = (3, 11), (3, 14)  # the oldest and the newest, as pyproject.toml has them
OLDEST_TORCH = (2, 6)
DRIVER = Path("/proc/driver/nvidia/version")  # there where NVIDIA's driver is loaded
CUDA_INDEX = "https://download.pytorch.org/whl/cu126"  # of torch's builds for CUDA; cu126 also has older devices


@dataclass(frozen=True)
class TorchFacts:
    """torch, and what it sees of CUDA. visible: CUDA_VISIBLE_DEVICES; has_driver: whether NVIDIA's driver is loaded."""

    version: str
    cuda: str | None
    n_devices: int
    has_driver: bool
    visible: str | None = None


def check_moss() -> Check:
    """Which moss this is, and where it lies."""
    folder = str(Path(__file__).parents[1])
    return Check("moss", "ok", __version__, facts={"version": __version__, "folder": folder})


def check_python(version: tuple[int, int, int] = sys.version_info[:3]) -> Check:
    """Whether it is one that moss is made for."""
    text, (oldest, newest) = ".".join(map(str, version)), PYTHONS
    facts = {"version": text, "executable": sys.executable}
    if oldest <= version[:2] <= newest:
        return Check("Python", "ok", text, facts=facts)
    wanted = f"moss is made for {oldest[0]}.{oldest[1]} to {newest[0]}.{newest[1]}"
    return Check("Python", "warning", f"{text}: {wanted}", "pipx reinstall --python python3.13 moss-cli", facts)


def torch_facts() -> TorchFacts:
    """What is installed here."""
    return TorchFacts(
        version=torch.__version__,
        cuda=torch.version.cuda,
        n_devices=torch.cuda.device_count() if torch.cuda.is_available() else 0,
        has_driver=DRIVER.exists(),
        visible=os.environ.get("CUDA_VISIBLE_DEVICES"),
    )


def check_torch(found: TorchFacts) -> Check:
    """Whether torch is new enough, and sees the NVIDIA devices that there are."""
    facts = {"version": found.version, "cuda": found.cuda, "cuda_devices": found.n_devices}
    text = f"{found.version}, {f'CUDA {found.cuda}' if found.cuda else 'without CUDA'}"
    if tuple(int(part) for part in found.version.split(".")[:2]) < OLDEST_TORCH:
        wanted = ".".join(map(str, OLDEST_TORCH))
        return Check("torch", "error", f"{text}: moss needs {wanted} or newer", install(f"torch>={wanted}"), facts)
    if found.n_devices or not found.has_driver:
        return Check("torch", "ok", text, facts=facts)
    if not found.cuda:
        fix = install("--force-reinstall", "torch", "--index-url", CUDA_INDEX)
        return Check("torch", "warning", f"{text}, but this machine has an NVIDIA driver", fix, facts)
    if found.visible is not None:
        hidden = f"CUDA_VISIBLE_DEVICES={found.visible} hides the GPUs"
        return Check("torch", "warning", f"{text}, but {hidden}", "unset CUDA_VISIBLE_DEVICES", facts)
    fix = install("--force-reinstall", "torch", "--index-url", CUDA_INDEX)
    return Check("torch", "warning", f"{text}, which sees no GPU: the driver may be older than it", fix, facts)
