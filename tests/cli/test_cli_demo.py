"""The tour: seven commands, what each prints, and the command lines that do."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_run import DEMO

from moss_cli.backends.opening import open_backend
from moss_cli.backends.protocol import Backend
from moss_cli.cli.demo import SAMPLES, command_line, tour
from moss_cli.cli.main import run
from moss_cli.models.registry import Resolved, load_registry
from moss_cli.tasks.catalogue import TASKS

WEIGHTS = Path(__file__).parents[2] / "moss_cli" / "weights" / "tiny"


@pytest.fixture
def knows_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The embedded model, as one that was trained for everything."""
    entry = f'[models.tiny]\npath = "{WEIGHTS}"\ndemo = true\ntext_only = false\nthinking = true\nmax_seconds = 30\n'
    (tmp_path / "models.toml").write_text(entry)
    monkeypatch.setenv("MOSS_CONFIG_DIR", str(tmp_path))


def parts(out: str) -> list[tuple[str, str]]:
    """The command lines of a tour and what stands below each."""
    blocks = [block.partition("\n") for block in ("\n" + out).split("\n$ ")[1:]]
    return [(command, text) for command, _, text in blocks]


def test_the_tour_stops_at_every_command_on_a_clip_that_is_there() -> None:
    stops = tour()
    assert [stop.task.name for stop in stops] == list(TASKS)
    assert all((SAMPLES / stop.clip).is_file() for stop in stops)


def test_what_is_shown_is_what_the_commands_print(
    knows_all: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(SAMPLES.parents[1])
    toured = run(["demo"])
    captured = capfd.readouterr()
    assert captured.err.splitlines().count(DEMO) == 1
    codes, shown = [], parts(captured.out)
    assert [shlex.split(command)[1] for command, _ in shown] == list(TASKS)
    for command, text in shown:
        program, *arguments = shlex.split(command)
        assert program == "moss"
        codes.append(run([*arguments, "-q"]))
        assert capfd.readouterr().out.rstrip("\n") == text.rstrip("\n"), command
    assert toured == max(codes)


def test_the_model_is_loaded_once(knows_all: None) -> None:
    opened = []

    def counted(model: Resolved, **options: Any) -> Backend:
        opened.append(model.entry.name)
        return open_backend(model, **options)

    assert run(["demo"], open_backend=counted) == 0
    assert opened == ["tiny"]


def test_a_command_that_the_model_was_not_trained_for_is_not_run_and_said_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    entry = f'[models.tiny]\npath = "{WEIGHTS}"\ndemo = true\ntasks = ["transcribe"]\nmax_seconds = 30\n'
    (tmp_path / "models.toml").write_text(entry)
    monkeypatch.setenv("MOSS_CONFIG_DIR", str(tmp_path))
    assert run(["demo"]) == 0
    (_, transcript), *others = parts(capfd.readouterr().out)
    row = json.loads((SAMPLES / "labels.jsonl").read_text().splitlines()[0])
    assert transcript.split() == row["text"].split()
    said = [text.strip() for _, text in others]
    assert said == [f"(tiny was not trained for {task}, so its answer would be meaningless)" for task in TASKS[1:]]


def test_a_path_with_blanks_can_be_pasted() -> None:
    stop = tour()[0]
    assert command_line(stop, Path("/a b/c.wav")) == "moss transcribe '/a b/c.wav' --model tiny"


def test_the_registry_says_which_tasks_a_model_knows() -> None:
    entries = load_registry().entries
    assert entries["tiny"].knows("transcribe")
    assert all(entries["4b-instruct"].knows(task) for task in TASKS)


def test_its_help_is_quick() -> None:
    code = (
        "import sys; from moss_cli.cli.main import run; run(['demo', '--help']); "
        "sys.exit(bool({'torch', 'numpy', 'tokenizers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=False).returncode == 0
