"""The questions of `moss ask` and their answers, kept for `--continue` in a file of the user's state folder.

A line of JSON each, text only. Runs that end at once append one after the other, under a lock. What cannot be read of
the file is left out, and what cannot be written is not kept: neither is a reason for a question to fail.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from moss_cli.answers import Turn
from moss_cli.settings import state_folder

MOST_BYTES = 1_000_000  # of the file; chosen: some thousand questions
KEPT_BYTES = 750_000  # of the newest questions, once it would become longer, so that it is not written anew each time
LONGEST_BYTES = 100_000  # of a question with its answer; a longer one is not kept
MOST_TURNS = 20  # that a question goes on from; chosen
MOST_TURN_CHARACTERS = 20_000  # of all of these; chosen: some 5,000 tokens, half of what is given without audio
_LOCK_S = 2.0  # that another run is waited for


@dataclass(frozen=True)
class KeptQuestion:
    """A question and its answer.

    `time`: ISO 8601, in UTC. `path`: the recording's absolute path, `-` for standard input, None without a recording.
    `asked_of`: the model as it was chosen, None for the default one. `goes_on`: from the question before it about the
    same recording. `heard`: options that say what of the recording was heard, by their names.
    """

    time: str
    path: str | None
    sha256: str | None
    model: str
    asked_of: str | None
    question: str
    answer: str
    goes_on: bool
    heard: dict[str, Any]

    @classmethod
    def from_json(cls, values: Any) -> KeptQuestion:
        """Raises ValueError, TypeError or KeyError for what is none."""
        one = cls(**{field.name: values[field.name] for field in fields(cls)})
        texts = (one.time, one.model, one.question, one.answer)
        maybe = (one.path, one.sha256, one.asked_of)
        if not all(isinstance(text, str) for text in texts) or not all(isinstance(t, str | None) for t in maybe):
            raise ValueError("not text")
        if not isinstance(one.goes_on, bool) or not isinstance(one.heard, dict):
            raise ValueError("not a question")
        return one

    @property
    def turn(self) -> Turn:
        return Turn(self.question, self.answer)


class History:
    """What is kept. `on_warning` is told of what cannot be read or written."""

    def __init__(self, on_warning: Callable[[str], None]) -> None:
        self.file = state_folder() / "questions.jsonl"
        self._on_warning = on_warning

    def read(self) -> list[KeptQuestion]:
        """All of it, the oldest first."""
        try:
            data = self._bytes()
        except OSError as error:
            self._on_warning(f"the history of questions cannot be read: {_reason(error, self.file)}")
            return []
        found, n_damaged = _questions(data)
        if n_damaged:
            what = "1 line" if n_damaged == 1 else f"{n_damaged} lines"
            message = f"{what} of {self.file} cannot be read and {'is' if n_damaged == 1 else 'are'} left out"
            self._on_warning(f"{message}; `moss ask --clear-history` begins it anew")
        return found

    def add(self, one: KeptQuestion) -> None:
        """Keep a question; of a history that has become too long the oldest go."""
        line = json.dumps(asdict(one)).encode() + b"\n"  # ASCII: names that are not UTF-8 keep their bytes as escapes
        if len(line) > LONGEST_BYTES:
            self._on_warning("the question is too long to be kept for --continue")
            return
        try:
            with self._locked():
                self._append(line)
        except OSError as error:
            self._on_warning(f"the question cannot be kept for --continue: {_reason(error, self.file)}")

    def forget(self, which: Callable[[KeptQuestion], bool]) -> int:
        """Forget some of it; the number of questions that are forgotten. Raises OSError where that cannot be done."""
        with self._locked():
            found, n_damaged = _questions(self._bytes())
            kept = [one for one in found if not which(one)]
            if kept:
                self._replace(b"".join(json.dumps(asdict(one)).encode() + b"\n" for one in kept))
            else:
                self.file.unlink(missing_ok=True)
        return len(found) - len(kept) + n_damaged

    def _bytes(self) -> bytes:
        try:
            descriptor = os.open(self.file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return b""
        with os.fdopen(descriptor, "rb") as file:
            _check_regular(descriptor)
            size = os.fstat(descriptor).st_size
            file.seek(max(0, size - 2 * MOST_BYTES))  # it never becomes so long by itself
            return file.read(2 * MOST_BYTES)

    def _append(self, line: bytes) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(self.file, flags, 0o600)
        try:
            _check_regular(descriptor)
            size = os.fstat(descriptor).st_size
            if size + len(line) > MOST_BYTES:
                self._replace(_newest(self._bytes(), KEPT_BYTES - len(line)) + line)
                return
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = b"\n" + line  # the last one was cut short, as by a power cut
            try:
                left = memoryview(line)
                while left:
                    left = left[os.pwrite(descriptor, left, size + len(line) - len(left)) :]
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)

    def _replace(self, data: bytes) -> None:
        descriptor, name = tempfile.mkstemp(dir=self.file.parent, prefix=f".{self.file.name}.")  # 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            Path(name).replace(self.file)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """No other run writes meanwhile. Raises OSError where one does not come to an end."""
        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = self.file.with_suffix(".lock")
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
        try:
            _lock(descriptor)
            yield
        finally:
            os.close(descriptor)


def conversation_of(questions: Sequence[KeptQuestion]) -> list[KeptQuestion]:
    """The last conversation of these: from its last question that goes on from no other."""
    found: list[KeptQuestion] = []
    for one in reversed(questions):
        found.insert(0, one)
        if not one.goes_on:
            break
    return found


def newest_turns(questions: Sequence[KeptQuestion]) -> tuple[Turn, ...]:
    """As many of the newest as a question may go on from."""
    found: list[Turn] = []
    n_characters = 0
    for one in reversed(questions[-MOST_TURNS:]):
        n_characters += len(one.question) + len(one.answer)
        if n_characters > MOST_TURN_CHARACTERS:
            break
        found.insert(0, one.turn)
    return tuple(found)


def _questions(data: bytes) -> tuple[list[KeptQuestion], int]:
    """The questions of a file, and how many of its lines are none."""
    found, n_damaged = [], 0
    for line in data.splitlines():
        try:
            found.append(KeptQuestion.from_json(json.loads(line)))
        except (ValueError, TypeError, KeyError, RecursionError):
            n_damaged += bool(line.strip())
    return found, n_damaged


def _newest(data: bytes, n_bytes: int) -> bytes:
    """The last whole lines of a file, so many bytes of them at most."""
    kept: list[bytes] = []
    for line in reversed(data.splitlines()):
        n_bytes -= len(line) + 1
        if n_bytes < 0:
            break
        kept.insert(0, line + b"\n")
    return b"".join(kept)


def _check_regular(descriptor: int) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise OSError(errno.ENXIO, "not a regular file")


def _lock(descriptor: int) -> None:
    until = time.monotonic() + _LOCK_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
        except OSError:  # a file system without locks
            return
        else:
            return


def _reason(error: OSError, file: Path) -> str:
    if isinstance(error, BlockingIOError):
        return "another run holds it"
    if isinstance(error, FileExistsError):
        return f"{file.parent} is not a folder"
    if error.errno in (errno.ENXIO, errno.ELOOP, errno.EISDIR):
        return f"{file} is not a regular file"
    return (error.strerror or str(error)).lower()
