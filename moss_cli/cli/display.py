"""Two live lines on a terminal."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TextIO

from moss_cli.cli.progress import Progress

if TYPE_CHECKING:
    from rich.console import Group
    from rich.live import Live
    from rich.spinner import Spinner

_REFRESHES_PER_S = 8


class Display:
    """Two live lines: what is being done, and how far the run is."""

    def __init__(self, stream: TextIO, progress: Progress) -> None:
        from rich.console import Console as RichConsole
        from rich.live import Live
        from rich.spinner import Spinner

        self._progress = progress
        self._doing = ("", "", "")
        utf8 = (stream.encoding or "").lower().replace("-", "") == "utf8"
        self._spinner: Spinner = Spinner("dots" if utf8 else "line")
        self._console = RichConsole(file=stream, force_terminal=True, no_color=bool(os.environ.get("NO_COLOR")))
        self._live: Live = Live(
            get_renderable=self._lines,
            console=self._console,
            transient=True,
            refresh_per_second=_REFRESHES_PER_S,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def show(self, doing: str, name: str, more: str) -> None:
        self._doing = (doing, name, more)
        if not self._live.is_started:
            self._live.start(refresh=True)  # also what is over before its time to be drawn comes

    def stop(self) -> None:
        self._live.stop()

    def _lines(self) -> Group:
        from rich.console import Group
        from rich.text import Text

        doing, name, more = self._doing
        room = max(0, self._console.width - 3)  # the spinner, a blank, and the last column, where some wrap
        first = f"{doing} {_end_of(name, room - len(doing) - 1 - len(more))}{more}"
        self._spinner.update(text=Text(first[:room]))  # Text: what a file is called never becomes markup
        second = self._progress.line()[:room]
        return Group(self._spinner, Text("  " + second, style="dim")) if second else Group(self._spinner)


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
