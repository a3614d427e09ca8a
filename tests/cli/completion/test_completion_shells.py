"""Completion as somebody has it who presses TAB, in the three real shells.

`moss` on the shell's PATH completes as the real one does; run, it prints its arguments instead, so that a test sees
what a line came to once the shell has taken the quotes off.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from moss_cli.cli.completion.install import Installed, install

ROOT = Path(__file__).parents[3]
BASH_COMPLETION = Path("/usr/share/bash-completion/bash_completion")
PROMPT = "ready> "
START = {"bash": ["--noprofile"], "zsh": [], "fish": []}
PROMPTS = {
    "bash": f"PS1='{PROMPT}'\nbind 'set enable-bracketed-paste off'\n",
    "zsh": f"PS1='{PROMPT}'\nunset zle_bracketed_paste\nLISTMAX=0\n",
    "fish": f"function fish_prompt; echo -n '{PROMPT}'; end\nset -g fish_greeting\n",
}
RC = {"bash": ".bashrc", "zsh": ".zshrc", "fish": ".config/fish/config.fish"}
TAB, ENTER, INTERRUPT = "\t", "\r", "\x03"


class Terminal:
    """A shell on a terminal of its own."""

    def __init__(self, process: pexpect.spawn) -> None:
        self.process = process
        self._await_prompt()

    def _await_prompt(self) -> None:
        self.process.expect_exact(PROMPT)

    def run(self, typed: str) -> list[str]:
        """Type a line, with TABs in it, and press Enter: the arguments that moss then gets."""
        self.process.send(typed + ENTER)
        self.process.expect(r"\[\[(.*?)\]\]")
        said = self.process.match[1].decode()
        self._await_prompt()
        return said.split("|")

    def missing(self, typed: str, *expected: str) -> list[str]:
        """Type without Enter; what of `expected` does not come to the screen."""
        self.process.send(typed)
        left = list(expected)
        while left and (found := self.process.expect_exact([*left, pexpect.TIMEOUT])) < len(left):
            del left[found]
        self.process.send(INTERRUPT)
        self._await_prompt()
        return left


@pytest.fixture(scope="module", params=["bash", "zsh", "fish"])
def shell(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    if name == "bash" and not BASH_COMPLETION.exists():
        pytest.skip("bash-completion is not installed")
    return name


@pytest.fixture(scope="module")
def environ(shell: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A home with a `moss` that prints its arguments, and recordings in $PWD."""
    tmp_path = tmp_path_factory.mktemp(shell)
    home, folder, program = tmp_path / "home", tmp_path / "here", tmp_path / "bin" / "moss"
    for one in (home / ".config" / "fish", folder / "calls of may", program.parent):
        one.mkdir(parents=True)
    for name in ("my talk.wav", "it's $5.mp3", "notes.txt", "other.dat", "calls of may/one.flac"):
        (folder / name).touch()
    real = f'PYTHONPATH="{ROOT}" exec "{sys.executable}" -m moss_cli "$@"'
    program.write_text(
        f'#!/bin/sh\n[ -n "$_MOSS_COMPLETE" ] && {real}\n'
        'out=""\nfor one in "$@"; do out="$out|$one"; done\nprintf "[[%s]]\\n" "${out#|}"\n'
    )
    program.chmod(0o755)
    path = f"{program.parent}:/usr/local/bin:/usr/bin:/bin"
    return {"HOME": str(home), "PATH": path, "PWD": str(folder), "TERM": "xterm", "LANG": "C.UTF-8"}


@pytest.fixture(scope="module")
def installed(shell: str, environ: dict[str, str]) -> Installed:
    """The script where its shell looks, and in the start-up file only the line that moss asks for."""
    home = Path(environ["HOME"])
    rc_file = home / RC[shell]
    rc_file.write_text(PROMPTS[shell] + (f"source {BASH_COMPLETION}\n" if shell == "bash" else ""))
    done = install(shell, environ, home)
    if done.line is not None:
        rc_file.write_text(f"{rc_file.read_text()}\n{done.line}\n")
    return done


@pytest.fixture(scope="module")
def terminal(shell: str, environ: dict[str, str], installed: Installed) -> Iterator[Terminal]:
    folder = environ["PWD"]
    process = pexpect.spawn(shell, START[shell], env=environ, cwd=folder, dimensions=(50, 200), timeout=60)
    try:
        yield Terminal(process)
    finally:
        process.close(force=True)


def test_what_the_shell_still_needs_is_said(shell: str, environ: dict[str, str], installed: Installed) -> None:
    line = "fpath=(~/.zfunc $fpath); autoload -Uz compinit; compinit" if shell == "zsh" else None
    assert (installed.is_new, installed.line, installed.is_sure) == (True, line, True)
    again = install(shell, environ, Path(environ["HOME"]))
    assert (again.path, again.is_new, again.line, again.is_sure) == (installed.path, False, None, True)


def test_commands_options_and_values(terminal: Terminal) -> None:
    assert terminal.run(f"moss transc{TAB}a") == ["transcribe", "a"]
    assert terminal.run(f"moss scene --forc{TAB}x") == ["scene", "--force", "x"]
    assert terminal.run(f"moss scene --dtype fp1{TAB}") == ["scene", "--dtype", "fp16"]
    assert terminal.run(f"moss scene -f js{TAB}l") == ["scene", "-f", "jsonl"]
    assert terminal.run(f"moss scene -m ti{TAB}") == ["scene", "-m", "tiny"]
    assert terminal.run(f"moss schema sum{TAB}") == ["schema", "summarize"]
    assert terminal.run(f"moss config set transcribe.sp{TAB}t{TAB}") == ["config", "set", "transcribe.speakers", "true"]


def test_a_value_behind_an_equals_sign(terminal: Terminal) -> None:
    assert terminal.run(f"moss scene --model=ti{TAB}") == ["scene", "--model=tiny"]
    assert terminal.run(f"moss scene --report=no{TAB}") == ["scene", "--report=notes.txt"]


def test_all_that_can_stand_there_is_listed(terminal: Terminal, shell: str) -> None:
    tabs = TAB * (2 if shell == "bash" else 1)
    assert terminal.missing(f"moss {tabs}", "transcribe", "describe-speaker", "completions") == []
    assert terminal.missing(f"moss transcribe --timestamps {tabs}", "segment", "word", "none") == []


def test_help_stands_beside_words(terminal: Terminal, shell: str) -> None:
    if shell == "bash":
        pytest.skip("bash shows no help")
    assert terminal.missing(f"moss {TAB}", "Transcribe speech, with timestamps.") == []
    assert terminal.missing(f"moss scene --t{TAB}", "Sample only from the most likely tokens") == []


def test_recordings_whatever_they_are_called(terminal: Terminal) -> None:
    assert terminal.run(f"moss transcribe my{TAB}") == ["transcribe", "my talk.wav"]
    assert terminal.run(f"moss transcribe it{TAB}") == ["transcribe", "it's $5.mp3"]
    assert terminal.run(f"moss ask 'What is said?' my{TAB}") == ["ask", "What is said?", "my talk.wav"]
    assert terminal.run(f"moss transcribe cal{TAB}o{TAB}") == ["transcribe", "calls of may/one.flac"]
    assert terminal.run(f"moss transcribe -- my{TAB}") == ["transcribe", "--", "my talk.wav"]
    assert terminal.run(f'moss transcribe "my{TAB}') == ["transcribe", "my talk.wav"]


def test_a_file_that_is_no_recording_is_completed_only_where_no_recording_fits(terminal: Terminal) -> None:
    assert terminal.run(f"moss transcribe oth{TAB}") == ["transcribe", "other.dat"]
    assert terminal.run(f"moss transcribe --files-from not{TAB}") == ["transcribe", "--files-from", "notes.txt"]


def test_folders_where_only_folders_can_stand(terminal: Terminal) -> None:
    assert terminal.run(f"moss batch status {TAB}")[2].rstrip("/") == "calls of may"


def test_nothing_where_nothing_is_known(terminal: Terminal) -> None:
    assert terminal.run(f"moss transcribe --language no{TAB}x")[2] == "nox"
    assert terminal.run(f"moss nosuch {TAB}x") == ["nosuch", "x"]
