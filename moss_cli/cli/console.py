"""What people see on stderr: errors, notes, progress. stdout is for results and not touched here."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from moss_cli.errors import MossError
from moss_cli.output.terminal import one_line, printable

if TYPE_CHECKING:
    from rich.console import Group
    from rich.live import Live
    from rich.spinner import Spinner

    from moss_cli.tasks.job import Step

_DOING = {
    "reading": "reading",
    "loading": "loading the model for",
    "listening": "listening to",
    "answering": "thinking about",
}
_PLAIN_EVERY_S = 30.0
_REFRESHES_PER_S = 8


class Progress:
    """How much of a run is done, in files and in seconds of audio. What is not yet known to last how long is
    estimated by its size."""

    def __init__(self, paths: Sequence[Path], clock: Callable[[], float] = time.monotonic) -> None:
        self.n_files, self.n_done = len(paths), 0
        self._clock = clock
        self._unknown = {path: _size(path) for path in paths}  # bytes of files whose length is not known
        self._unknown_bytes = sum(self._unknown.values())
        self._known_bytes, self._known_s = 0, 0.0
        self._running: dict[Path, float] = {}  # seconds done of files that are not
        self._finished_s = 0.0
        self._started = clock()
        self._advanced_at: float | None = None  # when the seconds done last grew
        self._loading_since: float | None = None

    def step(self, step: Step) -> None:
        """Take note of what is being done."""
        now = self._clock()
        if self._loading_since is not None:
            self._started += now - self._loading_since  # the model's loading tells nothing of speed
        self._loading_since = now if step.what == "loading" else None
        path, done_s = step.source.path, getattr(step, "done_s", 0.0)
        self._learn(path, getattr(step, "total_s", None))
        if done_s > self._running.get(path, 0.0):
            self._running[path], self._advanced_at = done_s, now

    def finished(self, path: Path, audio_s: float | None) -> None:
        """A file is done, with so many seconds of audio analysed; None for one of which nothing was."""
        self.n_done += 1
        self._running.pop(path, None)
        if audio_s is None:
            self._unknown_bytes -= self._unknown.pop(path, 0)
            return
        self._learn(path, audio_s)
        self._finished_s += audio_s
        self._advanced_at = self._clock()

    def _learn(self, path: Path, length_s: float | None) -> None:
        if length_s is not None and path in self._unknown:
            size = self._unknown.pop(path)
            self._unknown_bytes -= size
            self._known_bytes += size
            self._known_s += length_s

    @property
    def done_s(self) -> float:
        """Seconds of audio that are analysed."""
        return self._finished_s + sum(self._running.values())

    @property
    def total_s(self) -> float | None:
        """Seconds of audio of all files, estimated unless `is_exact`; None while no file's length is known."""
        if not self._known_s:
            return None
        per_byte = self._known_s / self._known_bytes if self._known_bytes else 0.0
        return max(self.done_s, self._known_s + self._unknown_bytes * per_byte)

    @property
    def is_exact(self) -> bool:
        return not self._unknown

    @property
    def speed(self) -> float | None:
        """Seconds of audio in a second, as of the last that was done."""
        if self._advanced_at is None or self._advanced_at <= self._started or not self.done_s:
            return None
        return self.done_s / (self._advanced_at - self._started)

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


class Console:
    """Messages to one stream. `quiet` leaves errors and what must be said; `verbose` says more."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.quiet = False
        self.verbose = False
        self.debug = False
        self.progress: bool | None = None
        self.check_stop: Callable[[], None] = lambda: None  # raises where a signal has come that a library swallowed
        self._display: _Display | None = None
        self._held = False
        self._paths: Sequence[Path] = ()
        self._tracker: Progress | None = None
        self._last_step: tuple[str, str] | None = None
        self._last_plain_at = time.monotonic()

    def error(self, error: MossError) -> None:
        """One line of what happened and, where there is one, what to do."""
        self._line("moss: error: ", error.message, color="31")
        if error.hint:
            self._line("hint: ", error.hint, color="36")

    def warning(self, message: str, *, always: bool = False) -> None:
        """Something that may be wrong; `always` also with --quiet."""
        if always or not self.quiet:
            self._line("moss: warning: ", message, color="33")

    def note(self, message: str, *, always: bool = False) -> None:
        """Something good to know; `always` also with --quiet."""
        if always or not self.quiet:
            self._line("moss: ", message, color="2")

    def _line(self, label: str, message: str, *, color: str) -> None:
        self.clear()
        text = printable(" ".join(line.strip() for line in message.splitlines()))
        if self.is_terminal and not os.environ.get("NO_COLOR"):
            label = f"\x1b[{color}m{label}\x1b[0m"
        encoding = self.stream.encoding or "utf-8"
        line = f"{label}{text}\n".encode(encoding, "backslashreplace").decode(encoding)
        try:
            self.stream.write(line)
            self.stream.flush()
        except OSError:  # nobody reads it, or its disk is full: no reason not to finish
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())

    @property
    def is_terminal(self) -> bool:
        return self.stream.isatty()

    @property
    def _is_live(self) -> bool:
        wanted = self.progress is not False and not self.quiet
        return wanted and self.is_terminal and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")

    @property
    def _is_plain(self) -> bool:
        return not self.quiet and not self._is_live and (self.verbose or bool(self.progress))

    def follow(self, paths: Sequence[Path]) -> None:
        """Begin a run over these files, whose progress is shown from here on."""
        self._paths, self._tracker = paths, None

    @property
    def _progress(self) -> Progress:
        if self._tracker is None:
            self._tracker = Progress(self._paths)
        return self._tracker

    def step(self, step: Step) -> None:
        """Show what is being done: live on a terminal, plain lines with --verbose elsewhere."""
        self.check_stop()
        if self._is_live or self._is_plain:
            self._progress.step(step)
        if step.what not in _DOING:
            return
        doing, name = _DOING[step.what], one_line(step.source.shown)
        if self._is_live and not self._held:
            if self._display is None:
                self._display = _Display(self.stream, self._progress)
            self._display.show(doing, name, f", {step.n_tokens} tokens" if step.n_tokens else "")
        elif self._is_plain and self._last_step != (doing, name):
            self._plain(f"{doing} {name}")
        elif self._is_plain and time.monotonic() - self._last_plain_at >= _PLAIN_EVERY_S:
            self._plain(self._progress.line() or f"still {doing} {name}")
        self._last_step = (doing, name)

    def finished(self, path: Path, audio_s: float | None) -> None:
        """A file is done; `audio_s` seconds of it were analysed, or None of it."""
        self.clear()
        self._held = False
        if self._is_live or self._is_plain:
            self._progress.finished(path, audio_s)
        if self._is_plain and self.progress is not False and len(self._paths) > 1:
            self._plain(self._progress.line())

    def _plain(self, text: str) -> None:
        self._line("moss: ", text, color="2")
        self._last_plain_at = time.monotonic()

    def hold(self) -> None:
        """Take the live lines away until the file is finished: a result is being shown on the terminal."""
        self.clear()
        self._held = True

    def clear(self) -> None:
        """Take the live lines away until the next step."""
        if self._display is not None:
            self._display.stop()
            self._display = None


class _Display:
    """Two live lines: what is being done, and how far the run is."""

    def __init__(self, stream: TextIO, progress: Progress) -> None:
        from rich.console import Console as RichConsole
        from rich.live import Live
        from rich.spinner import Spinner

        self._progress = progress
        self._doing = ("", "", "")
        utf8 = (stream.encoding or "").lower().replace("-", "") == "utf8"
        self._spinner: Spinner = Spinner("dots" if utf8 else "line")
        self._live: Live = Live(
            get_renderable=self._lines,
            console=RichConsole(file=stream, force_terminal=True, no_color=bool(os.environ.get("NO_COLOR"))),
            transient=True,
            refresh_per_second=_REFRESHES_PER_S,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def show(self, doing: str, name: str, more: str) -> None:
        self._doing = (doing, name, more)
        if not self._live.is_started:
            self._live.start()

    def stop(self) -> None:
        self._live.stop()

    def _lines(self) -> Group:
        from rich.console import Group
        from rich.text import Text

        doing, name, more = self._doing
        room = max(0, self._live.console.width - 3)  # the spinner, a blank, and the last column, where some wrap
        first = f"{doing} {_end_of(name, room - len(doing) - 1 - len(more))}{more}"
        self._spinner.update(text=Text(first[:room]))  # Text: what a file is called never becomes markup
        second = self._progress.line()[:room]
        return Group(self._spinner, Text("  " + second, style="dim")) if second else Group(self._spinner)


def times(speed: float) -> str:
    """`0.42x`, `3.4x`, `120x`"""
    return f"{speed:.2f}x" if speed < 1 else f"{speed:.1f}x" if speed < 100 else f"{speed:.0f}x"


def _clock_time(seconds: float) -> str:
    """`1:05`, `1:02:03`"""
    minutes, whole = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{whole:02d}" if minutes >= 60 else f"{minutes}:{whole:02d}"


def _end_of(name: str, width: int) -> str:
    """As much of the end of a name as fits into so many columns: there the file's own name stands."""
    from rich.cells import cell_len

    if cell_len(name) <= width:
        return name
    kept, n_columns = "", 1
    for character in reversed(name):
        n_columns += cell_len(character)
        if n_columns > width:
            break
        kept = character + kept
    return "…" + kept


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except (OSError, ValueError):  # it fails by itself when its turn comes; `-` is no file
        return 0
