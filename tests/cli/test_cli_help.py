"""Help: options in groups, text as it was written, quick."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable

import pytest
from typer.main import get_command

from moss_cli.cli.app import app
from moss_cli.cli.help import ARGUMENTS, PANELS, SERVER
from moss_cli.cli.main import run
from moss_cli.tasks.catalogue import CATALOGUE, TASKS, TaskEntry, entry

EACH = pytest.mark.parametrize("task", CATALOGUE, ids=lambda task: task.name)
OTHERS = [["batch", "status"], ["batch", "clean"], ["demo"], ["schema"], ["inspect"], ["bench"], ["doctor"]]
OTHERS += [
    ["completions"],
    ["completions", "install"],
    ["config"],
    ["config", "show"],
    ["config", "path"],
    ["config", "set"],
    ["config", "unset"],
]


HelpOf = Callable[..., str]


@pytest.fixture
def help_of(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> HelpOf:
    """What `--help` prints behind these words, in a pipe."""
    monkeypatch.setenv("COLUMNS", "80")

    def text(*words: str) -> str:
        assert run([*words, "--help"]) == 0
        return capfd.readouterr().out

    return text


def sections(text: str) -> dict[str, str]:
    """The text below each heading."""
    parts = re.split(r"^(\w+):\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@EACH
def test_options_stand_in_groups(help_of: HelpOf, task: TaskEntry) -> None:
    found = sections(help_of(task.name))
    assert list(found) == [*(panel for panel in PANELS if panel != SERVER), "Examples"]
    command = get_command(app).commands[task.name]
    for param in command.params:
        panel = getattr(param, "rich_help_panel", None) or ARGUMENTS
        assert param.param_type_name == "argument" or param.opts[0] in found[panel]
    assert found["Options"] == "  -h, --help  Show this message and exit.\n\n"


def test_the_options_of_a_group() -> None:
    command = get_command(app).commands["transcribe"]
    groups: dict[str, list[str]] = {}
    for param in command.params:
        groups.setdefault(getattr(param, "rich_help_panel", None) or ARGUMENTS, []).append(param.name or "")
    assert groups["Task"] == ["timestamps", "speakers", "language", "prompt", "context"]
    assert groups["Inputs"] == ["include", "exclude", "files_from"]
    assert groups["Audio"] == ["start", "end", "channel", "track", "chunk", "max_duration", "time_markers", "vad"]


@pytest.mark.parametrize("words", [[], *([task] for task in TASKS), *OTHERS], ids=" ".join)
def test_no_line_but_an_example_is_wider_than_a_terminal(help_of: HelpOf, words: list[str]) -> None:
    before, _, _ = help_of(*words).partition("\nExamples:\n")
    assert max(map(len, before.splitlines())) <= 80


@EACH
def test_examples_can_be_pasted(help_of: HelpOf, task: TaskEntry) -> None:
    assert sections(help_of(task.name))["Examples"] == "".join(f"  {line}\n" for line in task.examples)


def test_brackets_stand_as_they_are_and_nothing_is_coloured(help_of: HelpOf) -> None:
    shown = help_of("ask")
    assert shown.startswith("Usage: moss ask [OPTIONS] QUESTION [INPUT...]\n\n")
    assert "[default: on a terminal]" in shown
    assert "\x1b" not in shown
    assert not set(shown) & set("╭╰│─")


def test_the_text_of_a_task_is_that_of_the_catalogue(help_of: HelpOf) -> None:
    assert entry("ask").more in " ".join(help_of("ask").split())
    assert f"  {entry('scene').help}\n" in help_of("scene")


RUN = """
import sys
from moss_cli.cli.main import run
code = run(sys.argv[1:])
print(sorted({"torch", "numpy", "rich", "tokenizers"} & set(sys.modules)), file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize(
    ("words", "variables"),
    [
        (["--help"], {}),
        (["transcribe", "--help"], {}),
        (["scene", "--help"], {}),
        ([""], {"_MOSS_COMPLETE": "bash"}),
        (["schema", ""], {"_MOSS_COMPLETE": "zsh"}),
        (["scene", "--f"], {"_MOSS_COMPLETE": "fish"}),
        (["scene", "-m", ""], {"_MOSS_COMPLETE": "bash"}),
        (["scene", ""], {"_MOSS_COMPLETE": "bash"}),
        (["config", "set", "se"], {"_MOSS_COMPLETE": "bash"}),
    ],
)
def test_help_and_completion_load_nothing_heavy(words: list[str], variables: dict[str, str]) -> None:
    environment = os.environ | variables
    done = subprocess.run([sys.executable, "-c", RUN, *words], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "[]")
    assert done.stdout
