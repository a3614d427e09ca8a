"""`moss completions`: scripts where shells look for them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_run import Run

from moss_cli.cli.completion.install import FILES, script_of
from moss_cli.doctor.completion import user_script

ROOT = Path(__file__).parents[3]
PLACES = {
    "bash": ".local/share/bash-completion/completions/moss",
    "zsh": ".zfunc/_moss",
    "fish": ".config/fish/completions/moss.fish",
}
LINES = {
    "bash": "source ~/.local/share/bash-completion/completions/moss\n",
    "zsh": "fpath=(~/.zfunc $fpath); autoload -Uz compinit; compinit\n",
    "fish": "",
}
RC = {"bash": "~/.bashrc", "zsh": "~/.zshrc"}
EACH = pytest.mark.parametrize("shell", PLACES)

Moss = Callable[..., Run]


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose shells have no start-up files, and a PATH without any shell."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("PATH", str(folder / "bin"))
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "BASH_COMPLETION_USER_DIR", "ZDOTDIR", "SHELL"):
        monkeypatch.delenv(name, raising=False)
    return folder


@EACH
def test_the_scripts_in_the_repository_are_what_the_command_prints(moss: Moss, shell: str) -> None:
    """If this fails: make completions."""
    run = moss("completions", shell)
    assert (run.code, run.out, run.err) == (0, (ROOT / "completions" / FILES[shell]).read_text(encoding="utf-8"), [])


@EACH
def test_a_script_is_put_where_the_shell_looks_and_the_line_is_named_that_it_may_need(
    moss: Moss, home: Path, shell: str
) -> None:
    run = moss("completions", "install", shell)
    assert (run.code, run.out) == (0, LINES[shell])
    assert (home / PLACES[shell]).read_text(encoding="utf-8") == script_of(shell)
    said = [f"moss: completion for {shell} is installed in ~/{PLACES[shell]}"]
    if shell == "fish":
        said.append("moss: new shells have it; there is nothing else to do")
    else:  # which was not there to be asked
        said.append(f"moss: if new shells do not complete moss, they need this line at the end of {RC[shell]}:")
    assert run.err == said


@EACH
def test_it_can_be_installed_again_and_over_an_old_one(moss: Moss, home: Path, shell: str) -> None:
    moss("completions", "install", shell)
    assert moss("completions", "install", shell).err[0].startswith(f"moss: completion for {shell} is installed already")
    (home / PLACES[shell]).write_text("# of an older moss: _MOSS_COMPLETE\n")
    assert "is installed in" in moss("completions", "install", shell).err[0]
    assert (home / PLACES[shell]).read_text(encoding="utf-8") == script_of(shell)


@EACH
def test_it_can_be_removed(moss: Moss, home: Path, shell: str) -> None:
    moss("completions", "install", shell)
    assert moss("completions", "uninstall", shell).err == [f"moss: ~/{PLACES[shell]} is removed"]
    assert not (home / PLACES[shell]).exists()
    assert moss("completions", "uninstall", shell).err == [f"moss: completion for {shell} was not installed"]


@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_what_moss_did_not_write_stays(moss: Moss, home: Path, command: str) -> None:
    path = home / PLACES["zsh"]
    path.parent.mkdir()
    path.write_text("# mine\n")
    run = moss("completions", command, "zsh")
    assert (run.code, run.err[0]) == (2, f"moss: error: {path} is not a completion script of moss")
    assert path.read_text() == "# mine\n"


def test_the_shell_is_the_user_s(moss: Moss, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/usr/local/bin/fish")
    assert moss("completions", "install").err[0].startswith("moss: completion for fish is installed in ")


@pytest.mark.parametrize(("value", "said"), [("/bin/dash", "$SHELL is dash"), ("", "$SHELL is not set")])
def test_another_shell_is_an_error_whose_hint_works(
    moss: Moss, monkeypatch: pytest.MonkeyPatch, value: str, said: str
) -> None:
    monkeypatch.setenv("SHELL", value)
    run = moss("completions", "install")
    hint = "hint: run `moss completions install bash`"
    assert (run.code, run.err) == (2, [f"moss: error: {said}, and moss completes in bash, zsh and fish", hint])
    assert moss("completions", "install", "bash").code == 0


def test_a_place_that_cannot_be_written_to_is_an_error(moss: Moss, home: Path) -> None:
    (home / ".zfunc").touch()
    run = moss("completions", "install", "zsh")
    assert (run.code, run.err[0]) == (1, f"moss: error: cannot make the folder {home / '.zfunc'}: File exists")


def test_folders_of_the_user_s_own(tmp_path: Path) -> None:
    places = {
        "bash": ({"BASH_COMPLETION_USER_DIR": "/b"}, "/b/completions/moss"),
        "fish": ({"XDG_CONFIG_HOME": "/c"}, "/c/fish/completions/moss.fish"),
    }
    for shell, (environ, expected) in places.items():
        assert user_script(shell, environ, tmp_path) == Path(expected)
    assert user_script("bash", {"XDG_DATA_HOME": "/d"}, tmp_path) == Path("/d/bash-completion/completions/moss")


def test_a_shell_that_does_not_start_is_not_waited_for(moss: Moss, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moss_cli.doctor.shells._PATIENCE_S", 0.2)
    shell = home / "bin" / "zsh"
    shell.parent.mkdir()
    shell.write_text(f"#!/bin/sh\n{shutil.which('sleep', path='/bin:/usr/bin')} 60\n")
    shell.chmod(0o755)
    assert moss("completions", "install", "zsh").err[1].startswith("moss: if new shells do not complete moss")
