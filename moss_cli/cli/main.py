"""The boundary: runs the command line, shows an error once, and turns it into an exit code."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType

from typer.exceptions import Abort, Exit, TyperException

from moss_cli.cli.console import Console
from moss_cli.errors import ExitCode, MossError

CLOSED_STDOUT = 141  # what a shell reports of a program that died of SIGPIPE


class Terminated(BaseException):
    """SIGTERM or SIGHUP arrived: unwinds like Ctrl-C, so that temporary files are removed."""


def run(argv: Sequence[str]) -> int:
    """Run one command and return its exit code. Never raises; never prints a traceback without --debug."""
    _replace_closed_streams()
    console = Console()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, _terminate)
    try:
        code = _run(argv, console)
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_unwritten()
        code = CLOSED_STDOUT
    except KeyboardInterrupt:
        code = _ended(console, "interrupted", ExitCode.INTERRUPTED)
    except Terminated:
        code = _ended(console, "terminated", ExitCode.TERMINATED)
    except MossError as error:
        code = _failed(console, error)
    except OSError as error:
        code = _failed(console, MossError(f"unexpected: {error.strerror or error}", hint="run again with --debug"))
        _forget_unwritten()
    except Exception as error:  # noqa: BLE001 - the last boundary: people get one line, --debug gives the rest
        what = f"unexpected {type(error).__name__}: {error}"
        code = _failed(console, MossError(what, hint="this should not happen; run again with --debug for the details"))
    finally:
        console.clear()
    return int(code)


def _run(argv: Sequence[str], console: Console) -> int:
    import typer

    from moss_cli.cli.app import app

    console.debug = "--debug" in argv
    if "_MOSS_COMPLETE" in os.environ:
        typer.completion.completion_init()
    try:
        result = typer.main.get_command(app).main(list(argv), prog_name="moss", standalone_mode=False, obj=console)
    except TyperException as error:
        raise _usage(error) from error
    except Exit as stop:
        return stop.exit_code
    except Abort:
        raise KeyboardInterrupt from None
    return int(result or 0)


def _usage(error: TyperException) -> MossError:
    from moss_cli.errors import UsageError

    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "moss"
    message = error.format_message() or "a command is missing"
    message = message[:1].lower() + message[1:].rstrip(".").replace(": Value error, ", ": ")
    return UsageError(message, hint=f"see `{path} --help`")


def _failed(console: Console, error: MossError) -> int:
    if console.debug:
        console.clear()
        traceback.print_exception(error.__cause__ or error.__context__ or error, file=console.stream)
    console.error(error)
    return error.exit_code


def _ended(console: Console, how: str, code: ExitCode) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # an impatient second Ctrl-C has nothing left to interrupt
    console.error(MossError(how))
    return code


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


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
