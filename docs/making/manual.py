"""The manual pages: `moss.1`, and one for each command, in roff with the man macros."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from making.commands import CommandFacts, Option
from making.variables import FILES, VARIABLES
from moss_cli import __version__
from moss_cli.codes import EXIT_CODES


def all_manuals(root: CommandFacts) -> Mapping[str, str]:
    """The text of each manual page, by its name in man/."""
    pages = {f"moss-{one.words[0]}.1": _manual(one, root) for one in root.commands}
    return {"moss.1": _manual(root, root), **pages}


def _manual(command: CommandFacts, root: CommandFacts) -> str:
    title = "-".join(("moss", *command.words))
    lines = [
        '.\\" Made by `make reference` from the program; do not edit.',
        f'.TH "{title.upper()}" 1 "" "moss {__version__}" "moss"',
        ".SH NAME",
        f"{roff(title)} \\- {roff(_short(command.about[0]))}",
        ".SH SYNOPSIS",
        *_synopsis(command),
        ".SH DESCRIPTION",
        *_paragraphs(command.about),
    ]
    if command is root:
        lines += [".SH COMMANDS", *_items((f"moss-{one.words[0]}(1)", one.about[0]) for one in root.commands)]
    elif command.commands:
        lines += [".SH COMMANDS", *(line for one in command.commands for line in _subcommand(one))]
    lines += list(_arguments(command, ".SH"))
    if not command.commands or command is root:
        for panel, options in command.panels:
            lines += [f'.SH "{roff(panel if panel.endswith("ptions") else f"{panel} options").upper()}"']
            lines += [line for option in options for line in _option(option)]
    if command.examples:
        lines += [".SH EXAMPLES", *_examples(command)]
    if command is root:
        lines += [".SH EXIT STATUS", *_items((str(code), text) for code, text in EXIT_CODES.items())]
        lines += [".SH ENVIRONMENT", *_paragraphs([_OF_OPTIONS]), *_items(VARIABLES.items())]
        lines += [".SH FILES", *_items(FILES.items())]
        others = [f"moss-{one.words[0]}" for one in root.commands]
    else:
        lines += [".SH EXIT STATUS", "See", ".BR moss (1)."]
        others = ["moss"]
    lines += [".SH SEE ALSO", ",\n".join(f".BR {roff(name)} (1)" for name in others).replace(",\n", " ,\n")]
    return "\n".join(lines) + "\n"


_OF_OPTIONS = (
    "The variable of an option stands beside it. An option is set by the command line, else by its variable, else by "
    "config.toml, else by its default."
)


def _short(text: str) -> str:
    """A command's help as a line of `apropos`."""
    return text.rstrip(".")[:1].lower() + text.rstrip(".")[1:]


def roff(text: str) -> str:
    """Text as roff reads it: hyphens that can be copied, nothing taken for a request, code in bold."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    text = re.sub(r"`([^`]+)`", r"\\fB\1\\fR", text)
    return f"\\&{text}" if text.startswith((".", "'")) else text


def _paragraphs(texts: tuple[str, ...] | list[str]) -> Iterator[str]:
    for i, text in enumerate(texts):
        if i:
            yield ".PP"
        yield roff(text)


def _synopsis(command: CommandFacts) -> Iterator[str]:
    usages = [one.usage for one in command.commands] if command.commands and command.words else [command.usage]
    for i, usage in enumerate(usages):
        if i:
            yield ".br"
        name, *rest = usage.split(" [OPTIONS]", 1)
        yield f"\\fB{roff(name)}\\fR" + "".join(f" [OPTIONS]{roff(one)}" for one in rest)


def _items(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, text in rows:
        yield from (".TP", f"\\fB{roff(name)}\\fR", roff(text))


def _subcommand(command: CommandFacts) -> Iterator[str]:
    yield f'.SS "{roff(command.name)}"'
    yield from _paragraphs(command.about)
    yield from _arguments(command, ".PP")
    for option in command.options:
        yield from _option(option)
    if command.examples:
        yield from (".PP", "For example:")
        yield from _examples(command)


def _arguments(command: CommandFacts, heading: str) -> Iterator[str]:
    if not command.arguments:
        return
    if heading == ".SH":
        yield ".SH ARGUMENTS"
    for name, help in command.arguments:
        yield from (".TP", f"\\fI{roff(name)}\\fR", roff(help))


def _option(option: Option) -> Iterator[str]:
    names = ", ".join(f"\\fB{roff(name)}\\fR" for name in option.names)
    yield ".TP"
    yield names + (f" \\fI{roff(option.value)}\\fR" if option.value else "")
    more = [option.limits, f"default: {option.default}" if option.default else "", option.variable or ""]
    told = "; ".join(filter(None, more))
    yield roff(option.help) + (f" [{roff(told)}]" if told else "")


def _examples(command: CommandFacts) -> Iterator[str]:
    yield from (".RS 4", ".nf", *map(roff, command.examples), ".fi", ".RE")
