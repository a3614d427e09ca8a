"""Every hint that names a command of moss or an option: the command exists, and it does what the hint says.

The hints are read from the code, so that a new one fails here until it has a case.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cli_run import Run
from scripted_backend import HELLO, ScriptedBackend
from typer.main import get_command

from moss_cli.cli.app import app
from moss_cli.cli.main import run as run_for_real
from moss_cli.engine.decoding import check_fits
from moss_cli.errors import UsageError
from moss_cli.settings import config_path

sys.path.insert(0, str(Path(__file__).parents[1]))
from hints_in_code import COMMAND, OPTION, all_hints

Moss = Callable[..., Run]
Wav = Callable[..., Path]

TESTS = Path(__file__).parents[1]
ANSWERS = {"evidence": '{"answer": "x", "evidence": []}', '"A" | "B"': "A"}  # by a word of the form
LONG = "x" * 300  # a command with it is not shown whole


@dataclass(frozen=True)
class Case:
    """What is typed, the hint that it gets, and the commands that do what the hint says. With `config` in
    config.toml."""

    typed: str
    said: str
    then: tuple[str, ...]
    config: str = ""


# By the hint as it stands in the code.
CASES = {
    "give 2 to {MOST_CHOICES} different answers, each with --choice": Case(
        "ask Q a.wav --choice x",
        "give 2 to 26 different answers, each with --choice",
        ("ask Q a.wav --choice x --choice y",),
    ),
    "remove --timestamps none": Case(
        "transcribe a.wav --times --timestamps none", "remove --timestamps none", ("transcribe a.wav --times",)
    ),
    "remove --timestamps none, or use txt": Case(
        "transcribe a.wav --timestamps none -f srt",
        "remove --timestamps none, or use txt",
        ("transcribe a.wav -f srt", "transcribe a.wav --timestamps none -f txt"),
    ),
    "raise the limit with --max-duration": Case(
        "transcribe a.wav --max-duration 0.05",
        "raise the limit with --max-duration",
        ("transcribe a.wav --max-duration 1",),
    ),
    "see `moss ask --help`": Case("ask", "see `moss ask --help`", ("ask --help",)),
    "moss ask --history -f json > history.json": Case(
        "ask --history -f srt", "moss ask --history -f json > history.json", ("ask --history -f json",)
    ),
    "run `moss config unset {'.'.join(path)}` to remove it": Case(
        "schema scene",
        "did you mean model? else run `moss config unset modle` to remove it",
        ("config unset modle", "schema scene"),
        config='modle = "tiny"\n',
    ),
    "write it in the table [{owners[0]}]: run `moss config unset {setting.key}` and then ": Case(
        "schema scene",
        "write it in the table [bench]: run `moss config unset keep` and then `moss config set bench.keep false`",
        ("config unset keep", "config set bench.keep false", "schema scene"),
        config="keep = false\n",
    ),
    "run `moss config show`": Case("config set zzzzz 1", "run `moss config show`", ("config show",)),
    "moss config unset {nearest}": Case(
        "config unset sed", "run `moss config unset seed`", ("config unset seed",), config="seed = 3\n"
    ),
    "moss config show {nearest}": Case(
        "config show trancribe", "run `moss config show transcribe`", ("config show transcribe",)
    ),
    "moss config set {name} {better}": Case(
        "config set dtype bf61", "run `moss config set dtype bf16`", ("config set dtype bf16", "schema scene")
    ),
    "see `moss {command.name} --help`": Case(
        "config set seed many", "see `moss transcribe --help`", ("transcribe --help",)
    ),
    "leave --context out, or give it some text": Case(
        "transcribe a.wav --context @empty",
        "leave --context out, or give it some text",
        ("transcribe a.wav", "transcribe a.wav --context Miriam"),
    ),
    "moss --help": Case("help 'x y'", "run `moss --help`", ("--help",)),
    "if some are recordings, add --include '*{one_line(suffix)}', for example": Case(
        "transcribe others",
        "if some are recordings, add --include '*.dat', for example",
        ("transcribe others --include '*.dat'",),
    ),
    "see `{context.command_path} --help`": Case("scene", "see `moss scene --help`", ("scene --help",)),
    "see `{path} --help`": Case("models nosuch", "see `moss models --help`", ("models --help",)),
    "use -o {folder}": Case(
        f"transcribe a.wav b.wav -o x.srt --prompt {LONG}",
        "use -o x/",
        (f"transcribe a.wav b.wav -o x/ --prompt {LONG}",),
    ),
    "use -o {one_line(file)}": Case(
        f"transcribe a.wav -o x.srtt --prompt {LONG}", "use -o x.srt", (f"transcribe a.wav -o x.srt --prompt {LONG}",)
    ),
    "add -o FOLDER/": Case(
        f"transcribe a.wav b.wav -f srt --prompt {LONG}",
        "add -o FOLDER/",
        (f"transcribe a.wav b.wav -f srt --prompt {LONG} -o FOLDER/",),
    ),
    "use -f {output}": Case(
        f"transcribe a.wav -o srt --prompt {LONG}", "use -f srt", (f"transcribe a.wav -f srt --prompt {LONG}",)
    ),
    "stdout is for results; use --report /dev/stderr to see it": Case(
        "transcribe a.wav --report -",
        "stdout is for results; use --report /dev/stderr to see it",
        ("transcribe a.wav --report /dev/stderr",),
    ),
    "give a folder that was used with -o": Case(
        "batch status others",
        "give a folder that was used with -o",
        ("transcribe a.wav -o out/", "batch status out"),
    ),
    "download it with `moss models pull {entry.name}`{size}, or try the embedded one with `--model {EMBEDDED}`": Case(
        "transcribe a.wav -m 4b-instruct",
        "download it with `moss models pull 4b-instruct` (10.5 GB), or try the embedded one with `--model tiny`",
        ("models pull --help", "transcribe a.wav --model tiny"),
    ),
    "run `moss models list`; known models: {names}; to name a folder, write ./{name}": Case(
        "transcribe a.wav -m zzz",
        "run `moss models list`; known models: tiny, 4b-instruct, 4b-thinking, 8b-instruct, 8b-thinking, "
        "music-8b-instruct, music-8b-thinking; to name a folder, write ./zzz",
        ("models list",),
    ),
    "see `moss models list`": Case("models rm 4b-instruct --yes", "see `moss models list`", ("models list",)),
    "download it with `moss models pull {shlex.quote(name)}`, or see `moss models list`": Case(
        "transcribe a.wav -m some/model",
        "download it with `moss models pull some/model`, or see `moss models list`",
        ("models pull --help", "models list"),
    ),
    "use --force to overwrite it": Case(
        "transcribe a.wav -o mine.txt", "use --force to overwrite it", ("transcribe a.wav -o mine.txt --force",)
    ),
    "times in a question count from the start of the file; drop --start and --end": Case(
        "ask 'What is said at 0:01?' long.wav --start 2",
        "times in a question count from the start of the file; drop --start and --end",
        ("ask 'What is said at 0:01?' long.wav",),
    ),
    "start it with `moss serve`, or check the address": Case(
        "transcribe a.wav -m http://127.0.0.1:9/v1",
        "start it with `moss serve`, or check the address",
        ("serve --help",),
    ),
    "write `-m http://127.0.0.1:8642/v1`, or with a model of it `-m http://127.0.0.1:8642/v1#NAME`": Case(
        "transcribe a.wav -m http://",
        "write `-m http://127.0.0.1:8642/v1`, or with a model of it `-m http://127.0.0.1:8642/v1#NAME`",
        (),  # needs a server: tests/cli/test_cli_server.py has one
    ),
    "write `-m unix:/run/user/1000/moss.sock`": Case(
        "transcribe a.wav -m unix:", "write `-m unix:/run/user/1000/moss.sock`", ()
    ),
    "give another path to --socket": Case(
        "serve -m tiny --socket a.wav", "give another path to --socket", ("serve --help",)
    ),
    "run `openssl rand -hex 16 > token`, and add `--token-file token`": Case(
        "serve -m tiny --host 0.0.0.0", "run `openssl rand -hex 16 > token`, and add `--token-file token`", ()
    ),
    "start one with `moss serve --detach`": Case(
        "serve --status", "start one with `moss serve --detach`", ("serve --help",)
    ),
    "name the channel, as in --channel left, or leave it out to hear them all": Case(
        "describe-speaker a.wav --channel each",
        "name the channel, as in --channel left, or leave it out to hear them all",
        ("transcribe stereo.wav --channel left", "transcribe stereo.wav"),
    ),
    "use -o out/ -f {fmt}: a file for each task": Case(
        f"analyze a.wav --tasks transcribe -f srt --context {LONG}",
        "use -o out/ -f srt: a file for each task",
        (f"analyze a.wav --tasks transcribe -o out/ -f srt --context {LONG}",),
    ),
    "run the tasks' own commands with --ray": Case(
        "analyze a.wav --ray", "run the tasks' own commands with --ray", ("transcribe --help",)
    ),
}

# The tests that have the others: file, and what stands in it.
ELSEWHERE = {
    "`moss doctor` has the command that installs it; or use another --dtype": (
        "engine/test_without_bitsandbytes.py",
        "`moss doctor` has the command",
    ),
    "; without a model, measure a size with `--shape 4b`": ("cli/test_cli_bench.py", "measure a size with"),
    "moss completions {command} bash": ("cli/completion/test_completion_install.py", "run `moss completions install"),
    "this is a bug; run again with --debug for details": ("cli/test_cli_boundary.py", "run again with --debug"),
    "copy it here again; of a model from the hub, `moss models pull NAME` mends what is damaged": (
        "cli/test_cli_model.py",
        "`moss models pull NAME`",
    ),
    "`moss models rm {shlex.quote(name)}` removes it": (
        "models/test_models_pull.py",
        "`moss models rm a/b` removes it",
    ),
    "run `moss models pull {shlex.quote(name)}`, which downloads what is wrong again": (
        "models/test_models_pull.py",
        "run `moss models pull a/b`, which downloads what is wrong again",
    ),
    "make it anew with `moss models quantize NAME`": ("engine/test_quantised_copy.py", "`moss models quantize NAME`"),
    "use --dtype 4bit": ("engine/test_quantised_copy.py", "holds 4-bit weights"),
    "try --dtype 4bit, a smaller --batch-size or a shorter --chunk": ("engine/test_decoding.py", "a smaller --batch-s"),
    "name another folder with -o": ("cli/test_cli_quantize.py", "name another folder with -o"),
    "try a shorter --chunk": ("cli/test_cli_boundary.py", "try a shorter --chunk"),
    "use -o {one_line(str(free))} to write this one beside it, or --force to replace it": (
        "cli/test_cli_again.py",
        "to write this one beside it",
    ),
    "mkdir -p {one_line(shlex.quote(str(path.parent)))}": ("cli/test_cli_output.py", "mkdir -p"),
    "say it in fewer words; those of --context count, too": ("backends/test_local.py", "say it in fewer words"),
    "choose one, for example `moss serve --model tiny`": ("cli/test_cli_serve.py", "`moss serve --model tiny`"),
    "say which, with --port or --socket; see `moss serve --status`": ("cli/test_cli_serve.py", "hint: say which, with"),
    "see `moss serve --status`": ("cli/test_cli_serve.py", "hint: see `moss serve --status`"),
    "see `moss serve --status`, or let --port 0 take one that is free": ("cli/test_cli_serve.py", "let --port 0 take"),
    "moss config set {key} {nearest}": ("cli/test_cli_config_set.py", "hint: run `moss config set model tiny`"),
    "see `moss ask --history`": ("cli/test_cli_ask_again.py", "hint: see `moss ask --history`"),
    "leave --channel out": ("audio/test_audio_channels.py", "leave --channel out"),
    "--channel takes 1 to {n_channels} for it, mix and each": ("audio/test_audio_channels.py", "takes 1 to "),
    "leave --track out": ("cli/test_cli_channels.py", "leave --track out"),
    "--track takes 1 to {len(tracks)} for it": ("cli/test_cli_channels.py", "takes 1 to "),
    "drop --timestamps none": ("cli/test_cli_channels.py", "drop --timestamps none"),
    "download it with `moss models pull {shlex.quote(name)}`, or see `moss models list`": (
        "cli/test_cli_model.py",
        "or see `moss models list",
    ),
    "run moss on a node of the cluster, with --ray auto": ("cluster/test_cluster_cli.py", "--ray auto"),
    "add --ray-collect: files are then sent to the nodes, and results brought back": (
        "cluster/test_cluster_runner.py",
        "--ray-collect",
    ),
}

# What no test here can bring about, and why. Their options and commands are looked up all the same.
OUT_OF_REACH = {
    "start one with `ray start --head`, or name one: --ray HOST:PORT": "needs ray",
    "download it on each node: `moss models pull {name}`": "needs a cluster whose nodes differ",
    "try --dtype 4bit, or a smaller --shape": "needs memory that is full",
    "try --dtype 4bit or --device cpu": "needs memory that is full",
    "name a folder on another disk with -o": "needs a disk that is full",
    "try a smaller --batch-size": "needs a server that is busy",
    "run it again with -o FILE": "needs an answer that changes after it was shown",
    "choose a model of this machine, for example `--model {EMBEDDED}`": "needs a server",
}

HERE = ("use --device cpu", "try --max-new-tokens {limit // 2} at most", "drop --think")  # further down
HERE += ("try a shorter --chunk, or analyse a part of it with --start and --end",)


@pytest.fixture(autouse=True)
def folder(wav: Wav, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: ScriptedBackend) -> Path:
    monkeypatch.setenv("MOSS_MODEL", "tiny")
    for name in ("a.wav", "b.wav", "others/talk.dat"):
        wav(name)
    wav("long.wav", 48_000)
    wav("stereo.wav", channels=2)
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "empty").touch()
    backend.say = lambda request, n: ANSWERS.get(next((w for w in ANSWERS if w in str(request.form)), ""), HELLO)
    return tmp_path


def test_every_hint_in_the_code_has_a_test() -> None:
    known = [*CASES, *ELSEWHERE, *OUT_OF_REACH, *HERE]
    in_code = all_hints()
    assert {text: places for text, places in in_code.items() if text not in known} == {}
    assert [text for text in known if text not in in_code] == []


@pytest.mark.parametrize("hint", CASES)
def test_a_hint_is_said_and_what_it_says_helps(moss: Moss, hint: str) -> None:
    case = CASES[hint]
    if case.config:
        config_path().write_text(case.config)
    run = moss(*shlex.split(case.typed))
    assert run.code != 0
    assert f"hint: {case.said}" in run.err
    for command in case.then:
        after = moss(*shlex.split(command))
        assert (after.code, [line for line in after.err if line.startswith("moss: error")]) == (0, []), command


@pytest.mark.parametrize("hint", ELSEWHERE)
def test_the_other_tests_have_the_others(hint: str) -> None:
    file, text = ELSEWHERE[hint]
    assert text in (TESTS / file).read_text(encoding="utf-8")


ROOT: Any = get_command(app)


def commands() -> Iterator[Any]:
    for command in ROOT.commands.values():
        yield from getattr(command, "commands", {"": command}).values()


@pytest.mark.parametrize("hint", all_hints())
def test_the_commands_and_options_of_a_hint_exist(hint: str) -> None:
    options = {name for one in commands() for p in one.params for name in (*p.opts, *p.secondary_opts)} | {"--help"}
    for command in [*COMMAND.findall(hint), *([hint] if hint.startswith("moss ") else [])]:
        found = ROOT
        for word in command.split()[1:]:
            if not hasattr(found, "commands") or word.startswith("-") or "{" in word:
                break
            found = found.commands[word]
    others = {"mkdir -p", "ray start --head", "openssl rand -hex 16"}
    text = hint
    for one in others:
        text = text.replace(one, "")
    assert set(OPTION.findall(re.sub(r"\{[^}]*\}", "", text))) <= options


def in_backticks() -> Iterator[tuple[str, str]]:
    """All commands of moss that stand in backticks in a text of the code, with the file."""
    for path in sorted((TESTS.parent / "moss_cli").rglob("*.py")):
        for text in re.findall(r"`(moss [a-z][^`{}]*)`", path.read_text(encoding="utf-8")):
            yield str(path.relative_to(TESTS.parent)), text


def test_a_command_in_a_help_text_is_one_that_there_is() -> None:
    for path, text in in_backticks():
        found, words = ROOT, text.split()[1:]
        while words and hasattr(found, "commands"):
            assert words[0] in found.commands or words[0].startswith("-") or words[0].isupper(), f"{path}: {text}"
            found = found.commands.get(words.pop(0), found)
            if words and words[0].startswith("-"):
                break


def test_a_device_that_is_missing(moss: Moss, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    for device in ("cuda", "mps"):
        run = moss("transcribe", "a.wav", "--device", device)
        assert (run.code, run.err[-1]) == (6, "hint: use --device cpu")
    assert moss("transcribe", "a.wav", "--device", "cpu").code == 0


def test_a_model_that_cannot_think(moss: Moss, backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    from moss_cli.backends.protocol import BackendInfo

    backend.info = BackendInfo("fp32", "cpu", can_think=False)
    run = moss("transcribe", "a.wav", "--think")
    assert (run.code, run.err[-1]) == (2, "hint: drop --think")
    assert moss("transcribe", "a.wav").code == 0


def test_a_limit_beyond_what_the_model_can_hold(
    folder: Path, capfd: pytest.CaptureFixture[str], handlers_restored: None
) -> None:
    line = ["transcribe", str(folder / "a.wav"), "--device", "cpu", "--no-vad", "--max-new-tokens"]
    assert run_for_real([*line, "1000000"]) == 2
    hint = capfd.readouterr().err.splitlines()[-1]
    match = re.fullmatch(r"hint: try --max-new-tokens (\d+) at most", hint)
    assert match, hint
    assert run_for_real([*line, match[1]]) in (0, 3)
    assert "at most" not in capfd.readouterr().err


def test_a_recording_that_is_too_long_for_the_model_at_once(moss: Moss) -> None:
    prompt = SimpleNamespace(ids=list(range(90)), audio_mask=np.arange(90) < 80)
    request = SimpleNamespace(prompt=prompt, most_positions=110, max_new_tokens=20)
    with pytest.raises(UsageError) as caught:
        check_fits(request, 100)  # type: ignore[arg-type]
    assert caught.value.hint == "try a shorter --chunk, or analyse a part of it with --start and --end"
    assert moss("transcribe", "long.wav", "--chunk", "1").code == 0
    assert moss("transcribe", "long.wav", "--start", "1", "--end", "2").code == 0
