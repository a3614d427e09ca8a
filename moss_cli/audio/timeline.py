"""Where decoded frames lie in time: what a container's timestamps say, held against what there is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from moss_cli.schema import Notice

_JITTER_S = 0.1  # timestamps of capture devices wander by this much, and Matroska rounds them to a millisecond
_START_JITTER_S = 0.02

# Silence is made up for gaps that a recording can have; a clock that jumps further was set anew. All chosen. Gaps of a
# second cost a packet each, so that the bytes bound them; longer ones share what the file could hold at 2 kbit/s.
_MOST_GAP_S = 600.0
_FREE_GAP_S = 1.0
_MOST_SILENCE_S = 300.0
_LEAST_BYTES_PER_S = 250.0
_TOLD_SEAM_S = 0.5


@dataclass(frozen=True)
class _Hole:
    start: int
    end: int
    torn: bool


class FrameTimeline:
    """The frames of one stream in order; `position` is where the last one ends. Everything is counted in samples.

    `exact`: the timestamps number the samples, so that the smallest gap is one; `exact_start` that the first does.
    `longest` is the length that the container gives, beyond which no timestamp leads.
    """

    def __init__(self, sample_rate: int, *, n_bytes: int, exact: bool, exact_start: bool, longest: int | None) -> None:
        self.position = 0
        self._rate = sample_rate
        self._jitter_s = 0.0 if exact else _JITTER_S
        self._start_jitter_s = 0.0 if exact_start else _START_JITTER_S
        self._longest = longest
        self._shift = 0  # of the timestamps, after they have jumped
        self._silence = round((_MOST_SILENCE_S + n_bytes / _LEAST_BYTES_PER_S) * sample_rate)
        self._holes: list[_Hole] = []
        self._seams: list[tuple[int, int]] = []  # where, and by how much the clock jumped

    def gap(self, place: int, *, torn: bool) -> int:
        """Samples of silence before what a timestamp puts at `place`; 0 where the timestamp is only imprecise.

        `torn` says that the file is damaged there.
        """
        offset = place + self._shift - self.position
        jitter_s = self._jitter_s if self.position else self._start_jitter_s
        if abs(offset) <= jitter_s * self._rate:
            return 0
        if not 0 < offset <= self._most():
            self._shift -= offset
            if self.position and abs(offset) > _TOLD_SEAM_S * self._rate:
                self._seams.append((self.position, offset))
            return 0
        if offset > _FREE_GAP_S * self._rate:
            self._silence -= offset
        if self.position or torn:
            self._holes.append(_Hole(self.position, self.position + offset, torn))
        return offset

    def _most(self) -> int:
        most = min(round(_MOST_GAP_S * self._rate), max(self._silence, round(_FREE_GAP_S * self._rate)))
        return most if self._longest is None else min(most, self._longest - self.position)

    def notices(self, name: str, origin_s: float) -> list[Notice]:
        """What was filled with silence, and where the clock jumped; `origin_s` is added to the times."""
        found = []
        for torn, code in ((True, "corrupt"), (False, "gap")):
            holes = [hole for hole in self._holes if hole.torn == torn]
            if holes:
                start_s, end_s = (origin_s + at / self._rate for at in (holes[0].start, holes[-1].end))
                missing_s = sum(hole.end - hole.start for hole in holes) / self._rate
                where = f"between {start_s:.3f} and {end_s:.3f} s"
                message = f"{name} has no audio for {missing_s:.3f} s {where}; filled with silence"
                found.append(Notice(code=code, message=message, start=start_s, end=end_s))
        if self._seams:
            position, by = max(self._seams, key=lambda seam: abs(seam[1]))
            at_s = origin_s + position / self._rate
            more = f", and in {len(self._seams) - 1} other places" if len(self._seams) > 1 else ""
            message = (
                f"{name}: the clock jumps by {by / self._rate:.3f} s at {at_s:.3f} s{more}; what follows is joined on"
            )
            found.append(Notice(code="seam", message=message, start=at_s))
        return found


def silences(n_frames: int, n_most: int) -> Iterator[int]:
    """Lengths of at most `n_most` that are `n_frames` together; none where that is not positive."""
    while n_frames > 0:
        yield min(n_frames, n_most)
        n_frames -= n_most
