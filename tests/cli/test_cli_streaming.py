"""Answers shown on a terminal while they are decoded."""

from __future__ import annotations

import contextlib
import dataclasses
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

from moss_cli.cli.main import run
from moss_cli.engine.engine import Engine
from moss_cli.engine.generate import Generation, OnToken, Request

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
def ask(screen: Screen) -> Callable[..., int]:
    """Runs `moss ask` with the screen as its stdout."""

    def run_there(*more: str) -> int:
        with contextlib.redirect_stdout(screen.stream):
            return run(["ask", "What falls?", WEATHER, "--model", "tiny", *more])

    return run_there


@pytest.fixture
def decoding(
    tiny_engine: Engine, monkeypatch: pytest.MonkeyPatch, screen: Screen, handlers_restored: None
) -> list[str]:
    """An engine that says SAID; what is on the screen is noted after every token."""
    seen: list[str] = []
    unsettled = 3  # tokens that the loop check has not passed over

    def generate(self: Engine, requests: Sequence[Request], on_token: OnToken | None = None) -> list[Generation]:
        ids = self.tokenizer.encode(SAID)
        for n in range(1, len(ids) + 1):
            if on_token is not None:
                on_token(0, ids[:n], max(0, n - unsettled))
            seen.append("".join((*seen[-1:], screen.look())))
        return [Generation(ids, "stop", len(ids)) for _ in requests]

    monkeypatch.setattr(Engine, "generate", generate)
    engine = dataclasses.replace(tiny_engine)
    monkeypatch.setattr("moss_cli.run.runner.load_engine", lambda *_, **__: engine)
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


def test_what_the_loop_check_has_not_passed_is_held_back(
    ask: Callable[..., int], decoding: list[str], tiny_engine: Engine
) -> None:
    assert ask() == 0
    ids = tiny_engine.tokenizer.encode(SAID)
    for n, shown in enumerate(decoding, start=1):
        assert shown in tiny_engine.text(ids[: max(0, n - 3)])


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
