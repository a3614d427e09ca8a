"""docs/reference/ and man/ are what the program says of itself."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from moss_cli import settings
from moss_cli.cli.app import app
from moss_cli.codes import ERRORS, EXIT_CODES, WARNINGS
from moss_cli.output.json_schema import json_schema
from moss_cli.tasks.catalogue import TASKS

ROOT = Path(__file__).parents[1]
PAGES, MANUALS = ROOT / "docs" / "reference", ROOT / "man"
COMMANDS = list(get_command(app).commands)


def making(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    return importlib.import_module(name)


def test_the_pages_are_current() -> None:
    """If this fails: make reference."""
    script = [sys.executable, str(ROOT / "docs" / "make_reference.py"), "--check"]
    check = subprocess.run(script, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert (check.returncode, check.stdout, check.stderr) == (0, "", "")


def test_a_page_that_is_not_current_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = making("make_reference", monkeypatch)
    monkeypatch.setattr(script, "ROOT", tmp_path)
    page, other = tmp_path / "man" / "a.1", tmp_path / "man" / "b.1"
    assert script.stale({page: "a\n"}) == ["man/a.1"]
    script.write({page: "a\n", other: "b\n"})
    assert script.stale({page: "a\n", other: "b\n"}) == []
    assert script.stale({page: "A\n"}) == ["man/a.1", "man/b.1"]
    script.write({page: "A\n"})
    assert (page.read_text(), other.exists()) == ("A\n", False)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_s_page_has_every_option_variable_and_argument(name: str) -> None:
    text = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    manual = (MANUALS / f"moss-{name}.1").read_text(encoding="utf-8").replace("\\-", "-")
    command = get_command(app).commands[name]
    for one in getattr(command, "commands", {"": command}).values():
        for param in (one for one in one.params if not getattr(one, "hidden", False)):
            for option in (*param.opts, *param.secondary_opts) if param.param_type_name == "option" else ():
                assert f"`{option}`" in text and f"\\fB{option}\\fR" in manual
            assert param.envvar is None or (f"`{param.envvar}`" in text and param.envvar in manual)
    for sub in getattr(command, "commands", {}):
        assert f"## moss {name} {sub}\n" in text and f'.SS "moss {name} {sub}"' in manual


def test_options_have_their_default_limits_and_choices() -> None:
    text = (PAGES / "transcribe.md").read_text(encoding="utf-8")
    assert (
        "| `--temperature` | `T`, from 0 to 10 | `0.0` | Randomness of the answer; 0 always takes the most likely "
        "token. | `MOSS_TEMPERATURE`, `temperature` |\n" in text
    )
    assert "| `--timestamps` | `segment`, `word`, `none` | `segment` |" in text
    assert "| `--vad`, `--no-vad` |  | `--vad` |" in text
    assert "| `--chunk` | `SECONDS`, at least 1 | depends on the model |" in text
    bench = (PAGES / "bench.md").read_text(encoding="utf-8")
    assert (
        "| `--keep`, `--no-keep` |  | `--keep` | Keep the figures for `moss doctor`. | `keep` in its table |" in bench
    )


def test_every_code_has_its_row() -> None:
    codes = (PAGES / "codes.md").read_text(encoding="utf-8")
    for code, text in [*ERRORS.items(), *WARNINGS.items()]:
        assert f"| `{code}` | {text} |" in codes
    exit_codes = (PAGES / "exit-codes.md").read_text(encoding="utf-8")
    for number, text in EXIT_CODES.items():
        assert f"| {number} | {text.replace('|', chr(92) + '|')} |" in exit_codes


def test_every_field_of_the_json_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = making("making.fields", monkeypatch)
    page = (PAGES / "json.md").read_text(encoding="utf-8")
    for task in TASKS:
        schema = json_schema(task)
        for name, record in schema["$defs"].items():
            for one in fields.fields_of(record, schema["$defs"]):
                assert one.about, f"{task}: {name}.{one.path} has no description"
                assert f"{one.path}` | {one.type} | {one.about} |" in page


def test_every_variable_that_is_read_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    explained = making("making.variables", monkeypatch).VARIABLES
    page = (PAGES / "variables.md").read_text(encoding="utf-8")
    read = set()
    for path in (ROOT / "moss_cli").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        read |= set(re.findall(r"environ(?:\.get\(|\[)[\"']([A-Z][A-Z_]+)", text))
        read |= {settings.ENV_PREFIX + name for name in re.findall(r"ENV_PREFIX \+ \"([A-Z_]+)\"", text)}
    named = {"BASH_COMPLETION_USER_DIR", "FPATH", "XDG_DATA_DIRS", "XDG_DATA_HOME", "ZDOTDIR"}  # of the shells
    assert all(f"| `{name}` |" in page for name in explained)
    options = {p.envvar for one in get_command(app).commands.values() for p in getattr(one, "params", []) if p.envvar}
    assert all(f"| `{name}` | `--" in page for name in options)
    assert read - named <= set(explained) | options


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="mandoc is not installed")
@pytest.mark.parametrize("path", sorted(MANUALS.glob("*.1")), ids=lambda path: path.name)
def test_a_manual_page_has_nothing_that_mandoc_warns_of(path: Path) -> None:
    lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(path)], capture_output=True, text=True)
    assert [line for line in lint.stdout.splitlines() if "missing date" not in line] == []
    shown = subprocess.run(["mandoc", "-T", "utf8", "-O", "width=80", str(path)], capture_output=True, text=True)
    text = re.sub(".\b", "", shown.stdout)
    assert "NAME" in text and "SEE ALSO" in text


def test_there_is_a_manual_page_for_moss_and_for_each_command() -> None:
    assert {path.name for path in MANUALS.iterdir()} == {"moss.1", *(f"moss-{name}.1" for name in COMMANDS)}
    assert [line for line in (MANUALS / "moss.1").read_text().splitlines() if line.startswith(".SH")] == [
        ".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION", ".SH COMMANDS", '.SH "OPTIONS"', ".SH EXIT STATUS",
        ".SH ENVIRONMENT", ".SH FILES", ".SH SEE ALSO",
    ]  # fmt: skip
