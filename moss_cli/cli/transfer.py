"""Progress in bytes: one bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from tqdm import tqdm

from moss_cli.errors import amount

if TYPE_CHECKING:
    from moss_cli.cli.console import Console

# Between two lines elsewhere than on a terminal; chosen: a log shows that it goes on, and stays short.
_AT_LEAST_S, _AT_MOST_S = 5.0, 60.0


class Transfer:
    """What is done with the bytes of a model, until the end of a `with` block."""

    def __init__(self, title: str, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._title, self._console, self._clock = title, console, clock
        self._stage = ""
        self._bar: tqdm | None = None
        self._begun = (0.0, 0)  # when the stage began, and with how many bytes
        self._told = (0.0, 0)  # the last line: when, and at which tenth
        self._note = ""

    def tell(self, stage: str, n_done: int, n_bytes: int) -> None:
        """Show that `n_done` of `n_bytes` are checked, downloaded, …"""
        self._console.check_stop()
        if stage != self._stage:
            self._start(stage, n_done, n_bytes)
        if self._bar is not None:
            self._bar.total = n_bytes
            self._bar.update(n_done - self._bar.n)
        else:
            self._tell_line(n_done, n_bytes)

    def note(self, text: str) -> None:
        """Say what hinders it; once, where several files are hindered by the same."""
        if text != self._note:
            self._note = text
            if self._bar is not None:
                self._bar.clear()
            self._console.note(text)

    def _start(self, stage: str, n_done: int, n_bytes: int) -> None:
        self._stage, self._begun, self._told = stage, (self._clock(), n_done), (self._clock(), 0)
        self.close()
        if self._console.is_terminal:
            self._bar = bytes_bar(f"{stage} {self._title}", n_bytes, n_done, self._console)
        else:
            already = f", {amount(n_done)} of it here already" if stage == "downloading" and n_done else ""
            self._console.note(f"{stage} {self._title}: {amount(n_bytes)}{already}")

    def _tell_line(self, n_done: int, n_bytes: int) -> None:
        now, tenth = self._clock(), 10 * n_done // max(n_bytes, 1)
        since = now - self._told[0]
        if since >= _AT_MOST_S or (since >= _AT_LEAST_S and tenth > self._told[1]):
            self._told = (now, tenth)
            began, n_first = self._begun
            speed = (n_done - n_first) / (now - began)
            left = f", {_duration((n_bytes - n_done) / speed)} left" if speed > 0 else ""
            done = f"{amount(n_done)} of {amount(n_bytes)}"
            self._console.note(f"{self._stage} {self._title}: {done}, {amount(speed)}/s{left}")

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def bytes_bar(title: str, n_bytes: int | None, n_done: int, console: Console) -> tqdm:
    """A bar that is gone once it is closed. Its speed is that of what is done from now on."""
    tqdm.set_lock(threading.RLock())  # its own is for processes, too, and takes a semaphore of the system
    return tqdm(
        desc=title,
        total=n_bytes,
        initial=n_done,
        unit="B",
        unit_scale=True,
        file=console.stream,
        position=0,  # also beside a bar that was not closed
        leave=False,
        dynamic_ncols=True,
        smoothing=0.1,
    )
