"""`moss --version`: moss, torch and the device, without torch."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from moss_cli import __version__
from moss_cli.cli.version import device_here, torch_version, version_line

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="devices are found otherwise there")
CUDA_BUILD = "from typing import Optional\n__version__ = '2.13.0'\ncuda: Optional[str] = '12.6'\n"


@pytest.fixture
def gpus(tmp_path: Path) -> Path:
    """As NVIDIA's driver lists two GPUs."""
    for folder, name in (("0000:01:00.0", "NVIDIA H200"), ("0000:02:00.0", "NVIDIA L4")):
        (tmp_path / "gpus" / folder).mkdir(parents=True)
        (tmp_path / "gpus" / folder / "information").write_text(f"Model: \t\t {name}\nIRQ: 12\n")
    return tmp_path / "gpus"


def test_the_version_of_torch_is_what_torch_says() -> None:
    assert torch_version() == (torch.__version__, torch.version.cuda is not None)


def test_a_build_for_cuda_is_known(tmp_path: Path) -> None:
    (tmp_path / "version.py").write_text(CUDA_BUILD)
    assert torch_version(tmp_path) == ("2.13.0", True)
    assert torch_version(tmp_path / "none") == (None, False)


def test_the_line() -> None:
    line = version_line()
    assert line.startswith(f"moss {__version__} (torch {torch.__version__}, Python {platform.python_version()}, ")
    assert line.endswith(")")


def test_the_device_is_what_auto_takes() -> None:
    from moss_cli.engine.devices import pick_device

    assert device_here(has_cuda=torch.version.cuda is not None).partition(":")[0] == pick_device("auto").type


@LINUX
@pytest.mark.parametrize(
    ("visible", "device"),
    [
        (None, "cuda: NVIDIA H200"),
        ("1", "cuda: NVIDIA L4"),
        ("1,0", "cuda: NVIDIA L4"),
        ("GPU-8932f937", "cuda: NVIDIA H200"),
        ("", "cpu"),
        ("-1", "cpu"),
    ],
)
def test_the_gpu_that_is_used(gpus: Path, visible: str | None, device: str) -> None:
    environ = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert device_here(has_cuda=True, environ=environ, gpus=gpus) == device
    assert device_here(has_cuda=False, environ=environ, gpus=gpus) == "cpu"


@LINUX
def test_without_a_driver_there_is_the_cpu_and_under_windows_cuda(tmp_path: Path) -> None:
    driver = tmp_path / "libcuda.so.1"
    assert device_here(has_cuda=True, environ={}, gpus=tmp_path, wsl_driver=driver) == "cpu"
    driver.touch()
    assert device_here(has_cuda=True, environ={}, gpus=tmp_path, wsl_driver=driver) == "cuda"


def test_torch_is_not_imported() -> None:
    code = "import sys; from moss_cli.cli.main import run; run(['-V']); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines() == [version_line(), "False"]
