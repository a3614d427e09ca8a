"""`moss models quantize`: a 4-bit copy that `--dtype 4bit` finds, or a folder that is a model of its own."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_run import Run

from moss_cli.models.registry import resolve

Moss = Callable[..., Run]
Wav = Callable[..., Path]
FOUR_BIT = ("nf4", "int4")


@pytest.fixture
def backend() -> None:
    """The real one here."""


def test_a_named_model_is_copied_to_where_4bit_looks_for_it(moss: Moss, wav: Wav) -> None:
    made = moss("models", "quantize", "tiny")
    folder = Path(made.out.strip())
    assert made.code == 0 and folder.parent == Path(os.environ["MOSS_CACHE_DIR"]) / "quantised"
    assert folder.name.startswith("tiny-") and (folder / "config.json").is_file()
    assert json.loads(moss("models", "show", "tiny", "--json").out)["quantised"] == str(folder)
    assert "4-bit copy" in next(line for line in moss("models", "list").out.splitlines() if line.startswith("tiny "))
    weights = next(folder.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:1000])  # so that who reads it fails
    argv = ("transcribe", str(wav("a.wav", 3)), "-m", "tiny")
    assert moss(*argv, "--dtype", "4bit").code == 5
    assert moss(*argv, "--dtype", "fp32").code == 0


def test_a_folder_is_copied_into_another_that_is_a_model_too(moss: Moss, wav: Wav, tmp_path: Path) -> None:
    source = shutil.copytree(resolve("tiny").folder, tmp_path / "source")
    made = moss("models", "quantize", f"{source}/", "-o", str(tmp_path / "small"))
    assert (made.code, made.out.strip()) == (0, str(tmp_path / "small"))
    shutil.rmtree(source)
    answer = moss("transcribe", str(wav("a.wav", 3)), "-m", f"{tmp_path / 'small'}/", "-f", "json")
    assert json.loads(answer.out)["model"]["dtype"] in FOUR_BIT


def test_a_model_without_a_copy_says_so_by_saying_nothing(moss: Moss) -> None:
    assert json.loads(moss("models", "show", "tiny", "--json").out)["quantised"] is None
    assert "4-bit copy" not in moss("models", "list").out
    assert "quantised" not in moss("models", "show", "tiny").out


def test_the_envelope_says_what_4bit_was(moss: Moss, wav: Wav) -> None:
    answer = moss("transcribe", str(wav("a.wav", 3)), "-m", "tiny", "--dtype", "4bit", "-f", "json")
    assert json.loads(answer.out)["model"]["dtype"] in FOUR_BIT


def test_a_folder_that_is_not_empty_is_a_usage_error(moss: Moss, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    made = moss("models", "quantize", "tiny", "-o", str(tmp_path / "mine"))
    assert made.code == 2
    assert made.err == [
        f"moss: error: {tmp_path / 'mine'} is not empty, and no copy that moss made",
        "hint: name another folder with -o",
    ]


def test_a_file_in_the_place_of_the_folder_is_a_usage_error(moss: Moss, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    made = moss("models", "quantize", "tiny", "-o", str(tmp_path / "notes.txt"))
    assert made.code == 2
    assert made.err == [
        f"moss: error: {tmp_path / 'notes.txt'} is not a folder",
        "hint: name another folder with -o",
    ]
    assert (tmp_path / "notes.txt").read_text() == "x"


def test_the_printed_folder_is_one_that_model_takes(
    moss: Moss, wav: Wav, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = moss("models", "quantize", "tiny", "-o", "small")
    assert (made.code, made.out.strip()) == (0, str(tmp_path / "small"))
    assert moss("transcribe", str(wav("a.wav", 3)), "-m", made.out.strip()).code == 0
