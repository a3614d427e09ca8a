"""`moss bench`: arguments, the figures on stdout, and where they are kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_run import Run

pytestmark = pytest.mark.usefixtures("small_ceilings")

Moss = Callable[..., Run]
SMALL = ("bench", "--device", "cpu", "--batch", "1,2", "--audio-seconds", "2", "--new-tokens", "4")
RANDOM = (*SMALL, "--shape", "tiny")


def kept() -> list[str]:
    """The subjects whose figures are kept."""
    path = Path(os.environ["MOSS_STATE_DIR"]) / "bench.json"
    return [one["subject"]["name"] for one in json.loads(path.read_text())["results"]] if path.exists() else []


def test_the_figures_as_a_table(moss: Moss) -> None:
    run = moss(*RANDOM)
    assert (run.code, run.err) == (0, [])
    lines = run.out.splitlines()
    assert lines[0] == "tiny, random weights, fp32 on cpu"
    assert [line.split()[0] for line in lines[4:11]] == [
        *("weights", "loading", "running", "bandwidth", "matrices", "encoder", "first")
    ]
    assert "on the assumption of 4 tokens for a second of audio" in run.out
    assert kept() == ["tiny"]


def test_the_figures_as_json(moss: Moss) -> None:
    run = moss(*RANDOM, "-f", "json", "--dtype", "bf16", "--no-keep")
    document = json.loads(run.out)
    assert (run.code, document["subject"]["dtype"], document["new_tokens"]) == (0, "bf16", 4)
    assert [one["batch"] for one in document["batches"]] == [1, 2]
    assert kept() == []


def test_a_model_is_measured_with_its_own_weights(moss: Moss) -> None:
    document = json.loads(moss(*SMALL, "--model", "tiny", "-f", "json").out)
    assert (document["subject"]["name"], document["subject"]["weights"]) == ("tiny", "checkpoint")


def test_a_shape_is_measured_whatever_model_is_the_usual_one(moss: Moss, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOSS_MODEL", "no-such-model")
    document = json.loads(moss(*RANDOM, "-f", "json").out)
    assert document["subject"]["weights"] == "random"


def test_the_format_of_results_in_config_toml_is_not_that_of_figures(moss: Moss) -> None:
    (Path(os.environ["MOSS_CONFIG_DIR"]) / "config.toml").write_text('format = "srt"\n')
    assert moss(*RANDOM).out.startswith("tiny, random weights")


def test_figures_that_cannot_be_kept_are_shown_all_the_same(moss: Moss, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOSS_STATE_DIR", "/dev/null/state")
    run = moss(*RANDOM)
    assert run.code == 0
    assert run.out.startswith("tiny, random weights")
    assert len(run.err) == 1 and run.err[0].startswith("moss: warning: the figures are not kept: ")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--shape", "2b"), 2, "no such shape: 2b"),
        (("--shape", "tiny", "--model", "tiny"), 2, "--model and --shape exclude each other"),
        (("--shape", "tiny", "--batch", "1,x"), 2, "--batch 1,x: not numbers from 1 to 1024"),
        (("--shape", "tiny", "--batch", "0"), 2, "--batch 0: not numbers from 1 to 1024"),
        (("--model", "no-such-model"), 5, "no model named no-such-model"),
        (("--shape", "9984x999"), 6, "9984x999 takes"),
    ],
)
def test_what_cannot_be_measured(moss: Moss, arguments: tuple[str, ...], code: int, message: str) -> None:
    run = moss("bench", "--device", "cpu", *arguments)
    assert (run.code, run.out) == (code, "")
    assert run.err[0].startswith(f"moss: error: {message}")


def test_without_a_model_on_this_machine_the_hint_names_shapes(moss: Moss) -> None:
    run = moss("bench")
    assert run.code == 5
    assert run.err[-1].endswith("without a model, measure a size with `--shape 4b`")


def test_wrong_arguments_are_said_without_torch() -> None:
    line = (
        "import sys; from moss_cli.cli.main import run; code = run(['bench', '--shape', '2b']); "
        "print(code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True)
    assert done.stdout == "2 False\n"
