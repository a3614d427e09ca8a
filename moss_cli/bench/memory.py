"""The most memory that is taken while something runs: anonymous memory of the process, and the device's."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import torch

EVERY_S = 0.01  # chosen: a tensor of a checkpoint takes as long to read, and reading the figure 20 us
_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class MemoryUse:
    """Bytes at the most, and of anonymous memory those that were taken before; None where a figure is not to be had.
    Anonymous: not backed by a file, as a mapped checkpoint is, whose pages the system may take back."""

    anonymous: int | None
    before: int | None
    device: int | None


def anonymous_bytes() -> int | None:
    """Anonymous memory of this process, in bytes; None where the system does not tell (it is Linux that does)."""
    try:
        lines = _STATUS.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:")), None)


class PeakMemory:
    """Watches memory from a thread: `with PeakMemory(device) as peak: …`, then `peak.use`."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._before = self._most = anonymous_bytes()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        if self._most is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._most is not None:
            self._thread.join()
            self._look()

    def _watch(self) -> None:
        while not self._over.wait(EVERY_S):
            self._look()

    def _look(self) -> None:
        now = anonymous_bytes()
        if now is not None and self._most is not None:
            self._most = max(self._most, now)

    @property
    def use(self) -> MemoryUse:
        on_device = None
        if self._device.type == "cuda":
            on_device = torch.cuda.max_memory_allocated(self._device)
        return MemoryUse(self._most, self._before, on_device)
