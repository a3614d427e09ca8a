"""What can stand at the cursor of a command line: words, files, or both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import typer


class FileKind(StrEnum):
    """Which files a shell offers beside the words."""

    NONE = "none"
    AUDIO = "audio"
    FILES = "files"
    FOLDERS = "folders"


@dataclass(frozen=True)
class Candidates:
    """What can stand at the cursor.

    `words`: each as the whole word on the command line, with what it means. `files`: the files that can stand there
    as well, behind the first `n_before` characters of the word, which are no part of a path: `--output=`, `@`.
    """

    words: tuple[tuple[str, str], ...] = ()
    files: FileKind = FileKind.NONE
    n_before: int = 0


FILES_OF = {  # by metavar
    "INPUT": FileKind.AUDIO,
    "INPUT...": FileKind.AUDIO,
    "AUDIO": FileKind.AUDIO,
    "FILE": FileKind.FILES,
    "PATH": FileKind.FILES,
    "LIST": FileKind.FILES,
    "FOLDER": FileKind.FOLDERS,
    "DIR": FileKind.FOLDERS,
}
TEXT_OR_FILE = "TEXT|@FILE"


def candidates(root: Any, words: Sequence[str]) -> Candidates:
    """What can stand in the place of the last of `words`, which are those behind `moss` down to the cursor."""
    *before, typed = words or ("",)
    command, context = root, typer.Context(root, info_name="moss")
    while before and before[0] in getattr(command, "commands", {}):
        name = before.pop(0)
        command = command.commands[name]
        context = typer.Context(command, info_name=name, parent=context)
    line = _Line(command)
    for word in before:
        line.read(word)
    context.args = line.arguments  # for callbacks that complete one argument by those before it
    if line.awaiting is not None:
        return _value(context, line.awaiting, typed, "")
    if not line.is_past_options and typed.startswith("-") and typed != "-":
        return _option(context, line, typed)
    if hasattr(command, "commands"):
        if line.arguments:  # a command that there is not
            return Candidates()
        shown = ((name, one.get_short_help_str(100)) for name, one in command.commands.items() if not one.hidden)
        return Candidates(_beginning(typed, shown))
    argument = line.next_argument()
    return Candidates() if argument is None else _value(context, argument, typed, "")


class _Line:
    """The words in front of the cursor, read one by one: the options given, the arguments, what still needs a value."""

    def __init__(self, command: Any) -> None:
        self.options = {name: p for p in _options(command) for name in (*p.opts, *p.secondary_opts)}
        self.places = [p for p in command.params if p.param_type_name == "argument"]
        self.arguments: list[str] = []
        self.given: list[Any] = []
        self.awaiting: Any = None  # the option whose value comes next
        self.is_past_options = False  # behind `--`

    def read(self, word: str) -> None:
        """Take one word in."""
        if self.awaiting is not None:
            self.awaiting = None
        elif self.is_past_options or not word.startswith("-") or word == "-":
            self.arguments.append(word)
        elif word == "--":
            self.is_past_options = True
        else:
            self._read_option(word)

    def _read_option(self, word: str) -> None:
        names = [word.partition("=")[0]] if word.startswith("--") else [f"-{letter}" for letter in word[1:]]
        for i, name in enumerate(names):
            option = self.options.get(name)
            if option is None:
                return
            self.given.append(option)
            if takes_value(option):
                is_alone = "=" not in word if word.startswith("--") else i == len(names) - 1
                self.awaiting = option if is_alone else None
                return

    def next_argument(self) -> Any:
        """The argument at the cursor; None behind the last."""
        n = len(self.arguments)
        last = self.places[-1] if self.places and self.places[-1].nargs == -1 else None
        return self.places[n] if n < len(self.places) else last


def takes_value(option: Any) -> bool:
    """Whether a word belongs to the option: it is no switch."""
    return not option.is_flag and not option.secondary_opts


def _options(command: Any) -> Iterator[Any]:
    context = typer.Context(command)
    for param in command.get_params(context):  # with --help
        if param.param_type_name == "option" and not param.hidden:
            yield param


def _option(context: Any, line: _Line, typed: str) -> Candidates:
    """The names of options that begin so, or the value of one, written behind it without a space."""
    name, equals, value = typed.partition("=")
    if typed.startswith("--") and equals:
        option = line.options.get(name)
        return _value(context, option, value, f"{name}=") if option and takes_value(option) else Candidates()
    option = line.options.get(typed[:2])
    if not typed.startswith("--") and len(typed) > 2 and option and takes_value(option):
        return _value(context, option, typed[2:], typed[:2])
    left = (one for one in dict.fromkeys(line.options.values()) if one.multiple or one not in line.given)
    shown = ((name, _first_line(one.help)) for one in left for name in (*one.opts, *one.secondary_opts))
    return Candidates(_beginning(typed, shown))


def _value(context: Any, param: Any, typed: str, before: str) -> Candidates:
    """The values of an option or argument. `before`: what of the word is in front of them."""
    metavar = (param.metavar or "").strip("[]")
    items = [(item.value, item.help or "") for item in param.shell_complete(context, typed)]
    words = tuple((before + value, help) for value, help in items)
    if metavar == TEXT_OR_FILE:
        files, before = (FileKind.FILES, f"{before}@") if typed.startswith("@") else (FileKind.NONE, before)
    elif param.name in ("model", "name") and "/" in typed:
        files = FileKind.FOLDERS  # a checkpoint of one's own
    else:
        files = FILES_OF.get(metavar, FileKind.NONE)
    return Candidates(words, files, len(before))


def _beginning(typed: str, words: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((word, help) for word, help in words if word.startswith(typed))


def _first_line(text: str | None) -> str:
    """An option's help in a line, without its default."""
    return " ".join((text or "").partition(" [default:")[0].split())
