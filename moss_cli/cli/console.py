"""What people see on stderr: errors, notes, progress. stdout is for results and not touched here."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from moss_cli.cli.command_line import CommandLine
from moss_cli.errors import MossError
from moss_cli.output.terminal import one_line, printable
from moss_cli.run.inputs import path_text

if TYPE_CHECKING:
    from moss_cli.backends.opening import OpenBackend
    from moss_cli.cli.progress import AudioBar
    from moss_cli.run.job import Step

_PLAIN_EVERY_S = 30.0  # chosen: often enough to see that a run is alive
_INDENT = len("moss: ")  # of a message's further lines on a terminal


class _LogLines(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.note(record.getMessage())


class Console:
    """Messages to one stream. `quiet` leaves only errors and what must be said; `verbose` says more."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.stream = stream or sys.stderr
        self.quiet = False
        self.verbose = False
        self.debug = False
        self.typed = CommandLine()
        self.open_backend: OpenBackend | None = None  # None: the usual ones
        self.progress: bool | None = None
        self.when_stopped: str | None = None  # what a run that is stopped leaves for the next one
        self.check_stop: Callable[[], None] = lambda: None  # raises if a signal came that a library swallowed
        self._clock = clock
        self._bar: AudioBar | None = None
        self._held = False
        self._said: set[tuple[str, str]] = set()  # of the files in progress: what is being done, and the name
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

    def tell_log(self) -> None:
        """With --verbose, a line for what the engine notes while it works."""
        if self.verbose and not self.quiet:
            log = logging.getLogger("moss_cli")
            log.setLevel(logging.INFO)
            log.addHandler(_LogLines(self))
            log.propagate = False

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
        except ValueError:  # it is closed
            return
        except OSError:  # nobody reads it, or its disk is full: not a reason to stop
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
        """Start a run over these files, whose progress is shown from now on if it is wanted."""
        self._last_plain_at = self._clock()
        self._bar = None
        if self._is_live or self._is_plain:
            from moss_cli.cli.progress import AudioBar

            self._bar = AudioBar(paths, self.stream, self._clock)

    def step(self, step: Step) -> None:
        """Show what is being done: as a bar on a terminal, elsewhere with --verbose in plain lines."""
        self.check_stop()
        if self._bar is None:
            self._say(step)
            return
        self._bar.step(step)
        if self._is_live:
            if not self._held:
                self._bar.draw()
        else:
            self._say(step)
            self._tell_progress(self._bar)

    def _say(self, step: Step) -> None:
        """With --verbose, a plain line for each thing that is done to a file."""
        if not self.verbose or self.quiet or self._is_live:
            return
        from moss_cli.cli.progress import DOING

        doing, name = DOING[step.what], one_line(step.input.shown)
        if (doing, name) not in self._said:
            self._said.add((doing, name))
            self._line("moss: ", f"{doing} {name}", color="2")

    def finished(self, path: Path, audio_s: float | None) -> None:
        """A file is done; `audio_s` seconds of it were analysed, or None of it."""
        self.clear()
        self._held = False
        name = one_line(path_text(path)[0])
        self._said = {said for said in self._said if said[1] != name}
        if self._bar is not None:
            self._bar.finished(path, audio_s)
            self._tell_progress(self._bar)

    def _tell_progress(self, bar: AudioBar) -> None:
        """Off a terminal, say in a line how far the run is, if the last such line was long ago."""
        now = self._clock()
        if self._is_plain and now - self._last_plain_at >= _PLAIN_EVERY_S and (line := bar.line()):
            self._last_plain_at = now
            self._line("moss: ", line, color="2")

    def hold(self) -> None:
        """Erase the bar until the file is finished: its result is being shown on the terminal."""
        self.clear()
        self._held = True

    def clear(self) -> None:
        """Erase the bar until the next step."""
        if self._bar is not None:
            self._bar.erase()
