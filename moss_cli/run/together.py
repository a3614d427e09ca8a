"""One input as several tasks go through it at once: decoded once, cut once where they want pieces of the same length,
and searched for speech once.

The task that has come least far is always the next to go on, so that what is held for the others is no longer than the
longest piece.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache

from moss_cli.audio.chunk import Chunk
from moss_cli.audio.decode import load
from moss_cli.audio.results import SAMPLE_RATE, Samples
from moss_cli.errors import MossError, as_moss_error
from moss_cli.run.inputs import Input
from moss_cli.run.job import Job
from moss_cli.run.open_input import OpenInput, is_file, open_input
from moss_cli.run.planned_input import PlannedInput, heard, planned
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
        audio = load(input.path, max_duration_s=max(job.max_duration_s for job in jobs))
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
        one = replace(one, sha256=cache(one.sha256))
        blocks = readers(watch(one.blocks), len(places))
        own = one if len(places) == 1 else None  # its task may be another than the job's
        for place, branch in zip(places, blocks, strict=True):
            opened[place] = replace(one, blocks=branch, task=own.task if own else jobs[place].task)
    failures = [found for found in opened.values() if isinstance(found, MossError)]
    if len(failures) == len(jobs):
        raise failures[-1]
    return [opened[place] for place in range(len(jobs))]


def _planned(opened: Sequence[OpenInput | MossError], jobs: Sequence[Job]) -> list[PlannedInput | MossError]:
    """Jobs with samples and a longest piece in common share the pieces."""
    alike: dict[tuple[Hashable, float], list[int]] = {}
    for place, one in enumerate(opened):
        if isinstance(one, OpenInput):
            alike.setdefault((one.source, jobs[place].longest_s), []).append(place)
    found: dict[int, PlannedInput | MossError] = {}
    for places in alike.values():
        first = opened[places[0]]
        assert isinstance(first, OpenInput)
        if len(places) == 1:
            found[places[0]] = planned(first, jobs[places[0]])
            continue
        for place, chunked in zip(places, readers(heard(first, jobs[places[0]]), len(places)), strict=True):
            one = opened[place]
            assert isinstance(one, OpenInput)
            found[place] = planned(one, jobs[place], chunked)
    return [one if isinstance(one, MossError) else found[place] for place, one in enumerate(opened)]


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
