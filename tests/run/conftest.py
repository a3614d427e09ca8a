"""What the tests of the tasks share."""

from __future__ import annotations

from pathlib import Path

import pytest

import moss_cli
from moss_cli.engine.engine import Engine, load_engine


@pytest.fixture(scope="package")
def engine() -> Engine:
    return load_engine(Path(moss_cli.__file__).parent / "weights" / "tiny", device="cpu", dtype="fp32")
