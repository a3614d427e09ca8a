"""Which device computes, and in which dtype the weights are held."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import torch

from moss_cli.audio.torch_threads import usual_threads
from moss_cli.engine.fit import DeviceFacts, free_memory, pick_dtype
from moss_cli.engine.nf4 import has_fused_nf4
from moss_cli.errors import DeviceError, UsageError

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
SMALL = 50_000_000  # parameters; the work of so small a model is not worth sharing out among threads

FourBit = Literal["nf4", "int4"]  # what 4bit is
HeldDtype = Literal["bf16", "fp16", "fp32", "nf4", "int4"]


@dataclass(frozen=True)
class Placement:
    """Where the weights go, and in which dtype. `compute` is what everything not quantised is held and computed in."""

    device: torch.device
    dtype: HeldDtype
    compute: torch.dtype

    @property
    def four_bit(self) -> FourBit | None:
        """What the decoder's linears are held in, if in 4 bits."""
        return self.dtype if self.dtype in ("nf4", "int4") else None


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
    return free_memory()


def threads_for(device: torch.device, n_parameters: int) -> int:
    """In how many threads a model computes. A small one on a CPU in one: several gain nothing, and wait for each other
    for long where others want the cores too, like the thread that reads ahead."""
    return 1 if device.type == "cpu" and n_parameters < SMALL else usual_threads()


def keep_fp32(placement: Placement) -> None:
    """Where fp32 was asked for on CUDA, have convolutions compute in it: by default cuDNN rounds to 10 bits (TF32)."""
    if placement.device.type == "cuda" and placement.dtype == "fp32":
        torch.backends.cudnn.allow_tf32 = False


def pick_placement(
    device_name: str,
    dtype_name: str,
    n_parameters: int,
    *,
    four_bit: FourBit | None = None,
    compute: torch.dtype | None = None,
) -> Placement:
    """Decide device and dtype for a model of `n_parameters`. Raises DeviceError, UsageError.

    four_bit: what 4bit is, None for what is best on the device. compute: what everything else is held and computed in
    beside 4-bit weights, None for bf16 (or fp16) where the device computes in it.
    """
    device = pick_device(device_name)
    facts = device_facts(device)
    dtype = pick_dtype(dtype_name, n_parameters, facts)
    if dtype != "4bit":
        return Placement(device, dtype, DTYPES[dtype])
    return Placement(device, four_bit or pick_four_bit(device), compute or compute_of_4bit(facts))


def device_facts(device: torch.device) -> DeviceFacts:
    """What decides the dtype on a device."""
    if device.type == "cpu":
        return DeviceFacts("cpu", free_bytes(device), cpu_has_bf16())
    has_bf16 = device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)
    return DeviceFacts(device.type, free_bytes(device), has_bf16)


def cpu_has_bf16() -> bool:
    """Whether the processor multiplies in bf16 (AVX512-BF16 or AMX): without, bf16 takes longer than fp32."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def pick_four_bit(device: torch.device) -> FourBit:
    """What 4bit is on a device.

    CPU, measured on two cores of an AMD EPYC 9005 at 2560 x 9728: NF4 takes 0.27 ms for one row in bitsandbytes' fused
    kernel, which needs AVX512-BF16, and torch's int4 takes 0.33 ms; without that kernel NF4 is dequantised each time
    (64 ms). CUDA and MPS: not measured.
    """
    return "nf4" if device.type != "cpu" or has_fused_nf4() else "int4"


def compute_of_4bit(facts: DeviceFacts) -> torch.dtype:
    """What is not 4-bit is held and computed in where nobody says."""
    if facts.type == "cuda":
        return torch.bfloat16 if facts.has_bf16 else torch.float16
    return torch.bfloat16 if facts.type == "cpu" and facts.has_bf16 else torch.float32
