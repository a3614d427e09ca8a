"""How the lines of subtitles are to be laid out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """Columns of a line (an ideograph takes two) and lines of a cue; None: as many as there are."""

    max_line_width: int | None = None
    max_line_count: int | None = None


AS_IT_IS = Layout()
