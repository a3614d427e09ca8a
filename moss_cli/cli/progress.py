"""How far a run is: files, seconds of audio, speed, time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moss_cli.run.job import Step


class Progress:
    """How much of a run is done, in files and in seconds of audio. What is not yet known to last how long is
    estimated by its size."""

    def __init__(self, paths: Sequence[Path], clock: Callable[[], float] = time.monotonic) -> None:
        self.n_files, self.n_done = len(paths), 0
        self._clock = clock
        self._sizes = {path: _size(path) for path in paths}  # bytes of the files that are not done
        self._n_bytes = sum(self._sizes.values())
        self._lengths: dict[Path, float] = {}  # seconds of those that are known to last so long
        self._running: dict[Path, float] = {}  # seconds done of those
        self._finished_s, self._finished_bytes = 0.0, 0
        self._started: float | None = None
        self._advanced_at: float | None = None  # when the seconds done last grew
        self._loading_since: float | None = None

    def step(self, step: Step) -> None:
        """Take note of what is being done."""
        now = self._clock()
        self._started = now if self._started is None else self._started
        if self._loading_since is not None:
            self._started += now - self._loading_since  # the model's loading tells nothing of speed
        self._loading_since = now if step.what == "loading" else None
        path = step.source.path
        if step.total_s is not None and path in self._sizes:
            self._lengths[path] = step.total_s
        if step.done_s > self._running.get(path, 0.0):
            self._running[path], self._advanced_at = step.done_s, now

    def finished(self, path: Path, audio_s: float | None) -> None:
        """A file is done, with so many seconds of audio analysed; None for one of which nothing was."""
        self.n_done += 1
        self._lengths.pop(path, None)
        self._running.pop(path, None)
        size = self._sizes.pop(path, 0)
        self._n_bytes -= size
        if audio_s is not None:
            self._finished_s += audio_s
            self._finished_bytes += size
            self._advanced_at = self._clock()

    @property
    def done_s(self) -> float:
        """Seconds of audio that are analysed."""
        return self._finished_s + sum(self._running.values())

    @property
    def total_s(self) -> float | None:
        """Seconds of audio of all files, estimated unless `is_exact`; None while no file's length is known."""
        known_s = self._finished_s + sum(self._lengths.values())
        if not known_s:
            return None
        of_lengths = sum(self._sizes.get(path, 0) for path in list(self._lengths))  # a display's thread reads, too
        n_bytes = self._finished_bytes + of_lengths
        per_byte = known_s / n_bytes if n_bytes else 0.0
        return max(self.done_s, known_s + (self._n_bytes - of_lengths) * per_byte)

    @property
    def is_exact(self) -> bool:
        return len(self._lengths) == len(self._sizes)

    @property
    def speed(self) -> float | None:
        """Seconds of audio in a second, as of the last that was done."""
        if self._started is None or self._advanced_at is None or not self.done_s:
            return None
        elapsed_s = self._advanced_at - self._started
        return self.done_s / elapsed_s if elapsed_s > 0 else None

    @property
    def left_s(self) -> float | None:
        """Seconds until all is done, at the speed so far."""
        speed, total_s = self.speed, self.total_s
        if speed is None or total_s is None or self._advanced_at is None:
            return None
        return max(0.0, (total_s - self.done_s) / speed - (self._clock() - self._advanced_at))

    def line(self) -> str:
        """All of this for people; nothing while there is nothing to tell."""
        parts = [f"{self.n_done} of {self.n_files} files"] if self.n_files > 1 else []
        total_s, speed, left_s = self.total_s, self.speed, self.left_s
        if left_s is not None:
            parts.append(f"{_clock_time(left_s)} left")
        if total_s is not None:
            parts.append(f"{_clock_time(self.done_s)} of {'' if self.is_exact else '~'}{_clock_time(total_s)} of audio")
        if speed is not None:
            parts.append(f"{times(speed)} real time")
        return ", ".join(parts)


def times(speed: float) -> str:
    """`0.42x`, `3.4x`, `120x`"""
    return f"{speed:.2f}x" if speed < 1 else f"{speed:.1f}x" if speed < 100 else f"{speed:.0f}x"


def _clock_time(seconds: float) -> str:
    """`1:05`, `1:02:03`"""
    minutes, whole = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{whole:02d}" if minutes >= 60 else f"{minutes}:{whole:02d}"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except (OSError, ValueError):  # it fails by itself when its turn comes; `-` is no file
        return 0
