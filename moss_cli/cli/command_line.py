"""The command line as it was typed, and what it should have been, for the hints of errors."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

_ADDRESS = re.compile(r"auto|local|(?:[\w.-]+|\[[0-9a-fA-F:]+\]):\d{1,5}|ray://.*")  # of a Ray cluster
LONGEST = 300  # characters of a command that is shown whole; chosen: four lines of a terminal


@dataclass(frozen=True)
class CommandLine:
    """The words behind `moss`. Most methods give another command line."""

    words: tuple[str, ...] = ()

    def without(self, *names: str) -> CommandLine:
        """Without these options, `-o` and `--output` say, and their values, however these are attached."""
        return CommandLine(tuple(_kept(self.words, names)))

    def added(self, *words: str) -> CommandLine:
        """With these words at the end of the options."""
        return self._with_options(self.words, words)

    def replaced(self, old: str, *new: str) -> CommandLine:
        """With `new` in the place of a word, or of the value in `--option=value`."""
        words: list[str] = []
        for word in self.words:
            option, equals, value = word.partition("=")
            if equals and value == old and option.startswith("--") and len(new) == 1:
                words.append(f"{option}={new[0]}")
            else:
                words += new if word == old else (word,)
        return CommandLine(tuple(words))

    def asks_for_help(self) -> bool:
        """Whether `-h` or `--help` is among the options."""
        options = self.words[: self.words.index("--")] if "--" in self.words else self.words
        return "-h" in options or "--help" in options

    def _with_options(self, words: Sequence[str], options: Sequence[str]) -> CommandLine:
        end = words.index("--") if "--" in words else len(words)
        return CommandLine((*words[:end], *options, *words[end:]))

    def __str__(self) -> str:
        return shlex.join(["moss", *self.words])


def run_hint(line: CommandLine | str, otherwise: str = "") -> str:
    """The hint that gives a command to run; `otherwise` is what it comes down to, for a command that is long."""
    text = str(line)
    return f"run `{text}`" if not otherwise or len(text) <= LONGEST else otherwise


def with_ray_address(words: Sequence[str]) -> list[str]:
    """The words with `--ray=auto` for a `--ray` without an address: typer has no optional values."""
    found: list[str] = []
    for place, word in enumerate(words):
        if word == "--":
            return [*found, *words[place:]]
        following = words[place + 1] if place + 1 < len(words) else ""
        found.append("--ray=auto" if word == "--ray" and not _ADDRESS.fullmatch(following) else word)
    return found


def _kept(words: Sequence[str], names: Collection[str]) -> Iterator[str]:
    long = tuple(f"{name}=" for name in names if name.startswith("--"))
    short = tuple(name for name in names if not name.startswith("--"))
    rest = iter(words)
    for word in rest:
        if word == "--":
            yield word
            yield from rest
        elif word in names:
            next(rest, None)  # its value
        elif not (long and word.startswith(long)) and not (short and word.startswith(short)):
            yield word
