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
    console = Console()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminate)
    try:
        code = _run(argv, console)
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_stdout()
        code = CLOSED_STDOUT
    except KeyboardInterrupt:
        code = _ended(console, "interrupted", ExitCode.INTERRUPTED)
    except Terminated:
        code = _ended(console, "terminated", ExitCode.TERMINATED)
    except MossError as error:
        code = _failed(console, error)
    except OSError as error:
        code = _failed(console, MossError(f"unexpected: {error.strerror or error}", hint="run again with --debug"))
    except Exception as error:  # noqa: BLE001 - the last boundary: people get one line, --debug gives the rest
        what = f"unexpected {type(error).__name__}: {error}"
        code = _failed(console, MossError(what, hint="this should not happen; run again with --debug for the details"))
    finally:
        console.clear()
    return int(code)


def _run(argv: Sequence[str], console: Console) -> int:
    import typer

    from moss_cli.cli.app import app
    from moss_cli.settings import user_defaults

    command = typer.main.get_command(app)
    console.debug = "--debug" in argv
    try:
        result = command.main(
            list(argv),
            prog_name="moss",
            standalone_mode=False,
            obj=console,
            default_map=_default_map(command, user_defaults()),
        )
    except TyperException as error:
        raise _usage(error) from error
    except Exit as stop:
        return stop.exit_code
    except Abort:
        raise KeyboardInterrupt from None
    return int(result or 0)


def _default_map(command: object, defaults: dict[str, object]) -> dict[str, object]:
    """config.toml as click wants it: what holds for all commands is given to each of them."""
    shared = {key: value for key, value in defaults.items() if not isinstance(value, dict)}
    tables = {key.replace("_", "-"): value for key, value in defaults.items() if isinstance(value, dict)}
    names = getattr(command, "commands", {})
    return {name: {**shared, **tables.get(name, {})} for name in names}


def _usage(error: TyperException) -> MossError:
    from moss_cli.errors import UsageError

    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "moss"
    message = error.format_message() or "a command is missing"
    message = message[:1].lower() + message[1:].rstrip(".")
    return UsageError(message, hint=f"see `{path} --help`")


def _failed(console: Console, error: MossError) -> int:
    if console.debug:
        console.clear()
        traceback.print_exception(error.__cause__ or error.__context__ or error, file=console.stream)
    console.error(error)
    return error.exit_code


def _ended(console: Console, how: str, code: ExitCode) -> int:
    console.error(MossError(how))
    return code


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


def _forget_stdout() -> None:
    """Keep the interpreter from flushing into the closed pipe once more on its way out."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
