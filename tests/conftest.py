"""What the whole suite shares."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

# Before anything imports torch: two test processes on two cores should not spin against each other.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

with suppress(ImportError):  # torch's compiler imports it, which fails once something else has imported distutils
    import setuptools  # noqa: F401

from hypothesis import settings

settings.register_profile("shared", deadline=None, max_examples=100)
settings.load_profile("shared")

# A shell's background jobs ignore SIGINT, nohup's SIGHUP, and what they start does so as well.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

# Hundreds of processes are started, and each would compile the package again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture(scope="session", autouse=True)
def own_compilations(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What torch compiles for training is shared by nobody: another process may be killed while it writes it."""
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(tmp_path_factory.mktemp("inductor"))


@pytest.fixture(scope="session")
def reference() -> Path:
    """The reference data: a random checkpoint in the published format and what it should compute."""
    return FIXTURES / "reference"


@pytest.fixture(autouse=True)
def own_config(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the config, the variables, the state or the hub cache of whoever runs it."""
    for name in [n for n in os.environ if n.startswith("MOSS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MOSS_CONFIG_DIR", str(tmp_path_factory.mktemp("config")))
    monkeypatch.setenv("MOSS_STATE_DIR", str(tmp_path_factory.mktemp("state")))
    monkeypatch.setenv("MOSS_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path_factory.mktemp("hub")))


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """A command with --verbose in this process leaves its handler, whose stream is closed by the next test."""
    log = logging.getLogger("moss_cli")
    before = log.level, log.propagate, log.handlers[:]
    yield
    log.level, log.propagate, log.handlers[:] = before


@pytest.fixture(scope="module")
def small_ceilings() -> Iterator[None]:
    """What a device can do is measured with little, not as a benchmark that is to be believed does."""
    from moss_cli.bench import ceilings

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ceilings.LARGE, "cpu", 1 << 20)
        patch.setitem(ceilings.LEAST_S, "cpu", 1e-4)
        yield
