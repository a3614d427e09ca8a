"""Where results go: stdout, one file, or a folder."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from moss_cli.cli.inputs import Inputs
from moss_cli.errors import OutputError, UsageError
from moss_cli.folders.freshness import Standing, Work
from moss_cli.folders.manifest import Manifest
from moss_cli.folders.names import PlannedInput
from moss_cli.folders.writer import Again, FolderWriter, check_not_input
from moss_cli.output.atomic import check_writable, write_atomic
from moss_cli.output.formats import TIMED, format_of, has_times
from moss_cli.output.screen import columns_of, folded, settled
from moss_cli.output.terminal import printable
from moss_cli.output.text import one_line
from moss_cli.output.wrap import Layout
from moss_cli.run.journal import Journal, NoJournal
from moss_cli.schema import Envelope


class Writer(Protocol):
    """Takes envelopes, failed ones too, in the order of the inputs.

    `resumes`: what is written, and what is kept of unfinished inputs, spares a later run this work.
    """

    resumes: bool

    def standing(self, one: PlannedInput) -> Standing | None:
        """The status of the result that stands already, if there is nothing to do for this input."""

    def claim(self, one: PlannedInput) -> bool:
        """Take an input for this run; False where another run has it. `release` gives it back."""

    def release(self, one: PlannedInput) -> None: ...

    def outputs(self, one: PlannedInput) -> tuple[Path, ...]:
        """The files that this input's result goes into."""

    def journal(self, one: PlannedInput) -> Journal:
        """Where what is found of its pieces is kept until it is done."""

    def check(self, one: PlannedInput) -> None:
        """Raise what would keep this input's result from being written, before the work is done."""

    def write(self, one: PlannedInput, envelope: Envelope) -> None: ...

    def finish(self) -> None: ...


class StatelessWriter:
    """What writers have in common whose results are always made anew."""

    resumes = False

    def standing(self, one: PlannedInput) -> Standing | None:
        return None

    def claim(self, one: PlannedInput) -> bool:
        return True

    def release(self, one: PlannedInput) -> None:
        pass

    def outputs(self, one: PlannedInput) -> tuple[Path, ...]:
        return ()

    def journal(self, one: PlannedInput) -> Journal:
        return NoJournal()


def make_writer(
    inputs: Inputs,
    output: str | None,
    formats: Sequence[str] | None,
    work: Work,
    timestamps: str | None,
    *,
    layout: Layout,
    again: Again,
    on_warning: Callable[[str], None],
) -> Writer:
    """Decide where results go. Raises UsageError for what does not fit together."""
    chosen = list(dict.fromkeys(formats or []))
    if output == "-":
        output = None
    to_folder = output is not None and (
        inputs.several or len(chosen) > 1 or output.endswith("/") or os.path.isdir(output)  # noqa: PTH112 - see collect
    )
    if output is not None and not chosen and not to_folder:
        chosen = [format_of(Path(output)) or "txt"]
    chosen = chosen or ["txt"]
    for fmt in chosen:
        if fmt in TIMED and not has_times(work.task, timestamps):
            raise UsageError(
                f"{fmt} needs times, and {work.task} has none here",
                hint="drop --timestamps none, or choose txt"
                if timestamps == "none"
                else "choose txt, json, jsonl or md",
            )
    if output == "":
        raise UsageError("the name of the output is empty")
    if output is not None and to_folder:
        return FolderWriter(Path(output), chosen, inputs.found, work, layout=layout, again=again, on_warning=on_warning)
    if len(chosen) > 1:
        raise UsageError("several formats need a folder to write to", hint="add -o FOLDER/")
    if output is not None:
        return FileWriter(Path(output), chosen[0], inputs.found[0], layout=layout, force=again.force)
    if inputs.several and chosen[0] in (*TIMED, "tsv"):
        raise UsageError(f"several inputs as {chosen[0]} need a folder to write to", hint="add -o FOLDER/")
    return StdoutWriter(chosen[0], layout=layout, several=inputs.several)


class StdoutWriter(StatelessWriter):
    """Results one after another on stdout; json as one document, headings between several txt."""

    def __init__(self, fmt: str, *, layout: Layout, several: bool) -> None:
        self.fmt, self.layout, self.several = fmt, layout, several
        self._n_written = 0
        self._columns = columns_of(sys.stdout) if fmt == "txt" else 0
        self._shown = ""  # of the result that comes next, what stands on the terminal already

    def check(self, one: PlannedInput) -> None:
        pass

    def write(self, one: PlannedInput, envelope: Envelope) -> None:
        from moss_cli.output.render import render

        if envelope.status == "error" and self.fmt not in ("json", "jsonl"):
            if self._shown:  # what stands on the terminal is no result; the error comes below it
                self._put("\n")
                self._shown = ""
            return
        text = render(envelope, self.fmt, self.layout)
        if self.fmt == "json" and self.several:
            text = (",\n" if self._n_written else "[\n") + text.rstrip("\n")
        elif self.fmt == "txt":
            text = self._heading(envelope.input.path if envelope.input else "") + folded(text, self._columns)
        elif self.fmt == "md" and self._n_written:
            text = "\n" + text
        self._n_written += 1
        shown, self._shown = self._shown, ""
        self._put(text.removeprefix(shown))

    @property
    def shows_text(self) -> bool:
        """Whether answers can be shown while they are decoded."""
        return self.fmt == "txt" and sys.stdout.isatty()

    def show(self, path: str, text: str) -> None:
        """Show what will stand of the next result's text: each time more of it, from its beginning."""
        text = one_line(text)
        if self._columns:
            text = folded(settled(text), self._columns)
        text = self._heading(path) + text
        if text.startswith(self._shown):
            self._put(text.removeprefix(self._shown))
            self._shown = text

    def _heading(self, path: str) -> str:
        blank = "\n" if self._n_written else ""
        return f"{blank}==> {printable(path)} <==\n" if self.several else ""

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


@contextlib.contextmanager
def _stdout_errors() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"standard output cannot be written: {error.strerror}") from error


class FileWriter(StatelessWriter):
    """One result in one file."""

    def __init__(self, path: Path, fmt: str, one: PlannedInput, *, layout: Layout, force: bool) -> None:
        self.path, self.fmt, self.layout, self.force = path, fmt, layout, force
        self._manifest = Manifest.load(path.parent)
        self.check(one)

    @property
    def _overwrite(self) -> bool:
        return self.force or self._manifest.line_of(self.path) is not None

    def outputs(self, one: PlannedInput) -> tuple[Path, ...]:
        return (self.path,)

    def check(self, one: PlannedInput) -> None:
        check_not_input(self.path, one)
        check_writable(self.path, overwrite=self._overwrite)

    def write(self, one: PlannedInput, envelope: Envelope) -> None:
        from moss_cli.output.render import render

        if envelope.status == "error":
            return
        data, overwrite = render(envelope, self.fmt, self.layout).encode(), self._overwrite
        is_plain = not self.path.is_symlink() and (self.path.is_file() or not self.path.exists())
        if is_plain:
            with contextlib.suppress(OutputError):  # without it, the next run will ask for --force
                self._manifest.announce({self.path: data})
        write_atomic(self.path, data, overwrite=overwrite)

    def finish(self) -> None:
        pass
