"""Runs the command line inside the test process, with an engine that always gives the same answer."""

from __future__ import annotations

import dataclasses
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from cli_run import Run, split

import moss_cli
from moss_cli.engine.engine import Engine, load_engine
from moss_cli.engine.generate import Generation, Request


@pytest.fixture(scope="session")
def tiny_engine() -> Engine:
    """The embedded model, loaded once."""
    engine = load_engine(Path(moss_cli.__file__).parent / "weights" / "tiny", device="cpu", dtype="fp32")
    return dataclasses.replace(engine, load_seconds=0.0)


@pytest.fixture
def canned_engine(tiny_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything as in a real run, but that every clip is answered with one sentence."""
    answer = tiny_engine.tokenizer.encode("[0.00]hello there[0.05]")

    def generate(self: Engine, requests: Sequence[Request], *_: object, **__: object) -> list[Generation]:
        return [Generation(answer, "stop") for _ in requests]

    monkeypatch.setattr(Engine, "generate", generate)
    monkeypatch.setattr("moss_cli.run.runner.load_engine", lambda *_, **__: tiny_engine)
    monkeypatch.setattr("moss_cli.run.speech_pieces.silent_stretches", lambda samples: [])


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
    canned_engine: None,
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
            code = run(argv)
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
