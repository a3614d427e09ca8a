"""Options to a job and to its task: the one place where that is done, for the commands and for Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from moss_cli.answers import Sampling
from moss_cli.api.options import (
    BOUNDS,
    Dtype,
    JobOptions,
    Named,
    as_flag,
    as_keyword,
    channel_of,
    check_choice,
    check_context,
    check_flag,
    check_number,
    check_text,
    seconds,
)
from moss_cli.errors import UsageError
from moss_cli.models.registry import Resolved
from moss_cli.output.layout import Layout
from moss_cli.run.job import Job
from moss_cli.tasks.reading.task import Task

if TYPE_CHECKING:  # each task is loaded where it is made: a command makes one
    from moss_cli.tasks.ask import Ask
    from moss_cli.tasks.summarize import Style, Summarize
    from moss_cli.tasks.transcribe import Timestamps, Transcribe

DEMO_NOTE = "{name} is a demonstration model for synthetic audio, not for real recordings"

ALWAYS_THERE = ("auto", "cpu")  # devices


def make_job(
    task: Task[Any],
    model: Resolved,
    options: JobOptions,
    *,
    named: Named = as_keyword,
    check_device: Callable[[str], None] | None = None,
) -> Job:
    """A task with its options. Raises UsageError, and DeviceError for a device that is not here.

    `named`: what messages call an option. `check_device` takes the place of the usual check of devices that are not
    always there.
    """
    _check_values(options, named)
    start_s = None if options.start is None else seconds("start", options.start, named)
    end_s = None if options.end is None else seconds("end", options.end, named)
    if end_s is not None and end_s <= (start_s or 0.0):
        raise UsageError(f"{named('end')} {options.end} is not after the start")
    channel = channel_of(options.channel, named)
    if channel == "each":
        task.check_channels()
    if options.device not in ALWAYS_THERE and model.served is None:  # said once, and not for each input
        (check_device or check_device_is_here)(options.device)
    return Job(
        task=task,
        model=model,
        device=options.device,
        dtype=options.dtype,
        start_s=start_s,
        end_s=end_s,
        sampling=Sampling(options.temperature, options.top_p, options.top_k),
        seed=options.seed,
        max_new_tokens=options.max_new_tokens,
        time_markers=options.time_markers,
        vad=options.vad,
        think=options.think,
        thinking_budget=options.thinking_budget,
        chunk_s=_chunk_s(model, options.chunk, named),
        batch_size=_batch_size(options.batch_size, named),
        max_duration_s=_longest_s(options, named),
        channel=channel,
        track=options.track,
        context=None if options.context is None else options.context.strip(),
    )


def _check_values(options: JobOptions, named: Named) -> None:
    """Raise UsageError for a value that is wrong by itself."""
    for name in BOUNDS.keys() & vars(options).keys():
        check_number(name, getattr(options, name), named)
    check_choice("dtype", options.dtype, Dtype, named)
    check_text("device", options.device, named, optional=False)
    check_text("prompt", options.prompt, named)
    check_flag("vad", options.vad, named)
    check_flag("time_markers", options.time_markers, named, optional=True)
    check_flag("think", options.think, named, optional=True)
    check_context(options.context, named)
    if options.prompt is not None and not options.prompt.strip():
        raise UsageError("the prompt is empty")


def transcribe_task(
    timestamps: Timestamps = "segment",
    speakers: bool = False,
    language: str | None = None,
    prompt: str | None = None,
    *,
    named: Named = as_keyword,
) -> Transcribe:
    """The task `transcribe`. Raises UsageError."""
    from moss_cli.tasks.transcribe import Timestamps, Transcribe

    check_choice("timestamps", timestamps, Timestamps, named)
    check_flag("speakers", speakers, named)
    check_text("language", language, named)
    return Transcribe(timestamps, speakers, language or None, prompt)


def summarize_task(style: Style = "brief", prompt: str | None = None, *, named: Named = as_keyword) -> Summarize:
    """The task `summarize`. Raises UsageError."""
    from moss_cli.tasks.summarize import Style, Summarize

    check_choice("style", style, Style, named)
    return Summarize(style, prompt)


def ask_task(
    question: str, choices: Sequence[str], options: JobOptions, *, has_audio: bool, named: Named = as_keyword
) -> Ask:
    """The task `ask`, with options that go with it; a choice that is given twice counts once. Raises UsageError."""
    check_text("question", question, named, optional=False)
    from moss_cli.tasks.ask import MOST_CHOICES, Ask

    if not question.strip():
        raise UsageError("the question is empty")
    if isinstance(choices, str):
        raise UsageError(f"the choices are one text: {choices!r}", hint="give a list of texts")
    distinct, one = tuple(dict.fromkeys(text.strip() for text in choices)), named("choice")
    if "" in distinct:
        raise UsageError(f"a {one} is empty")
    if len(distinct) == 1 or len(distinct) > MOST_CHOICES:
        raise UsageError(
            f"one {one} is not enough" if len(distinct) == 1 else f"{len(distinct)} choices are too many",
            hint=f"give 2 to {MOST_CHOICES} different answers{', each with --choice' if named is as_flag else ''}",
        )
    if options.prompt is not None:
        raise UsageError(f"ask takes no {named('prompt')}: the question is the prompt")
    if not has_audio and (options.start is not None or options.end is not None):
        raise UsageError(f"{named('start')} and {named('end')} need a recording")
    return Ask(question, distinct, has_audio=has_audio)


def layout_of(
    max_line_width: int | None = None,
    max_line_count: int | None = None,
    *,
    times: bool = False,
    timestamps: Timestamps | None = None,
    named: Named = as_keyword,
) -> Layout:
    """How subtitles, and with `times` the txt, of results with these timestamps are laid out. Raises UsageError."""
    check_number("max_line_width", max_line_width, named)
    check_number("max_line_count", max_line_count, named)
    check_flag("times", times, named)
    if max_line_count is not None and max_line_width is None:
        width = named("max_line_width")
        raise UsageError(f"{named('max_line_count')} needs {width}", hint=f"add {width} 42, say")
    if times and timestamps == "none":
        raise UsageError(f"{named('times')} needs timestamps", hint="remove --timestamps none")
    return Layout(max_line_width, max_line_count, times)


def check_device_is_here(name: str) -> None:
    """Raise UsageError for what is no device, DeviceError for one that is not here."""
    from moss_cli.engine.devices import pick_device

    pick_device(name)


def _longest_s(options: JobOptions, named: Named) -> float:
    longest_s = seconds("max_duration", options.max_duration, named)
    if not longest_s:
        raise UsageError(f"{named('max_duration')} must be greater than zero")
    return longest_s


def _chunk_s(model: Resolved, chunk_s: float | None, named: Named) -> float | None:
    longest_s = model.entry.max_seconds
    if chunk_s is not None and chunk_s > longest_s:
        what = f"{named('chunk')} {chunk_s:g}"
        raise UsageError(f"{what} is too long: {model.entry.name} takes at most {longest_s:g} s at once")
    return chunk_s


def _batch_size(value: int | str, named: Named) -> int | None:
    if value == "auto":
        return None
    text = str(value)
    if isinstance(value, bool) or not text.isascii() or not text.isdigit() or int(text) < 1:
        message = f"{named('batch_size')} {text} is neither auto nor a positive number"
        raise UsageError(message, hint="leave it out, and as many as memory allows are decoded together")
    return int(text)
