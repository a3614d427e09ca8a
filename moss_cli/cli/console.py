"""What people see on stderr: errors, notes, progress. stdout is for results and not touched here."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from moss_cli.cli.display import Display
from moss_cli.cli.progress import Progress
from moss_cli.errors import MossError, counted
from moss_cli.folders.names import path_text
from moss_cli.output.terminal import one_line, printable

if TYPE_CHECKING:
    from moss_cli.run.job import Step

_DOING = {
    "reading": "reading",
    "loading": "loading the model for",
    "listening": "listening to",
    "answering": "thinking about",
}
_PLAIN_EVERY_S = 30.0
_INDENT = len("moss: ")  # of what a line on a terminal does not hold


class Console:
    """Messages to one stream. `quiet` leaves errors and what must be said; `verbose` says more."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.stream = stream or sys.stderr
        self.quiet = False
        self.verbose = False
        self.debug = False
        self.progress: bool | None = None
        self.check_stop: Callable[[], None] = lambda: None  # raises where a signal has come that a library swallowed
        self._clock = clock
        self._display: Display | None = None
        self._held = False
        self._progress = Progress((), clock)
        self._said: set[tuple[str, str]] = set()  # of the files at work: what is being done, and the name
        self._last_plain_at = clock()

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
        line = label + text
        if self.is_terminal:
            from moss_cli.output.screen import columns_of, hanging

            line = hanging(line, columns_of(self.stream), _INDENT)
            if not os.environ.get("NO_COLOR"):
                label = label if line.startswith(label) else label.rstrip()
                line = f"\x1b[{color}m{label}\x1b[0m{line.removeprefix(label)}"
        encoding = self.stream.encoding or "utf-8"
        line = f"{line}\n".encode(encoding, "backslashreplace").decode(encoding)
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
        wanted = self.progress or (self.verbose and self.progress is not False)
        return bool(wanted) and not self.quiet and not self._is_live

    def follow(self, paths: Sequence[Path]) -> None:
        """Begin a run over these files, whose progress is shown from here on."""
        self._progress = Progress(paths, self._clock)
        self._last_plain_at = self._clock()

    def step(self, step: Step) -> None:
        """Show what is being done: live on a terminal; elsewhere with --verbose in plain lines."""
        self.check_stop()
        self._progress.step(step)
        doing, name = _DOING[step.what], one_line(step.source.shown)
        if self._is_live:
            if not self._held:
                self._display = self._display or Display(self.stream, self._progress)
                self._display.show(doing, name, f", {counted(step.n_tokens, 'token')}" if step.n_tokens else "")
            return
        if self.verbose and not self.quiet and (doing, name) not in self._said:
            self._said.add((doing, name))
            self._line("moss: ", f"{doing} {name}", color="2")
        self._tell_progress()

    def finished(self, path: Path, audio_s: float | None) -> None:
        """A file is done; `audio_s` seconds of it were analysed, or None of it."""
        self.clear()
        self._held = False
        self._progress.finished(path, audio_s)
        name = one_line(path_text(path)[0])
        self._said = {said for said in self._said if said[1] != name}
        self._tell_progress()

    def _tell_progress(self) -> None:
        """How far the run is, on a line of its own, where the last one was long ago."""
        now = self._clock()
        if self._is_plain and now - self._last_plain_at >= _PLAIN_EVERY_S and (line := self._progress.line()):
            self._last_plain_at = now
            self._line("moss: ", line, color="2")

    def hold(self) -> None:
        """Take the live lines away until the file is finished: a result is being shown on the terminal."""
        self.clear()
        self._held = True

    def clear(self) -> None:
        """Take the live lines away until the next step."""
        if self._display is not None:
            self._display.stop()
            self._display = None
