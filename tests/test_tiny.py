"""The embedded model's answers, through the command, on clips that it was not trained on.

A small part of what `python -m training.evaluate` measures on hundreds of clips; the whole
figures stand in the model card.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from moss_cli.cli.main import run
from training.measures.speech import measure_silence, measure_speech

SPEECH = Path(__file__).parent / "fixtures" / "speech"
SAMPLES = Path(__file__).parents[1] / "samples"


def labels(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "labels.jsonl").read_text().splitlines()]


Measure = Callable[[Sequence[dict[str, Any]], dict[str, Any]], dict[str, Any]]


def figures(folder: Path, capfd: pytest.CaptureFixture[str], measure: Measure = measure_speech) -> dict[str, Any]:
    assert run(["transcribe", str(folder), "--model", "tiny", "-f", "jsonl", "-q"]) == 0
    envelopes = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert all(e["status"] == "ok" and e["model"]["demo"] for e in envelopes)
    return measure(labels(folder), {Path(e["input"]["path"]).name: e for e in envelopes})


def test_voices_it_was_trained_on_are_understood(capfd: pytest.CaptureFixture[str]) -> None:
    measured = figures(SPEECH / "training", capfd)
    assert measured["word_error_rate"] <= 0.06
    assert measured["boundary_error_s"] <= 0.12
    assert measured["sentences_found"] == 1.0


def test_voices_kept_for_testing_are_understood_mostly(capfd: pytest.CaptureFixture[str]) -> None:
    measured = figures(SPEECH / "reserved", capfd)
    assert measured["word_error_rate"] <= 0.20
    assert measured["boundary_error_s"] <= 0.12


def test_silence_and_noise_give_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    assert figures(SPEECH / "empty", capfd, measure_silence) == {"n_clips": 8, "n_not_empty": 0}


@pytest.mark.parametrize("row", [row for row in labels(SAMPLES) if "segments" in row], ids=lambda row: row["file"])
def test_the_samples_are_transcribed_word_for_word(row: dict[str, Any], capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["transcribe", str(SAMPLES / row["file"]), "--model", "tiny", "-f", "json"]) == 0
    captured = capfd.readouterr()
    segments = json.loads(captured.out)["result"]["segments"]
    assert [s["text"] for s in segments] == [s["text"] for s in row["segments"]]
    for ours, true in zip(segments, row["segments"], strict=True):
        assert ours["start"] == pytest.approx(true["start"], abs=0.15)
        assert ours["end"] == pytest.approx(true["end"], abs=0.15)
    assert captured.err.count("demonstration model") == 1


def test_the_readme_shows_what_the_demo_prints(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["transcribe", str(SAMPLES / "meeting.wav"), "--model", "tiny", "-f", "srt"]) == 0
    # All but the last digits of the times, which another processor's rounding may change.
    printed, readme = (
        re.sub(r"(:\d\d,\d)\d\d", r"\g<1>", text)
        for text in (capfd.readouterr().out.strip(), (SAMPLES.parent / "README.md").read_text())
    )
    assert printed in readme
