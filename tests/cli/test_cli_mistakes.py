"""What newcomers get wrong: one line that says so, and a hint whose command does what was meant."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_run import DEMO, Run
from scripted_backend import ScriptedBackend

Moss = Callable[..., Run]
Wav = Callable[..., Path]

SAID = "hello there\n"
SRT = "1\n00:00:00,000 --> 00:00:00,050\nhello there\n\n"

# What is typed, the line that says what is wrong with it, the command of the hint, and what that prints. All of it runs
# with MOSS_MODEL=tiny.
MISTAKES = {
    "output_dir": (
        "transcribe a.wav --output_dir out --output_format srt --word_timestamps True",
        "no such option: --output_dir",
        "moss transcribe a.wav -o out/ -f srt --timestamps word",
        "",
    ),
    "output_format": (
        "transcribe a.wav --output_format srt",
        "no such option: --output_format",
        "moss transcribe a.wav -f srt",
        SRT,
    ),
    "output_format all": (
        "transcribe a.wav --output-format=all",
        "no such option: --output-format",
        "moss transcribe a.wav -f txt -f vtt -f srt -f tsv -f json -o out/",
        "",
    ),
    "word_timestamps": (
        "transcribe a.wav --word_timestamps False --beam_size 5",
        "no such option: --word_timestamps",
        "moss transcribe a.wav",
        SAID,
    ),
    "vad_filter": (
        "transcribe a.wav --vad_filter=True",
        "no such option: --vad_filter",
        "moss transcribe a.wav --vad",
        SAID,
    ),
    "translate": (
        "transcribe a.wav --task translate",
        "no such option: --task",
        "moss ask 'Translate what is said into English.' a.wav",
        None,
    ),
    "initial_prompt": (
        "transcribe --initial_prompt Miriam a.wav",
        "no such option: --initial_prompt",
        "moss transcribe --context Miriam a.wav",
        SAID,
    ),
    "overwrite": (
        "transcribe a.wav -o mine.txt --overwrite",
        "no such option: --overwrite",
        "moss transcribe a.wav -o mine.txt --force",
        "",
    ),
    "an underscore": (
        "transcribe a.wav --max_new_tokens 20",
        "no such option: --max_new_tokens",
        "moss transcribe a.wav --max-new-tokens 20",
        SAID,
    ),
    "a slip in an option": (
        "transcribe a.wav --fromat srt",
        "no such option: --fromat",
        "moss transcribe a.wav --format srt",
        SRT,
    ),
    "no command": ("a.wav -f srt", "no such command 'a.wav'", "moss transcribe a.wav -f srt", SRT),
    "an option in front": ("-f srt transcribe a.wav", "no such option: -f", "moss transcribe a.wav -f srt", SRT),
    "a slip in a command": ("trancribe a.wav", "no such command 'trancribe'", "moss transcribe a.wav", SAID),
    "another command": ("subtitles a.wav", "no such command 'subtitles'", "moss transcribe -f srt a.wav", SRT),
    "a slip in a file": ("transcribe aa.wav", "no such file: aa.wav", "moss transcribe a.wav", SAID),
    "another suffix": ("transcribe ./a.mp3", "no such file: a.mp3", None, ""),
    "no quotation marks around a file": (
        "transcribe my talk.wav",
        "no such file: my",
        "moss transcribe 'my talk.wav'",
        SAID,
    ),
    "a pattern that matches nothing": ("transcribe '*.mp3'", "no such file: *.mp3", "moss transcribe .", None),
    "a pattern in quotation marks": (
        "transcribe 'a*.wav'",
        "no such file: a*.wav",
        "moss transcribe . --include 'a*.wav'",
        "==> a.wav <==\nhello there\n",
    ),
    "a URL": (
        "transcribe https://example.org/a.mp3 -f srt",
        "https://example.org/a.mp3 is a URL, and moss reads files",
        "curl -fsSL https://example.org/a.mp3 | moss transcribe - -f srt",
        SRT,
    ),
    "a page": (
        "transcribe https://example.org/watch?v=1",
        "https://example.org/watch?v=1 is a URL, and moss reads files",
        "yt-dlp -q -f bestaudio -o - 'https://example.org/watch?v=1' | moss transcribe -",
        SAID,
    ),
    "a model's name": ("transcribe a.wav -m tny", "no model named tny", "moss transcribe a.wav -m tiny", SAID),
    "a model of Whisper": ("transcribe a.wav -m large-v3", "no model named large-v3", "moss models list", None),
    "a format's name": (
        "transcribe a.wav -f SRT",
        "invalid value for '--format' / '-f': 'SRT' is not one of 'txt', 'json', 'jsonl', 'srt', 'vtt', 'md', 'tsv', "
        "'csv'",
        "moss transcribe a.wav -f srt",
        SRT,
    ),
    "formats with a comma": (
        "transcribe a.wav --format=srt,json",
        "invalid value for '--format' / '-f': 'srt,json' is not one of 'txt', 'json', 'jsonl', 'srt', 'vtt', 'md', "
        "'tsv', 'csv'",
        "moss transcribe a.wav -f srt -f json -o out/",
        "",
    ),
    "-o for -f": (
        "transcribe a.wav -o srt",
        "-o srt would be a file of that name",
        "moss transcribe a.wav -f srt",
        SRT,
    ),
    "a precision's name": (
        "transcribe a.wav --dtype int8",
        "invalid value for '--dtype': 'int8' is not one of 'auto', 'bf16', 'fp16', 'fp32', '4bit'",
        "moss transcribe a.wav --dtype 4bit",
        SAID,
    ),
    "a number out of range": (
        "transcribe a.wav --top-p 3",
        "invalid value for '--top-p': it must be at most 1",
        "moss transcribe a.wav --top-p 1",
        SAID,
    ),
    "no number": (
        "transcribe a.wav --chunk long",
        "invalid value for '--chunk': it must be a number",
        "moss transcribe --help",
        None,
    ),
    "no input": ("transcribe", "missing argument 'INPUT...'", "moss transcribe --help", None),
    "the question last": (
        "ask a.wav 'What is said?'",
        "the question must come first, but a.wav is a file",
        "moss ask 'What is said?' a.wav",
        None,
    ),
    "no question": (
        "ask a.wav",
        "the question must come first, but a.wav is a file",
        "moss ask 'What is said?' a.wav",
        None,
    ),
    "a question without quotation marks that ends in a mark": (
        "ask what is said? a.wav",
        "no such file: is",
        "moss ask 'what is said?' a.wav",
        None,
    ),
    "two recordings and no question": (
        "ask a.wav 'my talk.wav'",
        "the question must come first, but a.wav is a file",
        "moss ask 'What is said?' a.wav 'my talk.wav'",
        None,
    ),
    "task for tasks": (
        "analyze a.wav --task transcribe",
        "no such option: --task",
        "moss analyze a.wav --tasks transcribe",
        None,
    ),
    "config get": ("config get model", "no such command 'get'", "moss config show", None),
    "models info without a name": ("models info", "no such command 'info'", "moss models show --help", None),
    "no quotation marks around a question": (
        "ask What is said a.wav",
        "no such file: is",
        "moss ask 'What is said' a.wav",
        None,
    ),
    "a command of models": ("models ls", "no such command 'ls'", "moss models list", None),
    "an option of another task": (
        "ask 'What is said?' a.wav --timestamps word --speakers",
        "no such option: --timestamps",
        "moss ask 'What is said?' a.wav",
        None,
    ),
    "a word too many": ("models list please", "there is nothing to do with please", "moss models list", None),
    "help of a command": ("help trancribe", "no such command: trancribe", "moss help transcribe", None),
    "a folder without recordings": (
        "transcribe texts",
        "no audio files in the folder texts; 1 file of other kinds was passed over",
        None,
        "",
    ),
}


@pytest.fixture(autouse=True)
def folder(wav: Wav, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: ScriptedBackend) -> Path:
    monkeypatch.setenv("MOSS_MODEL", "tiny")
    wav("a.wav")
    wav("my talk.wav")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "talk.dat").write_text("no audio")
    (tmp_path / "mine.txt").write_text("mine")
    answer = '{"answer": "hello there", "evidence": []}'
    backend.say = lambda request, n: answer if "evidence" in str(request.form) else "[0.00]hello there[0.05]"
    return tmp_path


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_and_its_hint_does_what_was_meant(moss: Moss, wav: Wav, name: str) -> None:
    typed, message, command, printed = MISTAKES[name]
    run = moss(*shlex.split(typed))
    assert (run.code, run.out) == (run.code or 1, "")
    said = [line for line in run.err if line.startswith("moss: ")]
    assert said[0] == f"moss: error: {message}"
    assert all(line.startswith("moss: error: no such file") for line in said[1:])  # the rest of a name in pieces
    if command is None:
        return
    shown = re.search(r"`(.*)`", run.err[run.err.index(said[0]) + 1])
    assert shown is not None
    assert shown[1] == command
    fetch, piped, line = command.rpartition(" | ")
    right = moss(*shlex.split(line)[1:], stdin=wav("a.wav").read_bytes() if piped else b"")
    assert fetch.partition(" ")[0] in ("", "curl", "yt-dlp")
    assert right.code == 0, right.err
    assert not [line for line in right.err if line.startswith("moss: error: ")]
    assert printed is None or right.out == printed


def test_a_name_like_no_other_has_no_hint(moss: Moss) -> None:
    assert moss("transcribe", "zzz.wav").err == ["moss: error: no such file: zzz.wav"]
    assert moss("transcribe", "no/such/a.wav").err == ["moss: error: no such file: no/such/a.wav"]
    assert moss("nope").err == ["moss: error: no such command 'nope'", "hint: see `moss --help`"]


def test_a_url_in_a_list_is_refused_too(moss: Moss, tmp_path: Path) -> None:
    (tmp_path / "list").write_text("https://example.org/a.mp3\n")
    run = moss("transcribe", "--files-from", "list")
    assert (run.code, run.err[0]) == (2, "moss: error: https://example.org/a.mp3 is a URL, and moss reads files")


@pytest.mark.parametrize(
    ("argv", "begins"),
    [
        ([], "Usage: moss [OPTIONS] COMMAND"),
        (["models"], "Usage: moss models [OPTIONS] COMMAND"),
        (["batch"], "Usage: moss batch [OPTIONS] COMMAND"),
        (["help"], "Usage: moss [OPTIONS] COMMAND"),
        (["help", "scene"], "Usage: moss scene [OPTIONS] INPUT..."),
        (["help", "models", "pull"], "Usage: moss models pull [OPTIONS]"),
        (["-V"], "moss "),
    ],
)
def test_what_people_try_first_shows_help(moss: Moss, argv: list[str], begins: str) -> None:
    run = moss(*argv)
    assert (run.code, run.err, run.out[: len(begins)]) == (0, [], begins)


def test_help_of_a_command_is_that_of_its_help_option(moss: Moss) -> None:
    for words in (["transcribe"], ["models", "show"], ["ask"]):
        assert moss("help", *words).out == moss(*words, "--help").out


def test_a_file_that_is_not_there_is_said_without_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from moss_cli.cli.main import run; code = run(['transcribe', 'nosuch.mp3']); "
        "print('torch' in sys.modules, file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr.splitlines()) == (4, [DEMO, "moss: error: no such file: nosuch.mp3", "False"])


def test_a_working_directory_that_is_gone_is_said(moss: Moss, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = folder / "gone"
    gone.mkdir()
    script = (
        "import os, sys; from moss_cli.cli.main import run; os.chdir(sys.argv[1]); os.rmdir(sys.argv[1]); "
        "sys.exit(run(['transcribe', 'a.wav']))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(gone)], capture_output=True, text=True)
    lines = ["moss: error: the working directory has been removed", "hint: cd to a folder that exists"]
    assert (done.returncode, done.stderr.splitlines()) == (2, lines)


def test_of_many_files_that_are_not_there_the_first_are_looked_for(moss: Moss) -> None:
    run = moss("transcribe", *(f"aa{k}.wav" for k in range(9)))
    assert [line.startswith("hint: run `moss transcribe ") for line in run.err].count(True) == 5
    assert len([line for line in run.err if line.startswith("moss: error: no such file")]) == 9
