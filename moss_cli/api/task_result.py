"""What a task gives from Python: the envelope, with what is wanted of it within reach."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast

from moss_cli.api.job import layout_of
from moss_cli.api.warn import warn
from moss_cli.errors import MossError, UsageError
from moss_cli.output.atomic import write_atomic
from moss_cli.output.formats import FORMATS, check_has_times, format_of
from moss_cli.output.layout import Layout
from moss_cli.output.links import Place
from moss_cli.output.render import render
from moss_cli.output.terminal import one_line
from moss_cli.run.job import Outcome
from moss_cli.schema import ChunkInfo, Envelope, Notice

R_co = TypeVar("R_co", covariant=True)  # what a task's result holds
S_co = TypeVar("S_co", covariant=True)


class _WithSegments(Protocol[S_co]):
    """A result that has segments."""

    @property
    def segments(self) -> tuple[S_co, ...]: ...


@dataclass(frozen=True, repr=False)
class TaskResult(Generic[R_co]):
    """What came of one input. `envelope` is all of it, as the command prints it with `-f json`.

    `error` is set where `status` is "error": an input among several that failed. Whatever needs a result then raises
    that error. A "partial" result lacks something; `warnings` say what, and where.
    """

    envelope: Envelope[Any]
    error: MossError | None = None

    @property
    def status(self) -> str:
        """`ok`, `partial` or `error`."""
        return self.envelope.status

    @property
    def warnings(self) -> tuple[Notice, ...]:
        """What the reader of the result should know, each with a `code`, a `message` and perhaps a range."""
        return self.envelope.warnings

    @property
    def path(self) -> str | None:
        """The input as it was given; `-` for bytes and file objects, None for a question without audio."""
        return None if self.envelope.input is None else self.envelope.input.path

    @property
    def chunks(self) -> tuple[ChunkInfo, ...]:
        """The pieces that the model was given, and how each answer ended."""
        return self.envelope.chunks

    @property
    def thinking(self) -> str | None:
        """What the model thought before it answered, if it did."""
        return self.envelope.thinking

    @property
    def result(self) -> R_co:
        """The task's own result, with its fields: `result.tempo_bpm`, `result.events`. Raises MossError: `error`."""
        if self.error is not None:
            raise self.error
        return cast("R_co", self.envelope.result)

    @property
    def text(self) -> str:
        """The answer as plain text. Raises MossError: `error`."""
        return self.envelope.text or "" if self.result else ""

    @property
    def segments(self: TaskResult[_WithSegments[S_co]]) -> tuple[S_co, ...]:
        """The segments of a transcript, or of the course of an emotion. Raises MossError: `error`."""
        return self.result.segments

    def to(
        self,
        fmt: str,
        *,
        max_line_width: int | None = None,
        max_line_count: int | None = None,
        times: bool = False,
    ) -> str:
        """The result in one of the formats of `-f`, as the command writes it to stdout.

        The layout is that of subtitles; `times` is for the txt of a transcript. Raises UsageError for another format,
        or for times where there are none, and MossError: `error`.
        """
        layout = self._layout(max_line_width, max_line_count, times)
        return self._rendered(fmt, layout, Place())

    def _layout(self, max_line_width: int | None, max_line_count: int | None, times: bool) -> Layout:
        return layout_of(max_line_width, max_line_count, times=times, timestamps=self.envelope.params.timestamps)

    def _rendered(self, fmt: str, layout: Layout, place: Place) -> str:
        if fmt not in FORMATS:
            raise UsageError(f"unknown format: {fmt!r}", hint=f"one of {', '.join(FORMATS)}")
        if fmt not in ("json", "jsonl") and self.error is not None:
            raise self.error
        check_has_times(fmt, self.envelope.task, self.envelope.params.timestamps)
        return render(self.envelope, fmt, layout, place)

    def to_srt(self, *, max_line_width: int | None = None, max_line_count: int | None = None) -> str:
        """Subtitles as SubRip; see `to`."""
        return self.to("srt", max_line_width=max_line_width, max_line_count=max_line_count)

    def to_vtt(self, *, max_line_width: int | None = None, max_line_count: int | None = None) -> str:
        """Subtitles as WebVTT; see `to`."""
        return self.to("vtt", max_line_width=max_line_width, max_line_count=max_line_count)

    def to_markdown(self) -> str:
        """A document; see `to`."""
        return self.to("md")

    def json(self) -> str:
        """The envelope as the command prints it with `-f json`; also that of a failed input."""
        return self.to("json")

    def save(
        self,
        path: str | PathLike[str],
        *,
        fmt: str | None = None,
        overwrite: bool = False,
        max_line_width: int | None = None,
        max_line_count: int | None = None,
        times: bool = False,
    ) -> Path:
        """Write the result to a file, whole or not at all; its suffix sets the format, unless `fmt` does. See `to`.

        Raises UsageError for a suffix that is no format and, without `overwrite`, for a file that exists; OutputError
        for what cannot be written; MossError: `error`.
        """
        file = Path(path)
        chosen = fmt or format_of(file)
        if chosen is None:
            raise UsageError(f"{file}: no format has this suffix", hint=f"use one of {', '.join(FORMATS)}, or fmt=")
        if self.error is not None:
            raise self.error
        text = self._rendered(chosen, self._layout(max_line_width, max_line_count, times), Place(file.parent))
        try:
            write_atomic(file, text.encode(), overwrite=overwrite)
        except UsageError as error:
            if error.code != "exists":
                raise
            raise UsageError(error.message, hint="save it with overwrite=True", code="exists") from None
        return file

    def __str__(self) -> str:
        return repr(self) if self.error is not None else self.to("txt").rstrip("\n")

    def __repr__(self) -> str:
        of = f" of {one_line(self.path)}" if self.path else ""
        why = f", {self.error}" if self.error is not None else ""
        return f"<{self.envelope.task}{of}: {self.status}{why}>"


def told(outcome: Outcome) -> TaskResult[Any]:
    """What came of an input; its warnings are given to Python's own, too."""
    result = TaskResult[Any](outcome.envelope, outcome.error)
    for notice in result.warnings:
        warn(f"{one_line(result.path)}: {notice.message}" if result.path else notice.message)
    return result
