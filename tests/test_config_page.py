"""The examples of docs/config.md."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from moss_cli.cli.main import run
from moss_cli.settings import config_path

PAGE = (Path(__file__).parents[1] / "docs/config.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", PAGE, re.DOTALL)
FILES = [text for kind, text in BLOCKS if kind == "toml"]
MACHINES = [dict(re.findall(r"export (\w+)=(\S+)", text)) for kind, text in BLOCKS if kind == "sh"]


def shown(capfd: pytest.CaptureFixture[str], *words: str) -> dict[str, tuple[object, object]]:
    """Of each option, its value and what set it."""
    capfd.readouterr()
    assert run(["config", "show", *words, "-f", "json"]) == 0
    options = json.loads(capfd.readouterr().out)["options"]
    return {one["option"]: (one["value"], one["variable"] or one["line"]) for one in options}


def test_the_first_file_holds_for_all_commands_but_for_its_table(capfd: pytest.CaptureFixture[str]) -> None:
    config_path().write_text(FILES[0])
    assert shown(capfd, "scene")["max-duration"] == ("8h", 3)
    assert shown(capfd, "transcribe")["speakers"] == (True, 8)


@pytest.mark.parametrize(
    ("machine", "model", "device", "dtype"),
    [(0, "8b-instruct", "cuda:1", "bf16"), (1, "4b-instruct", "cpu", "4bit")],
)
def test_two_machines_share_a_file_and_differ_in_variables(
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    machine: int,
    model: str,
    device: str,
    dtype: str,
) -> None:
    config_path().write_text(FILES[1])
    for name, value in MACHINES[machine].items():
        monkeypatch.setenv(name, value)
    found = shown(capfd, "transcribe")
    assert found["model"] == (model, "MOSS_MODEL")
    assert found["device"] == (device, "MOSS_DEVICE")
    assert found["dtype"] == (dtype, "MOSS_DTYPE")
    assert found["language"] == ("English", 6)
    assert shown(capfd, "summarize")["style"] == ("meeting", 10)


def test_the_error_is_the_one_that_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    config_path().write_text('# mine\nmodle = "tiny"\n')
    assert run(["schema", "scene"]) == 2
    said = capfd.readouterr().err.replace(str(config_path()), "/home/ana/.config/moss/config.toml")
    assert ("", said) in BLOCKS
