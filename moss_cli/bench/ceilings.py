"""What this device can do, measured in the same run: how fast it moves memory, and how fast it multiplies matrices."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import astuple, dataclass
from functools import partial

import torch

LARGE = {"cuda": 4 << 30, "mps": 1 << 30, "cpu": 512 << 20}  # bytes; chosen: many times the caches
LEAST_S = {"cuda": 0.02, "mps": 0.1, "cpu": 0.1}  # of one product; chosen: long beside what starting it costs
ROUNDS = 5


@dataclass(frozen=True)
class Ceilings:
    """Bytes a second when copying (read and written) and when reading (a sum), and operations a second of a large
    product of matrices: each the best of a few rounds, with the threads that the model computes with."""

    copy_bytes_s: float
    read_bytes_s: float
    matrix_flop_s: float

    @property
    def bandwidth_bytes_s(self) -> float:
        """The faster of the two: what a decode step could move."""
        return max(self.copy_bytes_s, self.read_bytes_s)

    def or_better(self, other: Ceilings) -> Ceilings:
        """The best of each of two measurements: something else may have had the machine during one of them."""
        return Ceilings(*(max(pair) for pair in zip(astuple(self), astuple(other), strict=True)))


@torch.inference_mode()
def measure_ceilings(device: torch.device, dtype: torch.dtype, large: int | None = None) -> Ceilings:
    """Measure all three. `large`: bytes of the buffers, for tests."""
    source = torch.randn((large or LARGE[device.type]) // 4, device=device)
    target = torch.empty_like(source)
    copy_s = best_s(device, partial(target.copy_, source))
    read_s = best_s(device, source.sum)
    n_bytes = source.nbytes
    del source, target
    return Ceilings(2 * n_bytes / copy_s, n_bytes / read_s, _matrix_flop_s(device, dtype))


def _matrix_flop_s(device: torch.device, dtype: torch.dtype) -> float:
    """Of the smallest square product that takes long enough."""
    n = 512
    while True:
        a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
        seconds = best_s(device, partial(torch.mm, a, b))
        if seconds >= LEAST_S[device.type] or n >= 16_384:
            return 2 * n**3 / seconds
        n *= 2


def best_s(device: torch.device, work: Callable[[], object]) -> float:
    """Seconds of the quickest of a few rounds, after one that does not count."""
    work()
    times = []
    for _ in range(ROUNDS):
        synchronise(device)
        began = time.perf_counter()
        work()
        synchronise(device)
        times.append(time.perf_counter() - began)
    return min(times)


def synchronise(device: torch.device) -> None:
    """Wait for what the device still has to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
