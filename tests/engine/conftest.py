"""What the tests of the engine share."""

from __future__ import annotations

from pathlib import Path

import pytest

import moss_cli
from moss_cli.engine.engine import Engine, load_engine


@pytest.fixture(scope="package")
def engine() -> Engine:
    """Random weights with the released models' vocabulary."""
    folder = Path(__file__).parents[1] / "fixtures" / "reference" / "checkpoint"
    return load_engine(folder, device="cpu", dtype="fp32")


@pytest.fixture(scope="package")
def tiny() -> Engine:
    """The embedded model."""
    return load_engine(Path(moss_cli.__file__).parent / "weights" / "tiny", device="cpu", dtype="fp32")
