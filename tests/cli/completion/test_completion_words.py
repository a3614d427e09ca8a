"""What can stand at the cursor, and how it is told to a shell."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.main import get_command

from moss_cli.cli.app import app
from moss_cli.cli.completion.candidates import Candidates, FileKind, candidates
from moss_cli.cli.completion.reply import joined, reply, unquoted
from moss_cli.output.formats import FORMATS
from moss_cli.tasks.catalogue import TASKS

ROOT = get_command(app)
MODELS = ["tiny", "4b-instruct", "4b-thinking", "8b-instruct", "8b-thinking"]


def words(*line: str) -> list[str]:
    return [word for word, _ in candidates(ROOT, line).words]


def files(*line: str) -> tuple[FileKind, int]:
    found = candidates(ROOT, line)
    return found.files, found.n_before


def test_every_command_with_its_help() -> None:
    found = dict(candidates(ROOT, [""]).words)
    assert list(found) == list(ROOT.commands)
    assert found["scene"] == "Describe where a recording was made and what is heard."


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("moss models ", list(ROOT.commands["models"].commands)),
        ("moss help models pu", ["pull"]),
        ("moss schema ", [*TASKS, "analyze"]),
        ("moss scene -f ", list(FORMATS)),
        ("moss scene --format=s", ["--format=srt"]),
        ("moss scene -fs", ["-fsrt"]),
        ("moss scene -qf s", ["srt"]),
        ("moss scene --dtype ", ["auto", "bf16", "fp16", "fp32", "4bit"]),
        ("moss bench --dtype n", ["nf4"]),
        ("moss analyze --tasks tr", ["transcribe"]),
        ("moss analyze --tasks transcribe,s", ["transcribe,scene", "transcribe,summarize"]),
        ("moss analyze --tasks=scene,s", ["--tasks=scene,summarize"]),
        ("moss transcribe --timestamps ", ["segment", "word", "none"]),
        ("moss summarize --style m", ["meeting"]),
        ("moss completions install ", ["bash", "zsh", "fish"]),
        ("moss config set summarize.sty", ["summarize.style"]),
        ("moss config set summarize.style b", ["brief", "bullets"]),
        ("moss config set speakers ", ["true", "false"]),
        ("moss config set no-such-key ", []),
        ("moss config unset see", ["seed"]),
        ("moss scene --dev", ["--device"]),
        ("moss scene a.wav --help", ["--help"]),
        ("moss scene --no-v", ["--no-vad"]),
        ("moss scene --include '*.mp3' --incl", ["--include"]),  # repeatable
        ("moss scene --seed 3 --se", []),  # given already
        ("moss scene --force --forc", []),
        ("moss scene -- --f", []),  # a file that begins so
        ("moss nosuch ", []),
        ("moss transcribe --no-such-option ", []),
        ("moss models list x ", []),
    ],
)
def test_words(line: str, expected: list[str]) -> None:
    typed = shlex.split(line)[1:] + ([""] if line.endswith(" ") else [])
    assert words(*typed) == expected


def test_models_are_those_of_the_list() -> None:
    for line in (["scene", "-m", ""], ["models", "show", ""]):
        assert words(*line)[: len(MODELS)] == MODELS
    assert words("scene", "--model=ti") == ["--model=tiny"]


def test_a_models_toml_that_is_wrong_completes_nothing() -> None:
    Path(os.environ["MOSS_CONFIG_DIR"], "models.toml").write_text("[models\n")
    assert words("scene", "-m", "") == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (["transcribe", ""], (FileKind.AUDIO, 0)),
        (["transcribe", "a.wav", ""], (FileKind.AUDIO, 0)),
        (["transcribe", "--", "-"], (FileKind.AUDIO, 0)),
        (["ask", ""], (FileKind.NONE, 0)),
        (["ask", "What?", ""], (FileKind.AUDIO, 0)),
        (["inspect", ""], (FileKind.AUDIO, 0)),
        (["scene", "-o", ""], (FileKind.FILES, 0)),
        (["scene", "-o", "a.srt", ""], (FileKind.AUDIO, 0)),
        (["scene", "--report=a"], (FileKind.FILES, 9)),
        (["scene", "-oout"], (FileKind.FILES, 2)),
        (["scene", "--files-from", ""], (FileKind.FILES, 0)),
        (["scene", "--prompt", ""], (FileKind.NONE, 0)),
        (["scene", "-m", "my"], (FileKind.NONE, 0)),
        (["scene", "-m", "./my"], (FileKind.FOLDERS, 0)),
        (["batch", "status", ""], (FileKind.FOLDERS, 0)),
        (["models", "quantize", "tiny", "-o", ""], (FileKind.FOLDERS, 0)),
    ],
)
def test_files(line: list[str], expected: tuple[FileKind, int]) -> None:
    assert files(*line) == expected


def test_every_option_of_every_command_can_be_completed() -> None:
    for name, command in ROOT.commands.items():
        for param in getattr(command, "params", []):
            if param.param_type_name == "option" and not (hasattr(command, "commands") or param.hidden):
                for option in (*param.opts, *param.secondary_opts):
                    assert option in words(name, option), f"{name} {option}"


@given(st.lists(st.text(max_size=8), max_size=5))
def test_no_line_is_an_error(line: list[str]) -> None:
    assert isinstance(candidates(ROOT, line), Candidates)
    assert isinstance(candidates(ROOT, ["scene", *line]), Candidates)


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["a", "--model", "=", "tiny"], ["a", "--model=tiny"]),
        (["--model", "="], ["--model="]),
        (["cuda", ":", "0"], ["cuda:0"]),
        (["cuda", ":"], ["cuda:"]),
        (["a:", "b"], ["a:", "b"]),  # quoted, or no break for this bash
        (["my\\ talk", "b"], ["my talk", "b"]),
        (["--report", "=", "my\\ file"], ["--report=my file"]),
        ([""], [""]),
        ([], []),
    ],
)
def test_words_that_bash_took_apart(pieces: list[str], expected: list[str]) -> None:
    assert list(joined(pieces)) == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("plain", "plain"),
        (r"my\ talk", "my talk"),
        ('"my talk', "my talk"),
        ("'it is", "it is"),
        (r"'a\b'", r"a\b"),
        (r'"a\"b', 'a"b'),
        ("a'b c'd", "ab cd"),
        ("\\", ""),
    ],
)
def test_quotes_are_taken_off(word: str, expected: str) -> None:
    assert unquoted(word) == expected


@given(st.text(st.characters(exclude_characters="\n\0", exclude_categories=["Cs"])))
def test_what_is_quoted_for_a_shell_is_read_back(text: str) -> None:
    assert unquoted(shlex.quote(text)) == text


@pytest.fixture
def recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "calls").mkdir()
    for name in ("a.wav", "a.txt", "b:c.mp3", "only.dat", ".hidden.wav", "calls/one.wav"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (["transcribe", ""], ["files", "a.wav", "b:c.mp3", "calls"]),
        (["transcribe", "calls/"], ["files", "calls/one.wav"]),
        (["transcribe", "~/calls/"], ["files", "~/calls/one.wav"]),
        (["transcribe", "only"], ["files", "only.dat"]),
        (["transcribe", "."], ["files", ".hidden.wav"]),
        (["transcribe", "b", ":", "c"], ["files", "c.mp3"]),  # bash replaces what is behind the colon
        (["transcribe", "nowhere/"], ["words"]),
        (["transcribe", "~nobody-of-this-name/"], ["words"]),
        (["scene", "-o", "a"], ["files", "a.txt", "a.wav"]),
        (["scene", "--output", "=", "a.t"], ["files", "a.txt"]),
        (["scene", "--model", "=", "ti"], ["words", "tiny"]),
        (["scene", "--model", "="], ["words", *MODELS]),
        (["batch", "status", ""], ["files", "calls"]),
    ],
)
def test_what_bash_is_told(recordings: Path, line: list[str], expected: list[str]) -> None:
    assert reply(ROOT, "bash", line).splitlines()[: len(expected)] == expected


def test_what_zsh_and_fish_are_told() -> None:
    for shell in ("zsh", "fish"):
        lines = reply(ROOT, shell, ["scene", "--no-v"]).splitlines()
        assert lines == ["none\t0\t", "--no-vad\tSkip audio without speech, for tasks about speech."]
        first, n_before, suffixes = reply(ROOT, shell, ["scene", ""]).splitlines()[0].split("\t")
        assert (first, n_before) == ("audio", "0")
        assert {"wav", "mp3", "m4a", "mkv"} < set(suffixes.split("|"))


def test_help_of_an_option_is_one_line_without_its_default() -> None:
    lines = reply(ROOT, "fish", ["scene", "--out"]).splitlines()
    assert lines[1:] == ["--output\tWrite to this file, or to this folder for several inputs or formats."]


def test_a_broken_config_toml_does_not_keep_a_shell_from_completing() -> None:
    Path(os.environ["MOSS_CONFIG_DIR"], "config.toml").write_text("[[[")
    environment = os.environ | {"_MOSS_COMPLETE": "zsh"}
    done = subprocess.run(
        [sys.executable, "-m", "moss_cli", "schema", "sc"], env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "none\t0\t\nscene\t\n", "")
