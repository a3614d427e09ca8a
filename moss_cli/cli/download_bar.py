"""Bars in bytes: of a download as one, of the several that huggingface_hub makes, and of a file that is written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from tqdm import tqdm


@contextmanager
def download_bar(title: str, n_bytes: int | None, stream: TextIO) -> Iterator[type[tqdm]]:
    """A bar on `stream`, gone at the end, and the `tqdm_class` for huggingface_hub that feeds it.

    `n_bytes`: how much it will be, as far as is known beforehand. The library counts the files, the bytes that come
    over the network and those that are written, each with an instance of that class; none of them is shown itself, and
    the bar follows the count of bytes that is furthest.
    """
    lock = threading.RLock()
    tqdm.set_lock(lock)  # its own is for processes, too, and takes a semaphore of the system
    bar = _bar(title, n_bytes, stream)

    class Counter(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            self._counts_bytes = options.get("unit") == "B"
            super().__init__(*args, **(options | {"disable": True}))

        def update(self, n: float | None = 1) -> None:
            with lock:
                self.n += n or 0
                if self._counts_bytes and self.n > bar.n:
                    bar.total = max(bar.total or 0, self.total or 0) or None
                    bar.update(self.n - bar.n)

    with bar:
        yield Counter


@contextmanager
def bytes_bar(title: str, stream: TextIO) -> Iterator[Callable[[int, int], None]]:
    """A bar on `stream`, gone at the end, and what tells it how many bytes are done, and of how many."""
    tqdm.set_lock(threading.RLock())
    with _bar(title, None, stream) as bar:

        def tell(n_done: int, n_bytes: int) -> None:
            bar.total = n_bytes
            bar.update(n_done - bar.n)

        yield tell


def _bar(title: str, n_bytes: int | None, stream: TextIO) -> tqdm:
    return tqdm(
        desc=title,
        total=n_bytes,
        unit="B",
        unit_scale=True,
        file=stream,
        position=0,  # also beside a bar that was not closed
        leave=False,
        dynamic_ncols=True,
        smoothing=0.1,
    )
