"""Whether the command that a check prints is one that there is."""

from __future__ import annotations

import shlex
import sys

from typer.main import get_command

from moss_cli.cli.app import app

SHELL = {"export", "unset", "mkdir", "rm", "nvidia-smi", "${EDITOR:-vi}", "pipx"}


def is_command(fix: str | None) -> bool:
    """A command of moss with its arguments, pip of this Python, or one of the shell's."""
    return bool(fix) and all(_exists(shlex.split(one)) for one in str(fix).split(" && "))


def _exists(words: list[str]) -> bool:
    if words[:4] == [sys.executable, "-m", "pip", "install"]:
        return len(words) > 4
    if words[:5] == ["uv", "pip", "install", "--python", sys.executable]:
        return len(words) > 5
    if words[0] != "moss":
        return words[0] in SHELL and len(words) > (words[0] != "nvidia-smi")
    words = words[1 : words.index(">") if ">" in words else None]
    command = get_command(app)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    command.make_context("moss", list(words))  # raises for arguments that it does not take
    return True
