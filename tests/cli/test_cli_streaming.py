"""Answers shown on a terminal while they are decoded."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import pytest
from scripted_backend import ScriptedBackend, opening

from moss_cli.cli.main import run

WEATHER = str(Path(__file__).parents[2] / "samples" / "weather.wav")
SAID = '{"answer": "It rains [all day] long.", "evidence": []}'


def plain(descriptor: int) -> None:
    """Let a terminal leave line ends as they are."""
    modes = termios.tcgetattr(descriptor)
    modes[1] &= ~termios.OPOST
    termios.tcsetattr(descriptor, termios.TCSANOW, modes)


@dataclass(frozen=True)
class Screen:
    """A terminal: what is written to `stream` is read from its other end."""

    stream: TextIO
    other_end: int

    def look(self) -> str:
        """What has come since the last look."""
        try:
            return os.read(self.other_end, 65536).decode()
        except BlockingIOError:
            return ""


@pytest.fixture
def screen() -> Iterator[Screen]:
    master, slave = pty.openpty()
    plain(slave)
    os.set_blocking(master, False)
    with os.fdopen(slave, "w", encoding="utf-8") as stream:
        yield Screen(stream, master)
    os.close(master)


@pytest.fixture
def backend() -> ScriptedBackend:
    """Says SAID, three characters at a time."""
    return ScriptedBackend(lambda request, n: SAID, pace=3)


@pytest.fixture
def ask(screen: Screen, backend: ScriptedBackend) -> Callable[..., int]:
    """Runs `moss ask` with the screen as its stdout."""

    def run_there(*more: str) -> int:
        argv = ["ask", "What falls?", WEATHER, "--model", "tiny", *more]
        with contextlib.redirect_stdout(screen.stream):
            return run(argv, open_backend=opening(backend))

    return run_there


@pytest.fixture
def decoding(backend: ScriptedBackend, screen: Screen, handlers_restored: None) -> list[str]:
    """What stands on the screen before each step of the model."""
    seen: list[str] = []
    backend.at_step = lambda n: seen.append("".join((*seen[-1:], screen.look())))
    return seen


def test_an_answer_appears_while_it_is_decoded_and_stands(
    ask: Callable[..., int], decoding: list[str], screen: Screen
) -> None:
    assert ask() == 0
    final = decoding[-1] + screen.look()
    assert final == "It rains [all day] long.\n"
    assert all(final.startswith(shown) for shown in decoding)
    assert len(set(decoding)) > 3
    assert decoding[-1] in final[:-1]


def test_words_stay_whole_on_a_narrow_terminal_while_they_appear(
    ask: Callable[..., int], decoding: list[str], screen: Screen
) -> None:
    termios.tcsetwinsize(screen.stream.fileno(), (24, 20))
    assert ask() == 0
    final = decoding[-1] + screen.look()
    assert final == "It rains [all day]\nlong.\n"
    assert all(final.startswith(shown) for shown in decoding)
    assert len(set(decoding)) > 2


def test_nothing_is_shown_before_it_has_come(ask: Callable[..., int], decoding: list[str]) -> None:
    assert ask() == 0
    for n, shown in enumerate(decoding):
        assert shown in SAID[: 3 * n]


@pytest.mark.parametrize("more", [("-f", "json"), ("-f", "md")])
def test_only_text_is_shown_early(
    ask: Callable[..., int], decoding: list[str], screen: Screen, more: Sequence[str]
) -> None:
    ask(*more)
    assert set(decoding) == {""}
    assert screen.look()


def test_a_terminal_gets_what_a_pipe_gets(reference: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "moss_cli",
        "ask",
        "What?",
        WEATHER,
        "--no-think",
        "--model",
        str(reference / "checkpoint"),
    ]
    command += ["--max-new-tokens", "40", "--quiet"]
    piped = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=120, check=False)
    master, slave = pty.openpty()
    plain(slave)
    with subprocess.Popen(command, stdout=slave, stderr=subprocess.DEVNULL) as child:
        os.close(slave)
        shown = b""
        try:
            while data := os.read(master, 65536):
                shown += data
        except OSError:  # the other end is closed
            pass
        finally:
            os.close(master)
    assert child.returncode == piped.returncode
    assert piped.stdout.strip()
    assert printable(shown) == printable(piped.stdout)


def printable(text: bytes) -> str:
    from moss_cli.output.terminal import printable as on_terminal

    return on_terminal(text.decode())
