"""The devices, and whether 4-bit weights are multiplied rightly on the one that is used."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moss_cli.bench.machine import this_machine
from moss_cli.doctor.check import Check, install, listed
from moss_cli.doctor.needs import fits
from moss_cli.engine.devices import FourBit, compute_of_4bit, device_facts, pick_four_bit
from moss_cli.engine.fit import DeviceFacts
from moss_cli.engine.int4 import dequantise_int4, int4_linear, quantise_int4
from moss_cli.engine.nf4 import dequantise_nf4, has_fused_nf4, nf4_linear, quantise_nf4, values_in_nf4
from moss_cli.errors import amount
from moss_cli.models.entry import ModelEntry

N_OUT, N_IN = 64, 256  # of the matrix that is multiplied; the smallest that all kernels take, times two
# Of the largest value. Chosen: a sum of 256 products rounded to bf16 is off by some thousandths, and one of the wrong
# blocks or levels by more than a tenth.
TOLERANCE = 0.02


def all_devices() -> list[torch.device]:
    """Every device of this machine, the CPU last."""
    n_cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    found = [torch.device("cuda", index) for index in range(n_cuda)]
    if torch.backends.mps.is_available():
        found.append(torch.device("mps"))
    return [*found, torch.device("cpu")]


def check_no_gpu() -> Check:
    """The line of a machine without one, which is no fault."""
    return Check("GPU", "ok", "none: models run on the CPU", facts={"devices": 0})


def check_memory(device: torch.device, entries: Iterable[ModelEntry]) -> Check:
    """What a device is, how much of its memory is free, and what fits into that in which dtype."""
    machine, facts = this_machine(device), device_facts(device)
    total = machine.device_bytes or machine.memory_bytes
    kinds = {"cuda": ("bf16" if facts.has_bf16 else "fp16", "4bit"), "cpu": ("fp32", "bf16", "4bit")}
    dtypes = kinds.get(device.type, ("fp32", "fp16"))
    models = list(entries)
    fitting = {dtype: [entry.name for entry in models if fits(entry, dtype, facts)] for dtype in dtypes}
    what = machine.device_name + (f", {machine.cores} cores" if device.type == "cpu" else "")
    shown = {dtype: "all models" if len(names) == len(models) else listed(names) for dtype, names in fitting.items()}
    rows = "; ".join(f"{dtype}: {names}" for dtype, names in shown.items())
    return Check(
        str(device),
        "ok",
        f"{what}, {amount(facts.free_bytes)} of {amount(total)} free. Fits in {rows}",
        facts={"device": machine.device_name, "free_bytes": facts.free_bytes, "total_bytes": total, "fits": fitting},
    )


Multiply = Callable[[torch.device, FourBit, torch.dtype], float]


def check_four_bit(
    device: torch.device,
    facts: DeviceFacts,
    *,
    kind: FourBit | None = None,
    version: Callable[[], str] = lambda: importlib.metadata.version("bitsandbytes"),
    multiply: Multiply | None = None,
    lacks_kernel: bool | None = None,
) -> Check:
    """Whether a matrix in 4 bits is multiplied on a device as its dequantised values are.

    kind: what 4bit is there. version, multiply: what asks for bitsandbytes' version, and what multiplies and returns by
    which share of the largest value a product is off; where they raise, it does not work. lacks_kernel: whether a
    kernel that this processor could use is not there.
    """
    kind = kind or pick_four_bit(device)
    compute = compute_of_4bit(facts)
    try:
        has = f"bitsandbytes {version()}"
    except importlib.metadata.PackageNotFoundError:
        has = "bitsandbytes is not installed"
    found = {"kind": kind, "device": str(device), "bitsandbytes": has.split()[1] if "not" not in has else None}
    off = (multiply or share_off)(device, kind, compute)
    if not off <= TOLERANCE:
        text = f"{has}: a product of {kind} weights on {device} is off by {off:.0%}"
        return Check("4-bit", "error", text, install("--force-reinstall", "bitsandbytes"), found)
    text = f"{has}; {kind} weights are multiplied rightly on {device}"
    if found["bitsandbytes"] is None:
        return Check("4-bit", "warning", text, install("bitsandbytes"), found)
    if _lacks_fused_nf4(device) if lacks_kernel is None else lacks_kernel:
        text += ", but its quicker kernel for this processor is not there: it is too old, or does not load"
        return Check("4-bit", "warning", text, install("--upgrade", "bitsandbytes"), found)
    return Check("4-bit", "ok", text, facts=found)


def _lacks_fused_nf4(device: torch.device) -> bool:
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported() and not has_fused_nf4()


@torch.inference_mode()
def share_off(device: torch.device, kind: FourBit, compute: torch.dtype) -> float:
    """By which share of its largest value a product of a small matrix in 4 bits is off. Raises DeviceError.

    With NF4 also by how much bitsandbytes' own quantising differs from ours, where that is more.
    """
    weight, x = random_matrix(device), torch.linspace(-1, 1, 3 * N_IN, device=device).view(3, N_IN).to(compute)
    if kind == "int4":
        packed = quantise_int4(weight)
        return _off(int4_linear(packed, compute), dequantise_int4(packed, compute), x)
    codes = quantise_nf4(weight)
    values = dequantise_nf4(codes, torch.float32)
    product = _off(nf4_linear(codes, compute), values, x)
    if device.type == "mps":  # where bitsandbytes is not used
        return product
    differing = (values_in_nf4(weight).float() - values).abs().mean() / values.abs().mean()
    return max(float(differing), product)


def random_matrix(device: torch.device) -> Tensor:
    """[N_OUT, N_IN] bf16, the same every time."""
    drawn = torch.randn(N_OUT, N_IN, generator=torch.Generator().manual_seed(0))
    return drawn.to(device, torch.bfloat16)


def _off(linear: nn.Module, values: Tensor, x: Tensor) -> float:
    """By which share of the largest, for one row and for several: there may be a kernel for each. x: [rows, N_IN]."""
    expected = F.linear(x.float(), values.float())
    one, all_of_them = linear(x[:1]).float() - expected[:1], linear(x).float() - expected
    return float(torch.cat([one, all_of_them]).abs().max() / expected.abs().max())
