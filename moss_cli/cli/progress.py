"""How far a run is, as one tqdm bar: seconds of audio done of the total, time left, speed, files."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm
from wcwidth import wcswidth, wcwidth

from moss_cli.cli.tally import times
from moss_cli.errors import counted
from moss_cli.output.screen import columns_of
from moss_cli.output.terminal import one_line
from moss_cli.run.job import Step

DOING = {
    "reading": "reading",
    "loading": "loading the model for",
    "listening": "listening to",
    "answering": "thinking about",
}
_REDRAW_S = 0.1
_COLUMNS = 80  # of a terminal that does not say how wide it is
_FREE_COLUMNS = 3  # for the `^C` of a Ctrl-C, without which a terminal would wrap; some also wrap in the last column
_BAR_COLUMNS = 10
_DESCRIPTION_COLUMNS = 16  # at least; figures are left out where there is no room for it
_NAME_COLUMNS = 10  # at least, of a name whose end is shown
_PLAIN = "{files}, {remaining} left, {done} of {whole} of audio, {speed} real time"
# From the widest to the narrowest; `{bar}` takes the columns that are left.
_LAYOUTS = (
    "{desc} {percentage:3.0f}%|{bar}| {done}/{whole} [{remaining} left, {speed}{postfix}]",
    "{desc} {percentage:3.0f}% [{remaining} left, {speed}{postfix}]",
    "{desc} {percentage:3.0f}% [{remaining} left]",
    "{desc} {percentage:3.0f}%",
)
_BEFORE_THE_FIRST = "{desc}{postfix}"  # while no length is known


class StatusLine:
    """A line that is written over itself, also where the terminal has become narrower since."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._shown = stream, 0  # columns

    def show(self, text: str) -> None:
        """Show `text` in the place of what stood there, whose rows are erased where it no longer fits in one."""
        columns, width = columns_of(self._stream), wcswidth(text)
        if columns and self._shown > columns:
            rows_above = (self._shown - 1) // columns if _wraps_anew() else 0
            self._stream.write((f"\x1b[{rows_above}A" if rows_above else "") + f"\r\x1b[J{text}")
        else:
            left_over = self._shown + (0 if text else len("^C")) - width
            self._stream.write("\r" + text + " " * max(0, left_over))
        self._stream.flush()
        self._shown = width


def _wraps_anew() -> bool:
    """Whether a terminal that becomes narrower wraps lines which no longer fit: xterm and a few others cut them."""
    name = os.environ.get("TERM", "")
    cuts = "XTERM_VERSION" in os.environ or name == "linux" or (name.startswith("screen") and "TMUX" not in os.environ)
    return not cuts


class AudioBar(tqdm):  # type: ignore[misc]
    """A bar over the seconds of audio of several files, any number of which may be in progress at once.

    Files that are not known to last how long are estimated by their size. Drawn on `stream` by `draw`, or told as text
    by `line`; nothing is written until then.
    """

    monitor_interval = 0  # no thread

    @staticmethod
    def status_printer(file: TextIO) -> Callable[[str], None]:
        return StatusLine(file).show

    def __init__(self, paths: Sequence[Path], stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._stream = clock, stream
        self._n_files, self._n_done = len(paths), 0
        self._sizes = {path: _size(path) for path in paths}  # bytes of the files that are not done
        self._lengths: dict[Path, float] = {}  # seconds of those whose length is known
        self._seconds: dict[Path, float] = {}  # seconds done of those that are in progress
        self._steps: dict[Path, Step] = {}  # the last one of each file in progress, the oldest file first
        self._finished_s, self._finished_bytes = 0.0, 0
        self._known_s: dict[Path, float] = {}  # seconds that an earlier run did, of all files
        self._begun_at: float | None = None
        self._advanced_at: float | None = None  # when the seconds done last grew
        self._loading_since: float | None = None
        self._drawn_at: float | None = None
        self._is_new = False  # something else is being done than when it was last drawn
        self.set_lock(threading.RLock())  # tqdm's own is for processes, too, and takes a semaphore of the system
        super().__init__(file=stream, leave=False, delay=1.0)  # `delay`: it does not draw by itself

    def step(self, step: Step) -> None:
        """Take note of what is being done."""
        now = self._clock()
        self._begun_at = now if self._begun_at is None else self._begun_at
        if self._loading_since is not None:
            self._begun_at += now - self._loading_since  # loading the model says nothing about speed
        self._loading_since = now if step.what == "loading" else None
        path = step.input.path
        if path not in self._sizes:
            return
        before = self._steps.get(path)
        self._is_new = self._is_new or before is None or before.what != step.what
        self._steps[path] = step
        if step.total_s is not None:
            self._lengths[path] = step.total_s
        self._known_s[path] = step.known_s
        if step.done_s > self._seconds.get(path, 0.0):
            self._seconds[path], self._advanced_at = step.done_s, now

    def finished(self, path: Path, audio_s: float | None) -> None:
        """A file is done, with so many seconds of audio analysed; None: nothing of it was, and nothing will be."""
        self._n_done += 1
        size = self._sizes.pop(path, 0)
        for values in (self._lengths, self._seconds, self._steps):
            values.pop(path, None)
        if audio_s is not None:
            self._finished_s += audio_s
            self._finished_bytes += size
            self._advanced_at = self._clock()

    def draw(self) -> None:
        """Show the bar, unless it was drawn just now and says the same: what comes next may take long."""
        now = self._clock()
        if self._drawn_at is None or self._is_new or now - self._drawn_at >= _REDRAW_S:
            self._drawn_at, self._is_new = now, False
            self.refresh()

    def erase(self) -> None:
        """Take the bar off the terminal; `draw` brings it back."""
        if self._drawn_at is not None:
            self._drawn_at = None
            self.clear()

    def line(self) -> str:
        """How far the run is, in words; "" while that is not known."""
        values = self.format_dict
        return self.format_meter(**(values | {"bar_format": _PLAIN, "ncols": None})) if values["rate"] else ""

    @property
    def done_s(self) -> float:
        """Seconds of audio that are analysed."""
        return self._finished_s + sum(self._seconds.values())

    @property
    def total_s(self) -> float | None:
        """Seconds of audio of all files, as far as can be told; None while no file's length is known."""
        known_s = self._finished_s + sum(self._lengths.values())
        if not known_s:
            return None
        n_known = self._finished_bytes + sum(self._sizes[path] for path in self._lengths)
        n_unknown = sum(size for path, size in self._sizes.items() if path not in self._lengths)
        return max(self.done_s, known_s + (n_unknown * known_s / n_known if n_known else 0.0))

    @property
    def format_dict(self) -> dict[str, Any]:
        """What tqdm formats. Its rate is as of the last advance, and does not fall while a chunk is decoded."""
        values: dict[str, Any] = super().format_dict
        done_s, total_s, elapsed_s = self.done_s, self.total_s, 0.0
        if done_s and self._begun_at is not None and self._advanced_at is not None:
            elapsed_s = self._advanced_at - self._begun_at
        new_s = done_s - sum(self._known_s.values())
        rate = new_s / elapsed_s if elapsed_s > 0 and new_s > 0 else None
        is_exact = len(self._lengths) == len(self._sizes)
        several = self._n_files > 1
        values |= {
            "n": done_s,
            "total": total_s,
            "elapsed": elapsed_s,
            "rate": rate,
            "speed": times(rate) if rate else "?",
            "done": self.format_interval(done_s),
            "whole": ("" if is_exact else "~") + self.format_interval(total_s or 0),
            "files": f"{self._n_done} of {counted(self._n_files, 'file')}",
            "postfix": f"{self._n_done}/{self._n_files} files" if several else "",
            "ncols": max(1, (columns_of(self._stream) or _COLUMNS) - _FREE_COLUMNS),
        }
        return values | self._fitted(values)

    def _fitted(self, values: dict[str, Any]) -> dict[str, str]:
        """The layout and the description that fit the terminal."""
        layouts = _LAYOUTS if values["total"] else (_BEFORE_THE_FIRST,)
        for layout in layouts:
            figures = self.format_meter(**(values | {"bar_format": layout.replace("{bar}", ""), "ncols": None}))
            room = values["ncols"] - wcswidth(figures) - (_BAR_COLUMNS if "{bar}" in layout else 0)
            if room >= _DESCRIPTION_COLUMNS:
                break
        return {"bar_format": layout, "prefix": self._description(max(0, room))}

    def _description(self, columns: int) -> str:
        """What is being done to the file that came first, and how many others are in progress."""
        if not self._steps:
            return ""
        step = next(iter(self._steps.values()))
        doing, name = DOING[step.what], one_line(step.input.shown)
        more = f", {counted(step.n_decoded, 'token')}" if step.n_decoded else ""
        if len(self._steps) > 1:
            more = f" and {len(self._steps) - 1} more"
        for text in (f"{doing} {{}}{more}", f"{doing} {{}}", "{}"):
            room = columns - len(text) + 2
            if room >= min(_NAME_COLUMNS, wcswidth(name)):
                break
        return text.format(_end_of(name, room)) if room > 1 else ""


def _end_of(name: str, columns: int) -> str:
    """As much of the end of a path as fits: there the file's own name is."""
    if wcswidth(name) <= columns:
        return name
    kept, width = "", 1
    for character in reversed(name):
        width += max(0, wcwidth(character))
        if width > columns:
            break
        kept = character + kept
    return "…" + kept


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except (OSError, ValueError):  # it fails on its own when its turn comes; `-` is no file
        return 0
