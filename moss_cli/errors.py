"""What can go wrong, and the exit code that says so."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of `moss`. They are part of the contract with scripts."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    INCOMPLETE = 3
    NO_AUDIO = 4
    MODEL = 5
    DEVICE = 6
    SCHEMA = 7
    INTERRUPTED = 130
    TERMINATED = 143


class MossError(Exception):
    """An expected failure: one line of what happened and, where there is one, what to do.

    `code` is a short machine-readable name (it stands in the JSON envelope of a failed input).
    """

    exit_code = ExitCode.FAILURE
    default_code = "failure"

    def __init__(self, message: str, *, hint: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code or self.default_code
        if hint is not None:
            self.add_note(f"hint: {hint}")  # in a traceback, as Python programs show it


class UsageError(MossError):
    """The command line asks for something that cannot be meant."""

    exit_code = ExitCode.USAGE
    default_code = "usage"


class OutputError(MossError):
    """A result could not be written."""

    exit_code = ExitCode.FAILURE
    default_code = "output"


class AudioError(MossError):
    """An input could not be read as audio."""

    exit_code = ExitCode.NO_AUDIO
    default_code = "audio"


class ModelError(MossError):
    """A checkpoint is missing or unreadable."""

    exit_code = ExitCode.MODEL
    default_code = "model"


class DeviceError(MossError):
    """A device is missing, or out of memory."""

    exit_code = ExitCode.DEVICE
    default_code = "device"


class AnswerError(MossError):
    """No answer could be made to fit its schema."""

    exit_code = ExitCode.SCHEMA
    default_code = "schema"


def no_working_directory() -> UsageError:
    """The error of a command that is run in a folder which has been removed."""
    return UsageError("the working directory has been removed", hint="cd to a folder that exists")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: also of the system's loader, while it mapped a library."""
    if not isinstance(error, (ImportError, OSError)):
        return isinstance(error, MemoryError)
    text = str(error).lower()  # glibc's loader gives a reason after it where it is another one
    return "cannot allocate memory" in text or text.endswith("failed to map segment from shared object")


def counted(n: int, noun: str) -> str:
    """A number with what it counts, for a message: `1 input`, `2 inputs`."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def amount(n_bytes: float) -> str:
    """Bytes for people: `10.5 GB`, `13.4 MB`, `1 kB`."""
    if n_bytes >= 1e9:
        return f"{n_bytes / 1e9:.1f} GB"
    return f"{n_bytes / 1e6:.1f} MB" if n_bytes >= 1e6 else f"{n_bytes / 1e3:.0f} kB"


def as_moss_error(error: Exception) -> MossError:
    """An expected failure as it is; any other as one of code "internal", with its cause, unless memory ran out."""
    if isinstance(error, MossError):
        return error
    if is_out_of_memory(error):
        failure: MossError = DeviceError("out of memory", code="out_of_memory", hint="try a shorter --chunk")
        failure.__cause__ = error
        return failure
    internal = MossError(f"{type(error).__name__}: {error}", code="internal")
    internal.__cause__ = error
    return internal
