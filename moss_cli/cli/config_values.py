"""Whether an option can have a value that somebody wrote into config.toml."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from moss_cli.api.options import as_flag, channel_of
from moss_cli.cli.command_line import run_hint
from moss_cli.cli.other_tools import VALUES
from moss_cli.cli.usage import bound_of, choices_of, in_words, nearest_of
from moss_cli.errors import UsageError
from moss_cli.settings import parse_time
from moss_cli.tasks.catalogue import TASKS


def _time(text: str) -> None:
    parse_time(text)


def _device(text: str) -> None:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]{1,3})?", text):
        raise UsageError(f"no such device: {text}", hint="write auto, cuda, cuda:N, mps or cpu")


def _auto_or_number(text: str) -> None:
    if text != "auto" and not re.fullmatch("0*[1-9][0-9]*", text):
        raise UsageError(f"{text} is neither auto nor a positive number", hint="write auto, or a number")


def _channel(text: str) -> None:
    channel_of(text, as_flag)


def _tasks(text: str) -> None:
    for task in text.split(","):
        if task.strip() not in (*TASKS, "all"):
            raise UsageError(f"no such task: {task.strip()}", hint=f"there are {', '.join(TASKS)}")


_TEXTS: dict[str, Callable[[str], None]] = {
    "TIME": _time,
    "DEVICE": _device,
    "auto|N": _auto_or_number,
    "mix|left|right|N|each": _channel,
    "TASK,...": _tasks,
}  # by metavar


def check_value(command: Any, option: Any, name: str, value: Any) -> Any:
    """`value` as the option of a command has it. Raises UsageError; `name` is its key, `ask.seed` say."""
    from typer.exceptions import TyperException

    if _is_wrong_kind(option, value):
        kind = "text, or a list of texts" if option.multiple else "true or false" if option.is_flag else "one value"
        raise UsageError(f"{name}: it must be {kind}", hint=f"see `moss {command.name} --help`")
    listed = [value] if option.multiple and not isinstance(value, list) else value
    try:
        checked = option.process_value(_context(command), listed)
    except TyperException as error:
        said = getattr(error, "message", "").removeprefix("Value error, ")
        raise UsageError(f"{name}: {in_words(said)}", hint=_hint(command, option, name, value, said)) from error
    if isinstance(checked, float) and not math.isfinite(checked):
        raise UsageError(f"{name}: it must be a number, and not {value}", hint=f"see `moss {command.name} --help`")
    for text in checked if isinstance(checked, (list, tuple)) else (checked,):
        if isinstance(text, str) and option.metavar in _TEXTS:
            try:
                _TEXTS[option.metavar](text)
            except UsageError as error:
                raise UsageError(f"{name}: {error.message}", hint=error.hint) from error
    return checked


def _context(command: Any) -> Any:
    import typer

    return typer.Context(command, info_name=command.name)


def _is_wrong_kind(option: Any, value: Any) -> bool:
    """Whether it is of a kind that the parser would make a text of: `model = true`."""
    items = value if isinstance(value, list) and option.multiple else [value]
    if any(isinstance(item, (dict, list)) for item in items):
        return True
    return not option.is_flag and any(isinstance(item, bool) for item in items)


def _hint(command: Any, option: Any, name: str, value: Any, said: str) -> str:
    choices = choices_of(said)
    known = VALUES.get(option.name, {}).get(str(value).lower())  # as other tools call it
    better = known if known in choices else nearest_of(str(value), choices) or bound_of(said)
    return run_hint(f"moss config set {name} {better}") if better else f"see `moss {command.name} --help`"
