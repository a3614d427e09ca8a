"""`moss doctor`: its lines, its JSON, its exit code, and that what it prints mends what it found."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_run import Run

from moss_cli.cli.doctor import report_lines
from moss_cli.doctor.check import Check, install

Moss = Callable[..., Run]
NAMES = ["moss", "Python", "torch", "GPU", "cpu", "4-bit", "codecs", "cache", "config", "completion"]
MODELS = ["tiny", "4b-instruct", "4b-thinking", "8b-instruct", "8b-thinking", "music-8b-instruct", "music-8b-thinking"]
CHECKS = (Check("moss", "ok", "0.1.0"), Check("torch", "warning", "é", "unset X"), Check("GPU", "error", "gone", "a"))
PULL = "moss models pull 4b-instruct"


class Terminal(io.TextIOWrapper):
    """A stream that says that it is one."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def a_cpu_and_a_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without GPU whose user has a shell, and no models."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("moss_cli.doctor.places.nearest_folder", lambda _: cache)
    monkeypatch.setattr("moss_cli.doctor.software.DRIVER", cache / "no driver")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    monkeypatch.setattr("moss_cli.engine.devices.free_bytes", lambda _: 30_000_000_000)
    monkeypatch.setenv("SHELL", "/bin/sh")


def document(moss: Moss, *arguments: str) -> tuple[int, dict[str, dict]]:
    """The exit code, and the checks by name."""
    run = moss("doctor", "-f", "json", *arguments)
    return run.code, {check["name"]: check for check in json.loads(run.out)["checks"]}


def test_the_default_model_that_is_missing_is_exit_code_1_and_told_how_to_get(moss: Moss) -> None:
    run = moss("doctor")
    lines = run.out.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("✗ 4b-instruct (default)  not on this machine, "))
    assert (run.code, run.err, lines[at + 1]) == (1, [], f"  → {PULL}")
    assert not [line for line in lines if line.startswith("!")]


def test_with_the_embedded_model_as_the_default_all_is_well(moss: Moss, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOSS_MODEL", "tiny")
    run = moss("doctor")
    assert run.code == 0
    assert [line[:2] for line in run.out.splitlines()] == ["✓ "] * (len(NAMES) + len(MODELS))
    assert "✓ tiny (default)     runs as fp32 on cpu; speed: moss bench --model tiny\n" in run.out


def test_the_keys_of_the_json_are_these(moss: Moss) -> None:
    run = moss("doctor", "-f", "json", "--model", "tiny")
    found = json.loads(run.out)
    assert list(found) == ["moss", "default_model", "can_run", "checks"]
    assert (found["default_model"], found["can_run"]) == ("tiny", True)
    assert [check["name"] for check in found["checks"]] == [*NAMES, "tiny (default)", *MODELS[1:]]
    assert {tuple(check) for check in found["checks"]} == {("name", "status", "text", "fix", "facts")}
    facts = {check["name"]: list(check["facts"]) for check in found["checks"]}
    assert facts["torch"] == ["version", "cuda", "cuda_devices"]
    assert facts["cpu"] == ["device", "free_bytes", "total_bytes", "fits"]
    assert facts["4-bit"] == ["kind", "device", "bitsandbytes"]
    assert facts["cache"] == ["folder", "free_bytes", "quantised"]
    assert facts["config"] == ["folder", "files", "variables"]
    assert facts["completion"] == ["shell", "script"]
    assert facts["8b-instruct"] == ["model", "here", "device", "dtype", "real_time"]


@pytest.mark.parametrize("variable", ["MOSS_MODEL=no-such", "MOSS_DEVICE=cuda"])
def test_what_the_printed_command_sets_mends_what_was_found(
    moss: Moss, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv("MOSS_MODEL", "tiny")
    monkeypatch.setenv(*variable.split("="))
    code, checks = document(moss)
    fixes = {check["fix"] for check in checks.values() if check["status"] == "error"}
    assert (code, len(fixes)) == (1, 1)
    name, value = fixes.pop().removeprefix("export ").split("=")
    monkeypatch.setenv(name, value)
    code, checks = document(moss)
    assert (code, {check["status"] for check in checks.values()}) == (0, {"ok"})


@pytest.mark.parametrize(("name", "code"), [("config.toml", 0), ("models.toml", 1)])
def test_a_config_file_that_is_no_toml_is_a_line_of_the_report(moss: Moss, name: str, code: int) -> None:
    path = Path(os.environ["MOSS_CONFIG_DIR"]) / name
    path.write_text("what = \n")
    got, checks = document(moss, "--model", "tiny")
    assert (got, checks["config"]["status"], checks["config"]["fix"]) == (code, "error", f"${{EDITOR:-vi}} {path}")
    assert checks["codecs"]["status"] == "ok"


def test_other_commands_still_stop_at_a_config_file_that_is_no_toml(moss: Moss) -> None:
    (Path(os.environ["MOSS_CONFIG_DIR"]) / "config.toml").write_text("what = \n")
    assert moss("models", "list").code == 2


def test_the_model_of_config_toml_is_the_one_that_has_to_run(moss: Moss) -> None:
    (Path(os.environ["MOSS_CONFIG_DIR"]) / "config.toml").write_text('model = "tiny"\nformat = "srt"\n')
    code, checks = document(moss)
    assert (code, checks["tiny (default)"]["status"]) == (0, "ok")


@pytest.mark.usefixtures("small_ceilings")
def test_figures_that_were_kept_are_shown(moss: Moss) -> None:
    small = ("--device", "cpu", "--batch", "1", "--audio-seconds", "2", "--new-tokens", "4")
    assert moss("bench", "--model", "tiny", *small).code == 0
    _, checks = document(moss)
    assert checks["tiny"]["facts"]["real_time"] > 0
    assert checks["tiny"]["text"].endswith(" x real time")


def test_lines_stand_in_columns_with_the_command_below() -> None:
    lines = list(report_lines(CHECKS, io.TextIOWrapper(io.BytesIO(), encoding="utf-8")))
    assert lines == ["✓ moss   0.1.0", "! torch  é", "  → unset X", "✗ GPU    gone", "  → a"]


def test_where_the_encoding_has_no_marks_they_are_ascii() -> None:
    lines = list(report_lines(CHECKS, io.TextIOWrapper(io.BytesIO(), encoding="ascii")))
    assert lines == ["+ moss   0.1.0", "! torch  \\xe9", "  -> unset X", "x GPU    gone", "  -> a"]


def test_marks_are_coloured_on_a_terminal_unless_no_color_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal(io.BytesIO(), encoding="utf-8")
    assert list(report_lines(CHECKS, stream))[::2] == [
        "\x1b[32m✓\x1b[0m moss   0.1.0",
        "  → unset X",
        "  → a",
    ]
    monkeypatch.setenv("NO_COLOR", "1")
    assert not [line for line in report_lines(CHECKS, stream) if "\x1b" in line]


def test_a_package_that_does_not_load_is_told_with_the_command_that_installs_it() -> None:
    code = "import sys; sys.modules['torch'] = None; from moss_cli.cli.main import run; sys.exit(run(['doctor']))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    error, hint = run.stderr.splitlines()
    assert (run.returncode, run.stdout) == (1, "")
    assert error.startswith("moss: error: a package that moss needs does not load: ")
    assert hint == f"hint: run `{install('--force-reinstall', 'torch')}`"


def test_without_libsndfile_the_codecs_are_an_error_and_the_rest_is_told() -> None:
    code = "import sys; sys.modules['soundfile'] = None; from moss_cli.cli.main import run; sys.exit(run(sys.argv[1:]))"
    line = [sys.executable, "-c", code, "doctor", "-f", "json", "--model", "tiny"]
    run = subprocess.run(line, capture_output=True, text=True)
    checks = {check["name"]: check for check in json.loads(run.stdout)["checks"]}
    assert (run.returncode, checks["codecs"]["status"], checks["4-bit"]["status"]) == (0, "error", "ok")
    assert checks["codecs"]["fix"] == install("--force-reinstall", "av", "soundfile", "soxr")


def test_its_help_is_light() -> None:
    code = "import sys; from moss_cli.cli.main import run; run(['doctor', '--help']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_a_key_of_config_toml_that_no_option_has_is_told_on_its_line(moss: Run) -> None:
    path = Path(os.environ["MOSS_CONFIG_DIR"]) / "config.toml"
    path.write_text('modell = "tiny"\n')
    found = moss("doctor", "--model", "tiny", "-f", "json")
    checks = {check["name"]: check for check in json.loads(found.out)["checks"]}
    assert checks["config"]["status"] == "error" and "modell" in checks["config"]["text"]
    assert found.code == 0
