"""What `moss --version` says, without importing torch."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from moss_cli import __version__

GPUS = Path("/proc/driver/nvidia/gpus")  # a folder for each, of NVIDIA's driver for Linux
WSL_DRIVER = Path("/usr/lib/wsl/lib/libcuda.so.1")


def version_line() -> str:
    """`moss 0.1.0 (torch 2.13.0+cu126, Python 3.13.2, cuda: NVIDIA H200)`: the device is what `--device auto` takes."""
    torch, has_cuda = torch_version()
    device = device_here(has_cuda=has_cuda)
    return f"moss {__version__} (torch {torch or 'missing'}, Python {platform.python_version()}, {device})"


def torch_version(folder: Path | None = None) -> tuple[str | None, bool]:
    """The version of the torch in `folder`, by default the one that would be imported, and whether it was built for
    CUDA. Read from its `version.py`: importing it takes seconds."""
    if folder is None:
        spec = find_spec("torch")  # of a package at the top, which imports nothing
        folder = Path(spec.origin).parent if spec and spec.origin else None
    try:
        text = (folder / "version.py").read_text(encoding="utf-8") if folder else ""
    except OSError:
        text = ""
    version = re.search(r"^__version__ = '([^']+)'", text, re.MULTILINE)
    return version[1] if version else None, re.search(r"^cuda\b[^=]*= '", text, re.MULTILINE) is not None


def device_here(
    *, has_cuda: bool, environ: Mapping[str, str] = os.environ, gpus: Path = GPUS, wsl_driver: Path = WSL_DRIVER
) -> str:
    """`cuda: NVIDIA H200`, `mps` or `cpu`: what is found without asking a driver. `moss doctor` asks it."""
    if sys.platform == "darwin":
        return "mps" if platform.machine() == "arm64" else "cpu"
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if not has_cuda or visible in ("", "-1", "NoDevFiles"):
        return "cpu"
    names = [name for path in sorted(gpus.glob("*/information")) if (name := _model_of(path))]
    if names:
        numbers = [int(one) for one in (visible or "").split(",") if one.isascii() and one.isdigit()]
        first = next((names[n] for n in numbers if n < len(names)), names[0])
        return f"cuda: {first}"
    return "cuda" if wsl_driver.exists() else "cpu"


def _model_of(path: Path) -> str | None:
    try:
        match = re.search(r"^Model:\s*(.+?)\s*$", path.read_text(encoding="utf-8"), re.MULTILINE)
    except (OSError, UnicodeDecodeError):
        return None
    return match[1] if match else None
