"""docs/examples.md shows what the commands print."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from moss_cli.output.formats import FORMATS, has_times
from moss_cli.tasks.catalogue import TASKS

DOCS = Path(__file__).parents[1] / "docs"

REMAKE = """docs/examples.md is not what the commands print (the diff goes from the page to them).
If the change is meant, `make examples` writes the page anew: read its diff, and commit it.
If only last digits differ, this processor's floating-point sums are others than those of the page; the page is right
as long as the machine that runs the tests in CI agrees with it."""


@pytest.fixture
def make_examples(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script as a module."""
    monkeypatch.syspath_prepend(str(DOCS))
    return importlib.import_module("make_examples")


def test_the_page_shows_what_the_commands_print() -> None:
    script = [sys.executable, str(DOCS / "make_examples.py"), "--check"]
    check = subprocess.run(script, capture_output=True, text=True, encoding="utf-8", timeout=300, check=False)
    assert check.returncode == 0, f"{REMAKE}\n\n{check.stdout}{check.stderr}"


def test_the_page_shows_every_command_in_its_formats() -> None:
    page = (DOCS / "examples.md").read_text(encoding="utf-8")
    commands = [line.split() for line in page.splitlines() if line.startswith("$ moss ")]
    shown = {task: {word for words in commands if words[2] == task for word in words} for task in TASKS}
    assert shown["transcribe"] >= set(FORMATS)
    for task in TASKS:
        assert shown[task] >= {"txt", "json", "md"} | ({"srt"} if has_times(task, None) else set()), task


def test_what_a_run_took_is_the_same_each_time_and_all_else_stays(make_examples: Any) -> None:
    printed = '{"audio_seconds": 7.584, "load_seconds": 0.123, "seconds": 12.3e-05}, {"seconds": 3}'
    fixed = '{"audio_seconds": 7.584, "load_seconds": 0.1, "seconds": 0.5}, {"seconds": 0.5}'
    assert make_examples.without_times(printed) == fixed
    said = '"text": "\\"seconds\\": 4"'
    assert make_examples.without_times(said) == said


def test_a_page_that_differs_is_shown_as_a_diff(
    make_examples: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "examples.md"
    page.write_text("one\ntwo\n")
    monkeypatch.setattr(make_examples, "PAGE", page)
    monkeypatch.setattr(make_examples, "make_page", lambda: "one\nthree\n")
    monkeypatch.setattr(make_examples, "set_environment", lambda config: None)
    assert make_examples.main(["--check"]) == 1
    assert capsys.readouterr().out.splitlines()[-3:] == [" one", "-two", "+three"]
    assert make_examples.main([]) == 0
    assert make_examples.main(["--check"]) == 0


def test_a_command_that_ends_otherwise_than_expected_makes_no_page(make_examples: Any) -> None:
    gone = make_examples.Example("gone", "", "moss transcribe gone.wav --model tiny", exit_code=0)
    with pytest.raises(SystemExit, match=r"no such file: gone\.wav"):
        make_examples.run_example(gone)


def test_a_fence_is_longer_than_those_in_the_text(make_examples: Any) -> None:
    assert make_examples.fenced("a ```` b\n", "text") == "`````text\na ```` b\n`````"
