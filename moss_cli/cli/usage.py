"""What is wrong with a command line, in the field's words, and the command that was meant."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moss_cli.cli.command_line import CommandLine, run_hint
from moss_cli.cli.other_tools import COMMANDS, SUBCOMMANDS, VALUES, translated
from moss_cli.errors import UsageError

if TYPE_CHECKING:
    from typer.exceptions import TyperException

_SURE = 0.75  # likeness of an option's name from which it is suggested; chosen: `--overwrite` is not `--verbose`
_CHOICES = re.compile(r"'(.*)' is not one of (.*)", re.DOTALL)
_KINDS = {"integer": "a whole number", "number": "a number", "boolean": "true or false"}
_EXTRA = re.compile(r"unexpected extra arguments?(?:\(s\))? \((.*)\)")
_BOUND = re.compile(r"should be (less|greater) than or equal to (\S+)")


def usage_error(error: TyperException, root: Any, typed: CommandLine) -> UsageError:
    """The error of the parser as one of ours. `root`: all commands; `typed`: what was typed."""
    command, path = _command_of(root, typed.words)
    wrong_option = getattr(error, "option_name", None)
    message = getattr(error, "message", "") if wrong_option else error.format_message()
    message = message.partition(" Did you mean")[0] or "a command is missing"
    if hasattr(error, "possibilities"):
        better = _without_wrong_option(root, command, str(wrong_option), typed)
    elif wrong_option:  # one without its value, or with one that it does not take
        better = _without_value(str(wrong_option), typed) if "does not take" in message else None
    elif extra := _EXTRA.search(message):
        message = f"there is nothing to do with {extra[1]}"
        better = CommandLine(tuple(word for word in typed.words if word not in extra[1].split()))
    elif hasattr(command, "commands"):
        better = _right_command(command, root, typed)
    else:
        message, better = _right_value(error, message, typed)
    message = message[:1].lower() + message[1:].rstrip(".")
    if better == typed:  # the wrong value stands elsewhere: the same command would fail again
        better = None
    hint = run_hint(better, f"see `{path} --help`") if better else f"see `{path} --help`"
    return UsageError(message + _origin(error), hint=hint)


def _command_of(root: Any, words: Sequence[str]) -> tuple[Any, str]:
    """The command that the first words name, as far as they do, and how it is called."""
    command, path = root, ["moss"]
    for word in words:
        if word not in getattr(command, "commands", {}):
            break
        command = command.commands[word]
        path.append(word)
    return command, " ".join(path)


def _options_of(command: Any) -> list[str]:
    return ["-h", "--help", *(name for param in command.params for name in (*param.opts, *param.secondary_opts))]


def _without_wrong_option(root: Any, command: Any, wrong: str, typed: CommandLine) -> CommandLine | None:
    if hasattr(command, "commands"):
        return _with_options_last(root, typed) if command is root else None
    options = _options_of(command)
    if f"{wrong}s" in options:
        return CommandLine(tuple(re.sub(f"^{re.escape(wrong)}(?=$|=)", f"{wrong}s", word) for word in typed.words))
    better = _without_those_of_other_tasks(root, options, CommandLine(tuple(translated(typed.words, options))))
    if better != typed:
        return better
    nearest = get_close_matches(wrong, [name for name in options if name.startswith("--")], 1, _SURE)
    return typed.replaced(wrong, nearest[0]) if nearest else None


def _without_those_of_other_tasks(root: Any, options: Sequence[str], typed: CommandLine) -> CommandLine:
    """The command line without the options that only other commands have."""
    better = typed
    for word in typed.words[: typed.words.index("--") if "--" in typed.words else None]:
        name = word.partition("=")[0]
        if not name.startswith("--") or name in options:
            continue
        elsewhere = _of_another_task(root, name)
        if elsewhere is not None:
            takes_value = not (elsewhere.is_flag or elsewhere.secondary_opts)
            better = better.without(name) if takes_value else better.replaced(name)
    return better


def _of_another_task(root: Any, option: str) -> Any:
    """The option of this name that another command has, or None."""
    commands = [one for one in root.commands.values() if not hasattr(one, "commands")]
    found = (one for command in commands for one in command.params if one.param_type_name == "option")
    return next((one for one in found if option in (*one.opts, *one.secondary_opts)), None)


def _with_options_last(root: Any, typed: CommandLine) -> CommandLine | None:
    """Options in front of the command go behind it, and stand for `transcribe` where there is none."""
    at = next((i for i, word in enumerate(typed.words) if word in root.commands), None)
    if at is None and not any(map(_is_input, typed.words)):
        return None
    words = typed.words if at is None else (*typed.words[at:], *typed.words[:at])
    words = ("transcribe", *words) if at is None else words
    command = root.commands[words[0]]
    if hasattr(command, "commands"):
        return None
    return CommandLine(tuple(translated(words, _options_of(command))))


def _without_value(option: str, typed: CommandLine) -> CommandLine:
    return CommandLine(tuple(option if word.startswith(f"{option}=") else word for word in typed.words))


def _right_command(group: Any, root: Any, typed: CommandLine) -> CommandLine | None:
    """The command line with the command that was meant."""
    at = 0 if group is root else 1
    word = typed.words[at] if len(typed.words) > at else ""
    known = COMMANDS if group is root else SUBCOMMANDS.get(typed.words[0], {})
    nearest = known.get(word) or tuple(get_close_matches(word, group.commands, 1))
    if nearest:
        return _with_command(group, nearest, typed, at)
    if group is root and _is_input(word):
        return CommandLine(tuple(translated(("transcribe", *typed.words), _options_of(root.commands["transcribe"]))))
    return None


def _with_command(group: Any, words: Sequence[str], typed: CommandLine, at: int) -> CommandLine:
    """The command line with other words for its command; with `--help` where that needs more than there is."""
    command, rest = group.commands.get(words[0]), typed.words[at + 1 :]
    arguments = [one for one in getattr(command, "params", ()) if one.param_type_name == "argument"]
    if any(one.required for one in arguments) and not rest:
        rest = ("--help",)
    elif at and command is not None and words == ("show",) and typed.words[0] == "config":
        rest = ()  # shows all: that takes a command, where others take a key
    return CommandLine((*typed.words[:at], *words, *rest))


def _is_input(word: str) -> bool:
    from moss_cli.audio.find import is_audio_name

    return word == "-" or "://" in word or os.path.exists(word) or is_audio_name(Path(word))  # noqa: PTH110


def _right_value(error: TyperException, message: str, typed: CommandLine) -> tuple[str, CommandLine | None]:
    """What is said of a value that cannot be, and the command line with one that can."""
    parameter, said = getattr(error, "param", None), getattr(error, "message", "").removeprefix("Value error, ")
    message = message.replace("Value error, ", "")
    if parameter is None or not said:
        return message, None
    message = message.replace(said, in_words(said))
    if choices := choices_of(said):
        return message, _with_choice(parameter.name, said[1 : said.index("' is not")], choices, typed)
    if bound := bound_of(said):
        return message, typed.without(*parameter.opts).added(max(parameter.opts, key=len), bound)
    return message, None


def in_words(said: str) -> str:
    """What the parser says of a value, as we say it: `it must be at least 0`."""
    said = said.removeprefix("Value error, ").rstrip(".")
    if match := _BOUND.search(said):
        return f"it must be at {'most' if match[1] == 'less' else 'least'} {match[2]}"
    kind = next((shown for kind, shown in _KINDS.items() if f"valid {kind}" in said), None)
    return f"it must be {kind}" if kind else said.replace("Input should be", "it must be")


def choices_of(said: str) -> list[str]:
    """The choices there are, where the parser says that a value is none of them."""
    match = _CHOICES.fullmatch(said.removeprefix("Value error, ").rstrip("."))
    return re.findall(r"'([^']*)'", match[2]) if match else []


def bound_of(said: str) -> str | None:
    """The bound that a number is beyond, where the parser says so."""
    match = _BOUND.search(said)
    return match[2] if match else None


def _with_choice(name: str, value: str, choices: Sequence[str], typed: CommandLine) -> CommandLine | None:
    if name == "format":
        from moss_cli.cli.output_target import nearest_format

        several = [one for one in value.split(",") if one in choices]
        if len(several) > 1:
            options = [word for one in several for word in ("-f", one)]
            line = typed.without("-f", "--format").added(*options)
            has_output = any(word.startswith(("-o", "--output")) for word in typed.words)
            return line if has_output else line.added("-o", "out/")
        nearest = nearest_format(value, typed.words[0] if typed.words else "transcribe")
    else:
        nearest = VALUES.get(name, {}).get(value.lower()) or nearest_of(value, choices)
    return typed.replaced(value, nearest) if nearest else None


def nearest_of(value: str, choices: Iterable[str]) -> str | None:
    """The choice that somebody means who writes `value`, where that can be told."""
    return next(iter(get_close_matches(value.lower(), list(choices), 1)), None)


def _origin(error: TyperException) -> str:
    """Where the value that is wrong was set, if not on the command line."""
    context, parameter = getattr(error, "ctx", None), getattr(error, "param", None)
    if context is None or parameter is None:
        return ""
    source = context.get_parameter_source(parameter.name)
    return f" (set by {parameter.envvar})" if source is not None and source.name == "ENVIRONMENT" else ""
