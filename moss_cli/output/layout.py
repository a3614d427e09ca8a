"""How the lines of subtitles are to be laid out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """Columns of a line (an ideograph takes two) and lines of a cue; None: as many as there are. `times`: in txt, each
    line of a transcript begins with its times."""

    max_line_width: int | None = None
    max_line_count: int | None = None
    times: bool = False

    @property
    def values(self) -> tuple[int | None, ...]:
        """What tells two layouts apart, as folders keep it."""
        return (self.max_line_width, self.max_line_count, *([1] if self.times else []))


AS_IT_IS = Layout()
