"""Memory of a device, and 4-bit weights that are really multiplied."""

from __future__ import annotations

import importlib.metadata

import pytest
import torch
from mending import is_command

from moss_cli.doctor.check import Check, tried
from moss_cli.doctor.devices import all_devices, check_four_bit, check_memory, share_off
from moss_cli.doctor.needs import fits, weights_bytes
from moss_cli.engine.devices import FourBit, device_facts
from moss_cli.engine.fit import HEADROOM, DeviceFacts
from moss_cli.errors import DeviceError
from moss_cli.models.entry import ModelEntry

CPU = torch.device("cpu")
FACTS = DeviceFacts("cpu", 10**9)
SMALL = ModelEntry("small", memory={"bf16": 2_000})
HUGE = ModelEntry("huge", memory={"bf16": 10**15, "4bit": 10**14})


def checked(
    off: float = 0.0, *, kind: FourBit = "int4", version: str | None = "0.50", lacks_kernel: bool = False
) -> Check:
    def ask() -> str:
        if version is None:
            raise importlib.metadata.PackageNotFoundError
        return version

    return check_four_bit(CPU, FACTS, kind=kind, version=ask, multiply=lambda *_: off, lacks_kernel=lacks_kernel)


def test_what_fits_is_told_of_each_dtype() -> None:
    check = check_memory(CPU, iter([SMALL, HUGE]))
    assert (check.name, check.status) == ("cpu", "ok")
    assert check.facts["fits"] == {"fp32": ["small"], "bf16": ["small"], "4bit": ["small"]}
    assert check.text.endswith(" free. Fits in fp32: small; bf16: small; 4bit: small")
    assert check_memory(CPU, [SMALL]).text.endswith("Fits in fp32: all models; bf16: all models; 4bit: all models")
    assert check_memory(CPU, [HUGE]).text.endswith("Fits in fp32: none; bf16: none; 4bit: none")


def test_what_a_model_takes_in_a_dtype() -> None:
    assert [weights_bytes(HUGE, dtype) for dtype in ("fp32", "bf16", "4bit")] == [2 * 10**15, 10**15, 10**14]
    assert weights_bytes(SMALL, "4bit") == 2_000
    assert weights_bytes(ModelEntry("of files", size=10), "fp32") == 20
    assert weights_bytes(ModelEntry("unknown"), "bf16") is None
    assert weights_bytes(ModelEntry("unknown"), "bf16", 5) == 10


def test_weights_fit_beside_what_a_run_needs() -> None:
    assert fits(SMALL, "bf16", DeviceFacts("cuda", int(2_000 * HEADROOM) + 1))
    assert not fits(SMALL, "bf16", DeviceFacts("cuda", int(2_000 * HEADROOM)))
    assert fits(ModelEntry("unknown"), "bf16", DeviceFacts("cuda", 1))


def test_the_cpu_is_the_last_device() -> None:
    assert all_devices()[-1] == CPU


@pytest.mark.parametrize("kind", ["nf4", "int4"])
@pytest.mark.parametrize("compute", [torch.bfloat16, torch.float32])
def test_a_matrix_in_4_bits_is_multiplied_here(kind: FourBit, compute: torch.dtype) -> None:
    assert 0 < share_off(CPU, kind, compute) < 0.01


def test_four_bit_works_on_this_machine() -> None:
    check = check_four_bit(CPU, device_facts(CPU))
    assert (check.status, check.facts["bitsandbytes"]) == ("ok", importlib.metadata.version("bitsandbytes"))


@pytest.mark.parametrize("off", [0.03, float("nan"), float("inf")])
def test_a_wrong_product_is_an_error(off: float) -> None:
    check = checked(off, kind="nf4")
    assert check.status == "error"
    assert check.text.startswith("bitsandbytes 0.50: a product of nf4 weights on cpu is off by ")
    assert is_command(check.fix)


def test_without_bitsandbytes_int4_works_and_is_a_warning() -> None:
    check = checked(version=None)
    assert (check.status, check.facts["bitsandbytes"]) == ("warning", None)
    assert check.text == "bitsandbytes is not installed; int4 weights are multiplied rightly on cpu"
    assert is_command(check.fix)


def test_a_bitsandbytes_without_the_kernel_that_this_processor_could_use_is_a_warning() -> None:
    check = checked(lacks_kernel=True)
    text = "bitsandbytes 0.50; int4 weights are multiplied rightly on cpu, but its quicker kernel for this processor"
    assert (check.status, check.text) == ("warning", f"{text} is not there: it is too old, or does not load")
    assert is_command(check.fix)
    assert checked().fix is None


def test_what_does_not_load_is_an_error_of_the_line() -> None:
    def refuse(*_: object) -> float:
        raise DeviceError("4-bit weights need bitsandbytes, which does not load here: no CUDA library")

    check = tried("4-bit", lambda: check_four_bit(CPU, FACTS, multiply=refuse), fix="nvidia-smi")
    assert (check.name, check.status, check.text[:34]) == ("4-bit", "error", "4-bit weights need bitsandbytes, w")
