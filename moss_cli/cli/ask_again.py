"""`moss ask --continue`: what a question goes on from; and what is kept of it for the next one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moss_cli.answers import Turn
from moss_cli.audio.source import open_file
from moss_cli.cli.command_line import run_hint
from moss_cli.cli.console import Console
from moss_cli.cli.history import History, KeptQuestion, conversation_of, newest_turns
from moss_cli.cli.options import AnalysisOptions
from moss_cli.errors import UsageError, counted
from moss_cli.output.terminal import one_line
from moss_cli.output.times import clock, to_ms
from moss_cli.run.inputs import STDIN, Input, identity
from moss_cli.schema import Envelope
from moss_cli.tasks.ask import Ask

_STDIN = str(STDIN)


@dataclass(frozen=True)
class GoingOn:
    """What a question goes on from: earlier turns about the same recording, which is heard as it was then."""

    turns: tuple[Turn, ...]
    inputs: list[str]
    options: AnalysisOptions


def going_on(console: Console, history: History, question: str, inputs: list[str], options: AnalysisOptions) -> GoingOn:
    """What `--continue` goes on from: the last question about the recording that is given, or the last one of all.

    Raises UsageError where there is none, for several recordings and for one that cannot be read again; AudioError for
    one that cannot be read at all.
    """
    if len(inputs) > 1 or options.files_from is not None:
        message = "--continue goes on about one recording, and several are given"
        raise UsageError(message, hint="ask about each of them with a command of its own")
    kept = history.read()
    if inputs:
        [given] = inputs
        earlier = _about(console, kept, given)
    else:
        earlier, inputs = _last(console, kept)
    left = newest_turns(earlier)
    if len(left) < len(earlier):
        console.warning(f"only the last {counted(len(left), 'question')} of {len(earlier)} can be gone on from")
    if not earlier:
        return GoingOn((), inputs, options)
    model = f" with {one_line(earlier[-1].model)}" if options.model is None and earlier[-1].asked_of else ""
    is_named = any(word.split("=")[0] == "--channel" for word in console.typed.words)  # it may be the usual one
    options = _heard_as(earlier[-1], is_named, replace(options, model=options.model or earlier[-1].asked_of))
    part = _part(earlier[-1], question, options)
    if part is not None:
        options = replace(options, start=part[0], end=part[1])
    about = one_line(os.path.relpath(inputs[0])) if inputs else "what was asked without a recording"
    where = f", from {part[0]} to {part[1]}" if part else ""
    console.note(f"going on about {about}{where}{model}, from {counted(len(left), 'question')}")
    return GoingOn(left, inputs, options)


def _about(console: Console, kept: Sequence[KeptQuestion], given: str) -> list[KeptQuestion]:
    """The conversation about a recording; none where it has changed since, or nothing was asked about it yet."""
    path, name = Path(given), one_line(given)
    if given == _STDIN or (path.exists() and not path.is_file() and not path.is_dir()):
        raise UsageError("--continue needs a file: what comes through a pipe cannot be heard again")
    if path.is_dir():
        message = f"--continue goes on about one recording, and {name} is a folder"
        raise UsageError(message, hint="give one of its files")
    if not path.exists():  # the run says so
        return []
    with open_file(path) as file:
        sha256 = file.sha256()
    same = conversation_of([one for one in kept if one.sha256 == sha256])
    if not same:
        has_changed = any(one.path == identity(path) for one in kept)
        why = "has changed since it was asked about" if has_changed else "was not asked about before"
        console.warning(f"{name} {why}; this question begins anew")
    return same


def _last(console: Console, kept: Sequence[KeptQuestion]) -> tuple[list[KeptQuestion], list[str]]:
    """The conversation that the last question is of, and the recording that it is about, if it is about one."""
    file = run_hint(console.typed.added("talk.mp3"))
    if not kept:
        message = "there is no question to go on from"
        raise UsageError(message, hint=f"give a recording: {file}")
    last = kept[-1]
    if last.path == _STDIN:
        message = "the last question was about what came through a pipe, which cannot be heard again"
        raise UsageError(message, hint=f"give the recording: {file}")
    if last.path is None:
        return conversation_of([one for one in kept if one.path is None]), []
    return _about(console, kept, last.path), [last.path]


def _part(last: KeptQuestion, question: str, options: AnalysisOptions) -> tuple[str, str] | None:
    """The part that the last question was about, unless this one says what it is about: `start` and `end` as options
    take them."""
    start, end = last.heard.get("start"), last.heard.get("end")
    if options.start is not None or options.end is not None or Ask(question).may_name_a_time:
        return None
    if not isinstance(start, int | float) or not isinstance(end, int | float) or not 0 <= start < end < 1e9:
        return None
    return clock(to_ms(start), "."), clock(to_ms(end), ".")


def _heard_as(last: KeptQuestion, is_named: bool, options: AnalysisOptions) -> AnalysisOptions:
    """Options by which the same channel and track are heard, unless they name others."""
    channel, track = last.heard.get("channel"), last.heard.get("track")
    if options.channel == "mix" and not is_named and isinstance(channel, int):
        options = replace(options, channel=str(channel))
    if options.track is None and isinstance(track, int):
        options = replace(options, track=track)
    return options


def keep(history: History, task: Ask, options: AnalysisOptions, one: Input, envelope: Envelope) -> None:
    """Keep a question whose answer came to its end."""
    if not envelope.text or any(chunk.finish_reason in ("length", "loop") for chunk in envelope.chunks):
        return
    about = None if envelope.input is None else one.identity
    asked_of = options.model
    if asked_of is not None and Path(asked_of).is_dir():
        asked_of = os.path.abspath(asked_of)  # noqa: PTH100 - links are not followed
    if asked_of is not None and "://" in asked_of and "@" in asked_of:  # it may hold a password
        asked_of = None
    history.add(
        KeptQuestion(
            time=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            path=about,
            sha256=None if envelope.input is None else envelope.input.sha256,
            model=envelope.model.name,
            asked_of=asked_of,
            question=task.question,
            answer=envelope.text,
            goes_on=bool(task.turns),
            heard=_heard(envelope),
        )
    )


def _heard(envelope: Envelope) -> dict[str, Any]:
    """Which part, channel and track of the recording was heard, if not all of it."""
    channel, track = envelope.params.channel, envelope.params.track
    heard: dict[str, Any] = {} if isinstance(channel, str) else {"channel": channel}
    heard |= {} if track is None else {"track": track}
    duration = envelope.input.duration if envelope.input is not None else None
    if duration is None or not envelope.chunks:
        return {}
    start = min(chunk.start for chunk in envelope.chunks)
    end = max(chunk.end for chunk in envelope.chunks)
    is_all = start == 0 and end >= round(duration, 3)
    return heard if is_all else {**heard, "start": start, "end": end}
