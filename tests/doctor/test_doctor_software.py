"""moss, Python and torch: the lines, and what mends them."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from mending import is_command

from moss_cli import __version__
from moss_cli.doctor.check import Check, install, tried, tried_all
from moss_cli.doctor.software import TorchFacts, check_moss, check_python, check_torch
from moss_cli.errors import MossError

GPU_BOX = TorchFacts(version="2.13.0+cu126", cuda="12.6", n_devices=1, has_driver=True)


def test_moss_says_its_version() -> None:
    assert (check_moss().status, check_moss().text) == ("ok", __version__)


@pytest.mark.parametrize(
    ("version", "status", "text"),
    [
        ((3, 11, 0), "ok", "3.11.0"),
        ((3, 14, 9), "ok", "3.14.9"),
        ((3, 10, 4), "warning", "3.10.4: moss is made for 3.11 to 3.14"),
        ((3, 15, 0), "warning", "3.15.0: moss is made for 3.11 to 3.14"),
    ],
)
def test_a_python_that_moss_is_not_made_for_is_a_warning(version: tuple[int, int, int], status: str, text: str) -> None:
    check = check_python(version)
    assert (check.status, check.text, is_command(check.fix)) == (status, text, status != "ok")


@pytest.mark.parametrize(
    ("found", "status", "text"),
    [
        (GPU_BOX, "ok", "2.13.0+cu126, CUDA 12.6"),
        (TorchFacts("2.6.0", None, 0, False), "ok", "2.6.0, without CUDA"),
        (replace(GPU_BOX, n_devices=0, has_driver=False), "ok", "2.13.0+cu126, CUDA 12.6"),
        (replace(GPU_BOX, version="2.5.1"), "error", "2.5.1, CUDA 12.6: moss needs 2.6 or newer"),
        (
            TorchFacts("2.13.0+cpu", None, 0, True),
            "warning",
            "2.13.0+cpu, without CUDA, but this machine has an NVIDIA driver",
        ),
        (
            replace(GPU_BOX, n_devices=0),
            "warning",
            "2.13.0+cu126, CUDA 12.6, which sees no GPU: the driver may be older than it",
        ),
        (
            replace(GPU_BOX, n_devices=0, visible=""),
            "warning",
            "2.13.0+cu126, CUDA 12.6, but CUDA_VISIBLE_DEVICES= hides the GPUs",
        ),
    ],
)
def test_a_torch_that_is_too_old_or_does_not_see_the_gpu_is_told(found: TorchFacts, status: str, text: str) -> None:
    check = check_torch(found)
    assert (check.status, check.text, is_command(check.fix)) == (status, text, status != "ok")


def test_gpus_that_a_variable_hides_are_shown_again_by_unsetting_it() -> None:
    assert check_torch(replace(GPU_BOX, n_devices=0, visible="-1")).fix == "unset CUDA_VISIBLE_DEVICES"


def test_packages_are_installed_beside_moss_also_where_there_is_no_pip() -> None:
    assert install("torch>=2.6", has_pip=True) == f"{sys.executable} -m pip install 'torch>=2.6'"
    assert install("av", has_pip=False) == f"uv pip install --python {sys.executable} av"


@pytest.mark.parametrize(
    ("error", "text"),
    [(MossError("gone"), "gone"), (OSError("no driver"), "OSError: no driver"), (MemoryError(), "out of memory")],
)
def test_a_check_that_breaks_is_an_error_of_its_line(error: Exception, text: str) -> None:
    def look() -> Check:
        raise error

    def look_at_all() -> list[Check]:
        raise error

    expected = Check("it", "error", text, "nvidia-smi")
    assert tried("it", look, fix="nvidia-smi") == expected
    assert tried_all("it", look_at_all, fix="nvidia-smi") == [expected]
