"""A hub on this machine, and an empty cache."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from loopback_hub import LoopbackHub, serving


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache, empty; also for processes that are started."""
    folder = tmp_path / "hub"
    monkeypatch.setenv("HF_HUB_CACHE", str(folder))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    return folder


@pytest.fixture
def hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    """A hub that every call reaches in the place of the real one, without a token or a proxy."""
    with serving() as made:
        monkeypatch.setenv("HF_ENDPOINT", made.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", made.url)
        template = f"{made.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(cache / "no-token"))
        yield made


@dataclass(frozen=True)
class Ended:
    """What a run of the command gave: exit code, stdout, and the lines on stderr."""

    code: int
    out: str
    err: list[str]


@pytest.fixture
def moss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], cache: Path
) -> Iterator[Callable[..., Ended]]:
    """Runs `moss models` with the arguments, in an empty folder and off a terminal."""
    from moss_cli.cli.main import run

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    monkeypatch.chdir(tmp_path)

    def run_here(*argv: str) -> Ended:
        capfd.readouterr()
        code = run(["models", *argv])
        captured = capfd.readouterr()
        return Ended(code, captured.out, captured.err.splitlines())

    yield run_here
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


TINY = Path(__file__).parents[2] / "moss_cli" / "weights" / "tiny"


@pytest.fixture(scope="session")
def tiny_files() -> dict[str, bytes]:
    """A whole checkpoint that the engine runs."""
    return {path.name: path.read_bytes() for path in TINY.iterdir()}
