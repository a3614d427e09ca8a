"""Where results go: stdout, one file, or a folder."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moss_cli.cli.inputs import GivenInputs
from moss_cli.cli.output_target import OutputTarget
from moss_cli.errors import OutputError
from moss_cli.folders.freshness import JobFingerprint, SkipStatus
from moss_cli.folders.passes import Writer
from moss_cli.folders.single_files import SingleFile
from moss_cli.folders.unfinished import UnfinishedResults
from moss_cli.folders.writer import FolderWriter, Redo, check_not_input
from moss_cli.output import terminal
from moss_cli.output.atomic import check_writable, write_atomic
from moss_cli.output.formats import TABLES, WHOLE
from moss_cli.output.layout import Layout
from moss_cli.output.links import Place
from moss_cli.output.screen import columns_of, folded, settled
from moss_cli.output.terminal import printable
from moss_cli.output.text import one_line
from moss_cli.run.inputs import Input
from moss_cli.run.journal import Journal
from moss_cli.schema import Envelope

if TYPE_CHECKING:
    from moss_cli.output.streams import ResultStream
    from moss_cli.tasks.reading.certain import Certain
    from moss_cli.tasks.reading.task import Task


class SingleResultWriter:
    """What writers have in common that always make results anew. A killed run is gone on from within its input:
    the journal of it lies in the user's state folder until its result is written."""

    resumes = False

    def __init__(self, unfinished: UnfinishedResults) -> None:
        self._unfinished = unfinished

    def done_status(self, one: Input) -> SkipStatus | None:
        return None

    def kept(self, one: Input) -> Mapping[Path, str]:
        return {}

    def claim(self, one: Input) -> bool:
        return True

    def release(self, one: Input) -> None:
        pass

    def outputs(self, one: Input) -> tuple[Path, ...]:
        return ()

    def journal(self, one: Input) -> Journal:
        return self._unfinished.journal(one)

    def kept_s(self, one: Input) -> float:
        """How much of an input a later run need not decode again, in seconds."""
        return self._unfinished.kept_s(one)


def make_writer(
    inputs: GivenInputs,
    to: OutputTarget,
    job: JobFingerprint,
    *,
    layout: Layout,
    redo: Redo,
    on_warning: Callable[[str], None],
) -> Writer:
    """The writer for a destination. Raises UsageError and OutputError."""
    if to.path is not None and to.is_folder:
        return FolderWriter(to.path, to.formats, inputs.inputs, job, layout=layout, redo=redo, on_warning=on_warning)
    unfinished = UnfinishedResults(job, on_warning)
    if to.path is not None:
        return FileWriter(to.path, to.formats[0], inputs.inputs[0], unfinished, layout=layout, force=redo.force)
    return StdoutWriter(to.formats[0], unfinished, layout=layout, several=inputs.several, on_warning=on_warning)


class StdoutWriter(SingleResultWriter):
    """Results one after another on stdout; json as one document, headings between several txt.

    What is certain of the next result is written before the whole is known, where its format lets it.
    """

    def __init__(
        self,
        fmt: str,
        unfinished: UnfinishedResults,
        *,
        layout: Layout,
        several: bool,
        on_warning: Callable[[str], None] = lambda message: None,
    ) -> None:
        super().__init__(unfinished)
        self.fmt, self.layout, self.several = fmt, layout, several
        self._on_warning = on_warning
        self._n_written = 0
        self._columns = columns_of(sys.stdout) if fmt == "txt" else 0
        self._shown = ""  # what is already on the terminal of the next result, while it is decoded
        self._streams: dict[Input, ResultStream | None] = {}  # of the next result
        self._streamed: list[str] = []  # what was written of it, as `render` has it
        self._growing = ""  # its text, of one line, as far as it is certain

    def check(self, one: Input) -> None:
        pass

    def write(self, one: Input, envelope: Envelope) -> None:
        from moss_cli.output.render import render

        streamed = "".join(self._streamed)
        self._streams, self._streamed, self._growing = {}, [], ""
        if envelope.status == "error" and self.fmt not in ("json", "jsonl"):
            self._leave_unfinished(one, streamed)
            return
        text = render(envelope, self.fmt, self.layout, Place(is_alone=not self.several))
        if streamed:
            if not text.startswith(streamed):
                message = f"{one_line_of(one)}: what was already written is not the beginning of the result"
                raise OutputError(message, hint="run it again with -o FILE")
            self._put(self._on_screen(text.removeprefix(streamed)))
        else:
            text = self._before(envelope) + self._on_screen(self._without_head(text))
            shown, self._shown = self._shown, ""
            self._put(text.removeprefix(shown))
        self._n_written += 1
        self._unfinished.done(one)

    def _before(self, envelope: Envelope) -> str:
        """What parts a result from the one before it."""
        if self.fmt == "json" and self.several:
            return ",\n" if self._n_written else "[\n"
        if self.fmt == "md" and self._n_written:
            return "\n"
        return self._heading(envelope.input.path if envelope.input else "")

    def _on_screen(self, text: str) -> str:
        """A result's text as it stands on stdout."""
        if self.fmt == "json" and self.several:
            return text.rstrip("\n")
        if self.fmt != "txt":
            return text
        return folded(text, self._columns if self._shown else columns_of(sys.stdout))

    def _without_head(self, text: str) -> str:
        """A later table without its head: all results are one table."""
        return text.split("\n", 1)[1] if self.fmt in TABLES and self._n_written else text

    def _leave_unfinished(self, one: Input, streamed: str) -> None:
        """An input fails of which something stands on stdout: that is not a result; the error goes below it."""
        if not (streamed or self._shown):
            return
        self._put("" if streamed.endswith("\n") else "\n")
        self._n_written += bool(streamed)
        self._shown = ""
        self._on_warning(f"{one_line_of(one)}: what was written of it to stdout is incomplete")

    @property
    def writes_early(self) -> bool:
        """Whether something may be written before a result is whole."""
        return self.fmt not in WHOLE

    def write_certain(self, one: Input, task: Task[Any], certain: Certain[Any]) -> bool:
        """Write what more of the next result is certain. Whether stdout is left within a line."""
        from moss_cli.output.streams import stream_of

        timestamps = task.params.get("timestamps")
        if one not in self._streams:
            stream = stream_of(self.fmt, task.name, one.shown, timestamps=timestamps, layout=self.layout)
            self._streams = {one: stream}
        stream = self._streams[one]
        text = stream.more(certain) if stream is not None else ""
        if not text:
            return False
        if timestamps == "none" and self._columns:  # where its line is broken depends on what follows
            self._growing += text
            self.show(one.shown, self._growing)
            return True
        before = "" if self._streamed else self._heading(one.shown)
        own = text if self._streamed else self._without_head(text)
        self._streamed.append(text)
        self._put(before + self._on_screen(own))
        return not text.endswith("\n")

    @property
    def shows_text(self) -> bool:
        """Whether answers can be shown while they are decoded."""
        return self.fmt == "txt" and sys.stdout.isatty()

    def show(self, path: str, text: str) -> None:
        """Show the part of the next result's text that is certain: each time more of it, from its beginning."""
        text = one_line(text)
        if self._columns:
            text = folded(settled(text), self._columns)
        text = self._heading(path) + text
        if text.startswith(self._shown):
            self._put(text.removeprefix(self._shown))
            self._shown = text

    def _heading(self, path: str) -> str:
        if self.fmt != "txt" or not self.several:
            return ""
        blank = "\n" if self._n_written else ""
        return f"{blank}==> {printable(path)} <==\n"

    def finish(self) -> None:
        if self.fmt == "json" and self.several:
            self._put("\n]\n" if self._n_written else "[]\n")

    def _put(self, text: str) -> None:
        if sys.stdout.isatty() and self.fmt not in ("json", "jsonl"):
            text = printable(text)
        with _stdout_errors():
            # Bytes: the result is UTF-8, whatever the locale says.
            data = memoryview(text.encode())
            while data:
                data = data[os.write(sys.stdout.fileno(), data) :]


def one_line_of(one: Input) -> str:
    """An input's name within a message."""
    return terminal.one_line(one.shown)


@contextlib.contextmanager
def _stdout_errors() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write to standard output: {error.strerror}") from error


class FileWriter(SingleResultWriter):
    """One result in one file."""

    def __init__(
        self, path: Path, fmt: str, one: Input, unfinished: UnfinishedResults, *, layout: Layout, force: bool
    ) -> None:
        super().__init__(unfinished)
        self.path, self.fmt, self.layout, self.force = path, fmt, layout, force
        self._file = SingleFile(path)
        self.check(one)

    @property
    def _overwrite(self) -> bool:
        return self.force or self._file.is_ours

    def outputs(self, one: Input) -> tuple[Path, ...]:
        return (self.path,)

    def check(self, one: Input) -> None:
        check_not_input(self.path, one)
        check_writable(self.path, overwrite=self._overwrite)

    def write(self, one: Input, envelope: Envelope) -> None:
        from moss_cli.output.render import render

        if envelope.status == "error":
            return
        data, overwrite = render(envelope, self.fmt, self.layout, Place(self.path.parent)).encode(), self._overwrite
        is_plain = not self.path.is_symlink() and (self.path.is_file() or not self.path.exists())
        if is_plain:
            self._file.announce(data)
        write_atomic(self.path, data, overwrite=overwrite)
        self._unfinished.done(one)

    def finish(self) -> None:
        pass
