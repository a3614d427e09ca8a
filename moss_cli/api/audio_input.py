"""What can be analysed from Python: paths, bytes and file objects."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from copy import copy
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import BinaryIO

from moss_cli.audio.source import printable
from moss_cli.errors import OutputError, UsageError
from moss_cli.run.inputs import STDIN, Input
from moss_cli.run.job import Outcome

AudioInput = str | PathLike[str] | bytes | bytearray | BinaryIO

UNNAMED = str(STDIN)  # the path in the envelope of what has none


def is_one(audio: object) -> bool:
    """Whether it is one input, and not several."""
    return isinstance(audio, (str, PathLike, bytes, bytearray)) or hasattr(audio, "read")


def several(audio: object) -> Iterable[AudioInput]:
    """What is not one input as several. Raises UsageError for what is neither."""
    if not isinstance(audio, Iterable):
        raise _no_input(audio)
    return audio


def _no_input(one: object) -> UsageError:
    return UsageError(f"{type(one).__name__} is no input", hint="give a path, bytes or a binary file object")


class Spool:
    """Inputs for a run. Bytes and file objects are put into temporary files, which are removed with their outcome, or
    when the spool is closed."""

    def __init__(self) -> None:
        self._files: dict[Input, ExitStack] = {}

    def inputs(self, audio: Iterable[AudioInput]) -> Iterator[Input]:
        """The inputs, one by one as they are wanted. Raises UsageError for what cannot be one."""
        for one in audio:
            yield self._input(one)

    def _input(self, one: AudioInput) -> Input:
        if isinstance(one, (str, PathLike)):
            if not str(one):
                raise UsageError("an input name is empty")
            path = Path(one)
            return Input(path.absolute() if path == STDIN else path)  # stdin is a file object here
        if not is_one(one):
            raise _no_input(one)
        return self._spooled(io.BytesIO(one) if isinstance(one, (bytes, bytearray)) else one)

    def _spooled(self, stream: BinaryIO) -> Input:
        with ExitStack() as stack:
            try:
                file = stack.enter_context(tempfile.NamedTemporaryFile(prefix="moss-"))
                shutil.copyfileobj(stream, file)
                file.flush()
            except TypeError as error:  # text is no bytes
                raise UsageError("the file object gives no bytes", hint="open the file with mode 'rb'") from error
            except OSError as error:
                hint = "set TMPDIR to a folder with more space"
                raise OutputError(f"the audio cannot be stored: {error.strerror or error}", hint=hint) from error
            spooled = Input(Path(file.name))
            self._files[spooled] = stack.pop_all()
        return spooled

    def named(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """All outcomes of one input as they are told of: without the name of a temporary file, which is removed."""
        stack = self._files.pop(outcomes[0].input, None)
        if stack is None:
            return list(outcomes)
        stack.close()
        return [_without_name(one) for one in outcomes]

    def close(self) -> None:
        """Remove all temporary files."""
        while self._files:
            self._files.popitem()[1].close()


def _without_name(outcome: Outcome) -> Outcome:
    own, error, found = printable(outcome.input.path), outcome.error, outcome.envelope
    changes: dict[str, object] = {"input": found.input and found.input.model_copy(update={"path": UNNAMED})}
    if error is not None:
        error = copy(error)
        error.message = error.message.replace(own, "the audio")
        error.args = (error.message,)
        changes["error"] = found.error and found.error.model_copy(update={"message": error.message})
    return replace(outcome, envelope=found.model_copy(update=changes), error=error)
