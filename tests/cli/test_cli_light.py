"""What needs no model does without torch, whose import alone takes longer than all the rest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

RUN = (
    "import sys; from moss_cli.cli.main import run; code = run(sys.argv[1:]); "
    "print('torch' in sys.modules, file=sys.stderr); sys.exit(code)"
)
TINY = ["--model", "tiny"]


def moss(folder: Path, *arguments: str) -> tuple[int, bool]:
    """The exit code, and whether torch was imported."""
    done = subprocess.run([sys.executable, "-c", RUN, *arguments], cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stderr.splitlines()[-1] == "True"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    samples = np.random.default_rng(0).standard_normal(8_000) * 0.001
    soundfile.write(tmp_path / "in" / "a.wav", samples, 16_000)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["transcribe", *TINY, "in/a.wav", "-f", "srt", "-f", "json"], 2),
        (["summarize", *TINY, "in/a.wav", "--start", "9", "--end", "1"], 2),
        (["scene", *TINY, "in/a.wav", "--max-duration", "0"], 2),
        (["music", "--model", "no-such-model", "in/a.wav"], 5),
        (["analyze", *TINY, "in/a.wav", "--tasks", "ask"], 2),
        (["analyze", *TINY, "in/a.wav", "-f", "srt"], 2),
    ],
)
def test_a_usage_error_is_said_without_torch(folder: Path, arguments: list[str], code: int) -> None:
    assert moss(folder, *arguments) == (code, False)


def test_what_devices_there_are_only_torch_knows(folder: Path) -> None:
    assert moss(folder, "emotion", *TINY, "gone.wav", "--device", "tpu") == (2, True)


def test_a_folder_that_is_done_is_passed_over_without_torch(folder: Path) -> None:
    for command in (["transcribe"], ["analyze", "--tasks", "transcribe,scene", "-f", "json"]):
        line = [*command, *TINY, "in", "-o", "out/"]
        assert moss(folder, *line) == (0, True)
        assert moss(folder, *line) == (0, False)
