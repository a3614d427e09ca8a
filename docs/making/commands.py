"""The commands and their options, as the program declares them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer

from moss_cli.cli.app import app
from moss_cli.cli.config import options_of
from moss_cli.cli.help import OPTIONS, PANELS

_BRACKETS = re.compile(r"\s*\[((?:default: |required|env var: |x|[-\d.]+<)[^\]]*)\]$")
_RANGE = re.compile(r"(?:([-\d.]+)<=)?x(?:>=([-\d.]+))?(?:<=([-\d.]+))?")


@dataclass(frozen=True)
class Option:
    """One option. `value`: how its value is written, "" for a switch; `choices`: all that it can be, where there is
    a list. `default`: in words, "" for none; `limits`: of a number. `key`: in config.toml, None where it has none;
    `is_shared`: whether that may stand above the tables."""

    names: tuple[str, ...]
    value: str
    choices: tuple[str, ...]
    default: str
    limits: str
    help: str
    variable: str | None
    key: str | None
    is_shared: bool
    panel: str


@dataclass(frozen=True)
class CommandFacts:
    """One command. `words`: `("models", "pull")`, none for moss itself; `about`: its help, by paragraphs.
    `arguments`: names with what they are; `commands`: those below it."""

    words: tuple[str, ...]
    usage: str
    about: tuple[str, ...]
    arguments: tuple[tuple[str, str], ...]
    options: tuple[Option, ...]
    examples: tuple[str, ...]
    commands: tuple[CommandFacts, ...]

    @property
    def name(self) -> str:
        """`moss models pull`"""
        return " ".join(("moss", *self.words))

    @property
    def panels(self) -> Iterator[tuple[str, list[Option]]]:
        """The options by the headings of the help."""
        for panel in PANELS:
            found = [one for one in self.options if one.panel == panel]
            if found:
                yield panel, found


def all_commands() -> CommandFacts:
    """moss, with all that is below it."""
    root: Any = typer.main.get_command(app)
    return _facts(root, (), typer.Context(root, info_name="moss"), options_of(root))


def _facts(command: Any, words: tuple[str, ...], context: Any, keys: dict[str, dict[str, Any]]) -> CommandFacts:
    below = tuple(
        _facts(one, (*words, name), typer.Context(one, info_name=name, parent=context), keys)
        for name, one in getattr(command, "commands", {}).items()
        if not one.hidden
    )
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]  # without --help
    own_keys = {id(p): key for key, p in keys.get(words[0], {}).items()} if len(words) == 1 else {}
    return CommandFacts(
        words=words,
        usage=usage,
        about=tuple(" ".join(part.split()) for part in (command.help or "").split("\n\n")),
        arguments=tuple((_shown(p), p.help or "") for p in arguments),
        options=tuple(_option(p, context, own_keys) for p in options),
        examples=tuple((command.epilog or "").splitlines()) if not below else (),
        commands=below,
    )


def _shown(argument: Any) -> str:
    name: str = (argument.metavar or argument.name.upper()).strip("[.]")
    return name


def _option(option: Any, context: Any, own_keys: dict[int, str]) -> Option:
    signature, help = option.get_help_record(context)
    default, limits = "", ""
    while bracket := _BRACKETS.search(help):
        help = help[: bracket.start()]
        for part in bracket[1].split("; "):
            if part.startswith("default: "):
                default = part.removeprefix("default: ")
            elif match := _RANGE.fullmatch(part):
                limits = _limits(*match.groups())
            elif part == "required":
                limits = "required"
    is_switch = option.is_flag or bool(option.secondary_opts)
    if option.secondary_opts and option.default is not None:
        default = (option.opts if option.default else option.secondary_opts)[0]
    elif option.is_flag and not default:
        default = "" if option.is_eager else "off"
    choices = () if option.metavar or is_switch else _choices(signature)
    return Option(
        names=(*sorted(option.opts, key=lambda name: -len(name)), *option.secondary_opts),
        value="" if is_switch else option.metavar or ("|".join(choices) or "N"),
        choices=choices,
        default=default,
        limits=limits,
        help=" ".join(help.split()),
        variable=option.envvar,
        key=own_keys.get(id(option)),
        is_shared=bool(option.envvar),
        panel=getattr(option, "rich_help_panel", None) or OPTIONS,
    )


def _choices(signature: str) -> tuple[str, ...]:
    match = re.search(r"<([^>]*)>$", signature)
    return tuple(match[1].split("|")) if match and "range" not in match[1] and "|" in match[1] else ()


def _limits(low: str | None, at_least: str | None, high: str | None) -> str:
    low = low or at_least
    shown = [f"{float(one):g}" if one else None for one in (low, high)]
    if shown[0] and shown[1]:
        return f"from {shown[0]} to {shown[1]}"
    return f"at least {shown[0]}" if shown[0] else f"at most {shown[1]}"
