"""A machine without bitsandbytes: NF4 weights are a clear error, and all else works."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from moss_cli.engine import nf4
from moss_cli.errors import DeviceError

SAMPLE = Path(__file__).parents[2] / "samples" / "weather.wav"
WITHOUT = """
import sys
sys.modules["bitsandbytes"] = None  # as if it were not installed
from moss_cli.cli.main import run
sys.exit(run(sys.argv[1:]))
"""


def test_nf4_says_what_it_needs_and_where_the_command_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(DeviceError) as caught:
        nf4._bitsandbytes()
    assert caught.value.message.startswith("4-bit weights need bitsandbytes, which does not load here: ")
    assert caught.value.hint == "`moss doctor` has the command that installs it; or use another --dtype"


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "4bit"])
def test_every_dtype_of_a_cpu_works(dtype: str) -> None:
    """4bit is the packed int4 there, which is our own."""
    line = [sys.executable, "-c", WITHOUT, "transcribe", str(SAMPLE), "-m", "tiny", "--device", "cpu"]
    done = subprocess.run([*line, "--dtype", dtype, "-f", "json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"]["dtype"] == ("int4" if dtype == "4bit" else dtype)
