"""Clips of every task: the same for the same seed, labelled, and what is kept for testing only where it belongs."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import soundfile

from training.domains.notes import SOUND_FONT
from training.domains.scenes import EVENTS, SETTINGS
from training.render import FIRST_TEST_SEED, TASKS, Wanted, clip, render

pytestmark = pytest.mark.skipif(
    not (shutil.which("espeak-ng") and shutil.which("flite")), reason="needs espeak-ng and flite"
)
ANSWERED = {"describe-speaker", "emotion", "scene", "music", "ask", "summarize"}


def parameters() -> list[object]:
    synthesizer = pytest.mark.skipif(
        not (shutil.which("fluidsynth") and SOUND_FONT.exists()), reason="needs fluidsynth and fluid-soundfont-gm"
    )
    return [pytest.param(task, marks=synthesizer if task in ("music", "ask") else ()) for task in TASKS]


def sums(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}


@pytest.mark.parametrize("task", parameters())
def test_the_same_seed_renders_the_same_bytes_whatever_else_is_rendered(task: str, tmp_path: Path) -> None:
    wanted = Wanted(max_s=6.0, n_sentences=(1, 2))
    labels = render(tmp_path / "a", task, FIRST_TEST_SEED, 2, wanted)
    render(tmp_path / "b", task, FIRST_TEST_SEED, 1, wanted)
    render(tmp_path / "c", task, FIRST_TEST_SEED, 2, wanted)
    first, fewer, again = (sums(tmp_path / name) for name in "abc")
    assert first == again
    assert set(first) == {"labels.jsonl", *(f"{task}-1000000-000{i}.wav" for i in range(2))}
    assert fewer[f"{task}-1000000-0000.wav"] == first[f"{task}-1000000-0000.wav"]
    written = [json.loads(line) for line in (tmp_path / "a" / "labels.jsonl").read_text().splitlines()]
    assert written == json.loads(json.dumps(labels))
    for row in written:
        info = soundfile.info(tmp_path / "a" / row["file"])
        assert info.samplerate == row["settings"]["sample_rate"]
        assert info.duration == pytest.approx(row["duration"], abs=0.002)
        assert ("result" in row) == (task in ANSWERED)


def test_questions_and_summaries_say_what_is_asked() -> None:
    question, meeting = (clip(task, FIRST_TEST_SEED, 0).truth for task in ("ask", "summarize"))
    assert {"question", "choices", "think", "result"} <= set(question)
    assert meeting["style"] in ("brief", "bullets", "meeting", "chapters")


def test_only_seeds_for_testing_have_what_is_kept_for_testing() -> None:
    trained, kept = (clip("describe-speaker", seed, 0).truth["settings"]["speaker"] for seed in (7, FIRST_TEST_SEED))
    assert not trained.endswith(("+m6", "+f4", "awb"))
    assert kept.endswith(("+m6", "+f4", "awb"))


def test_mixed_clips_have_sentences_and_sounds_side_by_side() -> None:
    for i in range(5):
        truth = clip("mixed", FIRST_TEST_SEED, i).truth
        assert truth["segments"]
        assert truth["events"]
        assert {event["label"] for event in truth["events"]} <= set(EVENTS)
        assert truth["setting"] in SETTINGS
        assert truth["text"] == " ".join(segment["text"] for segment in truth["segments"])
