"""A `Moss` that asks a server: the same results, without torch."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys, warnings
from moss_cli import Moss
warnings.simplefilter("ignore")
result = Moss(sys.argv[1]).transcribe(sys.argv[2])
print(result)
assert result.envelope.model.name.startswith("tiny @ 127.0.0.1")
assert "torch" not in sys.modules
"""


def python(*arguments: str) -> str:
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=variables, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def url() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    try:
        yield python("-m", "moss_cli", "serve", "-m", "tiny", "--detach", "--port", port).strip()
    finally:
        python("-m", "moss_cli", "serve", "--stop", "--port", port)


def test_a_server_is_a_model_too_and_needs_no_torch(url: str) -> None:
    assert python("-c", PROGRAM, url, str(ROOT / "samples" / "meeting.wav")).splitlines() == [
        "good morning everyone",
        "the meeting starts on monday at nine",
        "david needs twenty minutes for the budget",
    ]
