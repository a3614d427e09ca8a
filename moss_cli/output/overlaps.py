"""Several speakers at once, for formats whose cues may not overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from moss_cli.output.cues import Cue

LEAST_MS = 500  # that something is shown unchanged where voices overlap; chosen: less only flickers


def side_by_side(cues: Sequence[Cue]) -> list[Cue]:
    """Cues cut where another speaker's begins or ends beside them, so that all that are heard at once are shown at
    once: those that overlap begin and end together. The cues of one speaker stay as they are among themselves."""
    found: list[Cue] = []
    for group in _overlapping(cues):
        if len({cue.speaker for cue in group}) == 1:
            found += group
            continue
        spans = list(pairwise(_bounds(group)))
        shown = [_shown(cue, spans) for cue in group]
        for span in spans:
            found += [
                replace(cue, start_ms=span[0], end_ms=span[1])
                for cue, own in zip(group, shown, strict=True)
                if span in own
            ]
    return found


def _shown(cue: Cue, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """In which spans a cue is shown: where it lasts long enough, and in one at least."""

    def heard_ms(span: tuple[int, int]) -> int:
        return min(cue.end_ms, span[1]) - max(cue.start_ms, span[0])

    return [span for span in spans if heard_ms(span) >= LEAST_MS] or [max(spans, key=heard_ms)]


def _overlapping(cues: Sequence[Cue]) -> list[list[Cue]]:
    """Cues in order, with those that overlap, directly or through others, in one group."""
    groups: list[list[Cue]] = []
    until_ms = 0
    for cue in sorted(cues, key=lambda cue: cue.start_ms):
        if groups and cue.start_ms < until_ms:
            groups[-1].append(cue)
        else:
            groups.append([cue])
        until_ms = max(until_ms, cue.end_ms)
    return groups


def _bounds(group: Sequence[Cue]) -> list[int]:
    """Where something begins or ends, in order, but for what follows another too soon."""
    times = sorted({time for cue in group for time in (cue.start_ms, cue.end_ms)})
    kept = times[:1]
    for time in times[1:-1]:
        if time - kept[-1] >= LEAST_MS and times[-1] - time >= LEAST_MS:
            kept.append(time)
    return [*kept, times[-1]]
