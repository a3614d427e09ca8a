"""The boundary: runs the command line, shows an error once, and turns it into an exit code.

Little is imported here, so that a Ctrl-C finds its handler in place from the first moments on.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from copy import copy
from types import FrameType
from typing import TYPE_CHECKING

from moss_cli.cli.command_line import CommandLine, with_ray_address
from moss_cli.cli.console import Console
from moss_cli.errors import (
    ExitCode,
    MossError,
    OutputError,
    as_moss_error,
    is_out_of_memory,
    no_working_directory,
)

if TYPE_CHECKING:
    from typer import Typer

    from moss_cli.backends.opening import OpenBackend

CLOSED_STDOUT = 141  # what a shell reports of a program that died of SIGPIPE

_STREAM_ERRORS = (errno.EBADF, errno.ENOSPC, errno.EDQUOT, errno.EIO)


class Signalled(BaseException):
    """SIGINT, SIGTERM or SIGHUP arrived: unwinds, so that temporary files are removed."""


class Signals:
    """Raises `Signalled`, and remembers what came: numpy and torch, interrupted while they load, raise anything."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._numbers = [
            number
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
            if signal.getsignal(number) != signal.SIG_IGN  # as under nohup
        ]
        for number in self._numbers:
            signal.signal(number, self._raise)

    def _raise(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        raise Signalled

    def check(self) -> None:
        """Raise `Signalled` once more if a library has swallowed it, or made another error of it."""
        if self.received is not None:
            raise Signalled

    def ignore(self) -> None:
        """For the last steps, in which an impatient second Ctrl-C has nothing left to interrupt."""
        for number in self._numbers:
            signal.signal(number, signal.SIG_IGN)


def run(argv: Sequence[str], *, open_backend: OpenBackend | None = None) -> int:
    """Run one command and return its exit code. Never raises; never prints a traceback without --debug.

    `open_backend` takes the place of the usual backends, for tests.
    """
    signals = Signals()
    _replace_closed_streams()
    console = Console()
    console.check_stop = signals.check
    console.open_backend = open_backend
    console.typed = CommandLine(tuple(argv))
    try:
        code = _run(argv, console)
        sys.stdout.flush()
    except (Exception, Signalled) as error:  # noqa: BLE001 - the last boundary
        code = 0 if signals.received else _failed(console, error)
    if signals.received:
        signals.ignore()
        code = _ended(console, signals.received)
    console.clear()
    return int(code)


def _run(argv: Sequence[str], console: Console) -> int:
    import typer
    from typer.exceptions import Abort, Exit, TyperException

    from moss_cli.cli.app import app

    console.debug = "--debug" in argv
    root = typer.main.get_command(_only(argv, app))
    if shell := os.environ.get("_MOSS_COMPLETE"):
        from moss_cli.cli.completion.reply import reply

        sys.stdout.write(reply(root, shell, argv))
        return ExitCode.OK
    try:
        result = root.main(with_ray_address(argv), prog_name="moss", standalone_mode=False, obj=console)
    except TyperException as error:
        from moss_cli.cli.usage import usage_error

        raise usage_error(error, typer.main.get_command(app), console.typed) from error
    except Exit as stop:
        return stop.exit_code
    except Abort:
        return ExitCode.INTERRUPTED
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):
            raise stop.__context__ from None
        return int(stop.code or 0)
    return int(result or 0)


def _only(argv: Sequence[str], app: Typer) -> Typer:
    """The commands, of which a task that is called is enough, unless completion or config.toml may ask for others:
    to make all of them takes a tenth of a second."""
    from moss_cli.settings import config_path
    from moss_cli.tasks.catalogue import TASKS

    called = [info for info in app.registered_commands if argv and info.name == argv[0] in TASKS]
    if not called or "_MOSS_COMPLETE" in os.environ or os.path.lexists(config_path()):
        return app
    alone = copy(app)
    alone.registered_commands, alone.registered_groups = called, []
    return alone


def _failed(console: Console, error: BaseException) -> int:
    if isinstance(error, BrokenPipeError):
        _forget_unwritten()
        return CLOSED_STDOUT
    if console.debug:
        console.clear()
        traceback.print_exception(error.__cause__ or error.__context__ or error, file=console.stream)
    shown = error if isinstance(error, MossError) else _unexpected(error)
    console.error(shown)
    _forget_unwritten()
    return shown.exit_code


def _unexpected(error: BaseException) -> MossError:
    """People get one line; --debug gives the rest."""
    if isinstance(error, OSError) and error.errno in _STREAM_ERRORS and error.filename is None:
        return OutputError(f"cannot write to standard output: {error.strerror}")
    if isinstance(error, FileNotFoundError) and not _has_working_directory():
        return no_working_directory()
    if is_out_of_memory(error):
        return as_moss_error(MemoryError())
    what = f"unexpected {type(error).__name__}: {error}"
    return MossError(what, hint="this is a bug; run again with --debug for details")


def _has_working_directory() -> bool:
    try:
        os.getcwd()  # noqa: PTH109 - Path.cwd does the same
    except OSError:
        return False
    return True


def _ended(console: Console, number: int) -> int:
    interrupted = number == signal.SIGINT
    console.error(MossError("interrupted" if interrupted else "terminated", hint=console.when_stopped))
    return ExitCode.INTERRUPTED if interrupted else ExitCode.TERMINATED


def _forget_unwritten() -> None:
    """Keep the interpreter from flushing what stdout did not take once more on its way out."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _replace_closed_streams() -> None:
    """Put something in the place of a stdin, stdout or stderr that was closed, which the next file would get.

    A null device open the wrong way round: reading and writing fail. Only messages may go nowhere.
    """
    for name, flags, mode in (("stdin", os.O_WRONLY, "r"), ("stdout", os.O_RDONLY, "w"), ("stderr", os.O_WRONLY, "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.open(os.devnull, flags), mode, encoding="utf-8"))  # noqa: PTH123, SIM115
