"""One input as several tasks go through it at once: decoded once, cut once where they want pieces of the same length,
and searched for speech once.

The task that has come least far is always the next to go on, so that what is held for the others is no longer than two
of the longest pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache

from moss_cli.audio.chunk import Chunk
from moss_cli.audio.results import SAMPLE_RATE, Samples
from moss_cli.errors import MossError, as_moss_error
from moss_cli.run.inputs import Input
from moss_cli.run.job import Job
from moss_cli.run.open_input import OpenInput, is_file, loaded, open_input
from moss_cli.run.planned_input import PlannedInput, planned, searched
from moss_cli.run.tee import readers
from moss_cli.span import Span

Pieces = list[tuple[int, Chunk | Span]]  # pieces that begin at the same time, each with the place of its job
Watch = Callable[[Iterator[Samples]], Iterator[Samples]]


@dataclass(frozen=True)
class PlannedTogether:
    """An open input as each of some jobs goes through it, or why it does not. `pieces`: those of all jobs, in the order
    in which they begin; the pieces of its `by_job` are not to be iterated."""

    by_job: Sequence[PlannedInput | MossError]
    pieces: Iterator[Pieces]
    close: Callable[[], None]


def plan_together(input: Input, jobs: Sequence[Job], watch: Watch = lambda blocks: blocks) -> PlannedTogether:
    """Open an input for several jobs, which differ in their tasks. `watch` is passed all samples that are read.

    What keeps one job from it stands in its place; what keeps all of them is raised: see `open_input`.
    """
    with ExitStack() as stack:
        opened = _opened(input, jobs, watch, stack)
        by_job = _planned(opened, jobs)
        kept = stack.pop_all()
    plans = [(place, plan) for place, plan in enumerate(by_job) if isinstance(plan, PlannedInput)]
    return PlannedTogether(by_job, _merged(plans), kept.close)


def _opened(input: Input, jobs: Sequence[Job], watch: Watch, stack: ExitStack) -> list[OpenInput | MossError]:
    """Jobs about all of an input share its samples; a question that names a time has samples of its own."""
    opened: dict[int, OpenInput | MossError] = {}
    named = [place for place, job in enumerate(jobs) if job.task.may_name_a_time]
    others = [place for place in range(len(jobs)) if place not in named]
    audio = None
    if named and others and not is_file(input):  # it can be read only once
        audio = loaded(input, jobs[0])
    for places in (*([place] for place in named), others):
        if not places:
            continue
        try:
            one = open_input(input, jobs[places[0]], *(() if audio is None else (audio,)))
        except Exception as error:
            if len(places) == len(jobs):
                raise
            opened |= dict.fromkeys(places, as_moss_error(error))
            continue
        stack.callback(one.close)
        one = replace(one, blocks=watch(one.blocks), sha256=cache(one.sha256))
        own = one.task if len(places) == 1 else None  # it may be another than the job's
        opened |= {place: replace(one, task=own or jobs[place].task) for place in places}
    failures = [found for found in opened.values() if isinstance(found, MossError)]
    if len(failures) == len(jobs):
        raise failures[-1]
    return [opened[place] for place in range(len(jobs))]


def _planned(opened: Sequence[OpenInput | MossError], jobs: Sequence[Job]) -> list[PlannedInput | MossError]:
    """Jobs with samples in common share them, and with the longest piece also in common the pieces."""
    alike: dict[Hashable, dict[float, dict[int, OpenInput]]] = {}
    for place, one in enumerate(opened):
        if isinstance(one, OpenInput):
            alike.setdefault(one.source, {}).setdefault(jobs[place].longest_s, {})[place] = one
    found: dict[int, PlannedInput] = {}
    for by_length in alike.values():
        blocks = next(one.blocks for them in by_length.values() for one in them.values())
        for them, own in zip(by_length.values(), readers(blocks, len(by_length)), strict=True):
            found |= _cut_once({place: replace(one, blocks=own) for place, one in them.items()}, jobs)
    return [one if isinstance(one, MossError) else found[place] for place, one in enumerate(opened)]


def _cut_once(opened: Mapping[int, OpenInput], jobs: Sequence[Job]) -> dict[int, PlannedInput]:
    """The plans of jobs that want the same pieces."""
    if len(opened) == 1:
        return {place: planned(one, jobs[place]) for place, one in opened.items()}
    first = next(iter(opened))
    chunks = readers(searched(opened[first].blocks, opened[first], jobs[first]), len(opened))
    return {place: planned(one, jobs[place], own) for (place, one), own in zip(opened.items(), chunks, strict=True)}


def _merged(plans: Sequence[tuple[int, PlannedInput]]) -> Iterator[Pieces]:
    """The pieces of all plans in the order of their times; those that begin together are together."""
    left = {place: plan.pieces for place, plan in plans}
    heads: dict[int, Chunk | Span] = {}
    while True:
        for place in [place for place in left if place not in heads]:
            piece = next(left[place], None)
            if piece is None:
                del left[place]
            else:
                heads[place] = piece
        if not heads:
            return
        first = min(map(starts_at, heads.values()))
        yield [(place, heads.pop(place)) for place in sorted(heads) if starts_at(heads[place]) == first]


def starts_at(piece: Chunk | Span) -> int:
    """The sample of its file at which a piece begins."""
    span = piece.span if isinstance(piece, Chunk) else piece
    return round(span.start_s * SAMPLE_RATE)
