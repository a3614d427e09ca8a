"""Our own client against our own server: the seven commands give what a local run gives, byte for byte in fp32."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from served import Served

from moss_cli.cli.main import run

SAMPLES = Path(__file__).parents[2] / "samples"
COMMANDS = {
    "transcribe": ["transcribe", "meeting.wav"],
    "describe-speaker": ["describe-speaker", "voice.wav"],
    "emotion": ["emotion", "emotion.wav"],
    "scene": ["scene", "scene.wav"],
    "music": ["music", "music.wav"],
    "ask": ["ask", "--no-history", "what is said", "question.wav"],
    "summarize": ["summarize", "minutes.wav"],
    "sampled": ["transcribe", "--temperature", "1", "--seed", "4", "meeting.wav"],
    "with a thinking budget": ["summarize", "--thinking-budget", "5", "minutes.wav"],
}


@pytest.fixture(autouse=True)
def signals_restored() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_envelope_is_that_of_a_local_run_but_for_model_and_usage(
    tiny: Served, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(SAMPLES)

    def envelope(*more: str) -> dict[str, Any]:
        capfd.readouterr()
        assert run([*COMMANDS[name], "-f", "json", *more]) == 0
        found: dict[str, Any] = json.loads(capfd.readouterr().out)
        return found

    local = envelope("-m", "tiny", "--dtype", "fp32", "--device", "cpu")
    served = envelope("-m", tiny.url)
    own = local.pop("model"), local.pop("usage")
    assert served.pop("model") == own[0] | {"name": f"tiny @ 127.0.0.1:{tiny.port}"}
    usage = served.pop("usage")
    for key in ("audio_seconds", "prompt_tokens", "generated_tokens"):
        assert usage[key] == own[1][key]
    assert json.dumps(served) == json.dumps(local)
