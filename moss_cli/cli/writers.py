"""Where results go: stdout, one file, or a folder."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from moss_cli.cli.inputs import GivenInputs
from moss_cli.cli.output_target import OutputTarget
from moss_cli.errors import OutputError
from moss_cli.folders.freshness import JobFingerprint, SkipStatus
from moss_cli.folders.manifest import Manifest
from moss_cli.folders.passes import Writer
from moss_cli.folders.writer import FolderWriter, Redo, check_not_input
from moss_cli.output.atomic import check_writable, write_atomic
from moss_cli.output.formats import TABLES
from moss_cli.output.layout import Layout
from moss_cli.output.links import Place
from moss_cli.output.screen import columns_of, folded, settled
from moss_cli.output.terminal import printable
from moss_cli.output.text import one_line
from moss_cli.run.inputs import Input
from moss_cli.run.journal import Journal, NoJournal
from moss_cli.schema import Envelope


class StatelessWriter:
    """What writers have in common that always make results anew."""

    resumes = False

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
        return NoJournal()


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
    if to.path is None:
        return StdoutWriter(to.formats[0], layout=layout, several=inputs.several)
    if to.is_folder:
        return FolderWriter(to.path, to.formats, inputs.inputs, job, layout=layout, redo=redo, on_warning=on_warning)
    return FileWriter(to.path, to.formats[0], inputs.inputs[0], layout=layout, force=redo.force)


class StdoutWriter(StatelessWriter):
    """Results one after another on stdout; json as one document, headings between several txt."""

    def __init__(self, fmt: str, *, layout: Layout, several: bool) -> None:
        self.fmt, self.layout, self.several = fmt, layout, several
        self._n_written = 0
        self._columns = columns_of(sys.stdout) if fmt == "txt" else 0
        self._shown = ""  # what is already on the terminal of the next result

    def check(self, one: Input) -> None:
        pass

    def write(self, one: Input, envelope: Envelope) -> None:
        from moss_cli.output.render import render

        if envelope.status == "error" and self.fmt not in ("json", "jsonl"):
            if self._shown:  # it is not a result; the error goes below it
                self._put("\n")
                self._shown = ""
            return
        text = render(envelope, self.fmt, self.layout, Place(is_alone=not self.several))
        if self.fmt == "json" and self.several:
            text = (",\n" if self._n_written else "[\n") + text.rstrip("\n")
        elif self.fmt == "txt":
            text = self._heading(envelope.input.path if envelope.input else "") + folded(text, self._columns)
        elif self.fmt == "md" and self._n_written:
            text = "\n" + text
        elif self.fmt in TABLES and self._n_written:
            text = text.split("\n", 1)[1]  # without the head: all results are one table
        self._n_written += 1
        shown, self._shown = self._shown, ""
        self._put(text.removeprefix(shown))

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
        raise OutputError(f"cannot write to standard output: {error.strerror}") from error


class FileWriter(StatelessWriter):
    """One result in one file."""

    def __init__(self, path: Path, fmt: str, one: Input, *, layout: Layout, force: bool) -> None:
        self.path, self.fmt, self.layout, self.force = path, fmt, layout, force
        self._manifest = Manifest.load(path.parent)
        self.check(one)

    @property
    def _overwrite(self) -> bool:
        return self.force or self._manifest.record_of(self.path) is not None

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
            with contextlib.suppress(OutputError):  # otherwise the next run will need --force
                self._manifest.announce({self.path: data})
        write_atomic(self.path, data, overwrite=overwrite)

    def finish(self) -> None:
        pass
