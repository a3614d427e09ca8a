"""Runs the command line inside the test process, with a backend that says what a test wants."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from cli_run import Run, split
from scripted_backend import ScriptedBackend, opening


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> ScriptedBackend:
    """What answers: every clip with one sentence, unless a test has it say something else. All audio is speech."""
    monkeypatch.setattr("moss_cli.run.speech_pieces.silent_stretches", lambda *_: [])
    return ScriptedBackend()


@pytest.fixture
def handlers_restored() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def moss(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    backend: ScriptedBackend | None,
    handlers_restored: None,
) -> Callable[..., Run]:
    """Runs `moss` with the arguments in an empty folder; `stdin` is what it finds there."""
    from moss_cli.cli.main import run

    monkeypatch.chdir(tmp_path)

    def run_here(*argv: str, stdin: bytes = b"") -> Run:
        piped = tmp_path.with_name(tmp_path.name + ".stdin")
        piped.write_bytes(stdin)
        capfd.readouterr()
        with piped.open(encoding="utf-8") as stream, monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", stream)
            code = run(argv, open_backend=None if backend is None else opening(backend))
        captured = capfd.readouterr()
        return Run(code, captured.out, *split(captured.err.splitlines()))

    return run_here


@pytest.fixture
def wav(tmp_path: Path) -> Callable[..., Path]:
    """Writes a short recording into the folder in which `moss` runs."""

    def write(name: str, samples: np.ndarray | int = 1600, rate: int = 16_000, channels: int = 1, **kind: str) -> Path:
        if isinstance(samples, int):
            samples = np.random.default_rng(0).uniform(-0.1, 0.1, (samples, channels)).astype(np.float32)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        plain = tmp_path.with_name(tmp_path.name + ".wav")  # soundfile has no names that are not UTF-8
        soundfile.write(plain, samples, rate, format=kind.pop("format", "WAV"), **kind)
        plain.rename(path)
        return path

    return write
