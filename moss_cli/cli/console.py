"""What people see on stderr: errors, notes, progress. stdout is for results and not touched here."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TextIO

from moss_cli.errors import MossError
from moss_cli.output.terminal import one_line, printable

if TYPE_CHECKING:
    from rich.status import Status

    from moss_cli.tasks.job import Step

_DOING = {
    "reading": "reading",
    "loading": "loading the model for",
    "listening": "listening to",
    "answering": "thinking about",
}


class Console:
    """Messages to one stream. `quiet` leaves errors and what must be said; `verbose` says more."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.quiet = False
        self.verbose = False
        self.debug = False
        self.progress: bool | None = None
        self._status: Status | None = None
        self._last_step: tuple[str, str] | None = None

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

    def step(self, step: Step, position: int, count: int) -> None:
        """Show what is being done: a live line on a terminal, plain lines with --verbose elsewhere."""
        doing = f"{_DOING[step.what]} {one_line(step.source.shown)}"
        if count > 1:
            doing += f" ({position} of {count})"
        live = self.is_terminal if self.progress is None else self.progress
        if self.quiet:
            return
        if live and self.is_terminal:
            self._show(doing + (f", {step.n_tokens} tokens" if step.n_tokens else ""))
        elif (live or self.verbose) and self._last_step != (step.what, step.source.shown):
            self._line("moss: ", doing, color="2")
        self._last_step = (step.what, step.source.shown)

    def _show(self, text: str) -> None:
        from rich.console import Console as RichConsole
        from rich.text import Text

        if self._status is None:
            rich = RichConsole(file=self.stream, no_color=bool(os.environ.get("NO_COLOR")))
            self._status = rich.status(Text(text))
            self._status.start()
        else:
            self._status.update(Text(text))  # Text: what a file is called never becomes markup

    def clear(self) -> None:
        """Take the live line away."""
        if self._status is not None:
            self._status.stop()
            self._status = None
