"""The embedded model's answers to the six commands beside `transcribe`, exactly, on clips that it was not trained on.

The clips are among those that it answers rightly (`training.fixtures`); how many it does stands in the model card.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from moss_cli.cli.main import run
from moss_cli.tasks.catalogue import TASKS

CLIPS = Path(__file__).parent / "fixtures" / "tasks"
ROWS = [
    (folder.name, json.loads(line))
    for folder in sorted(CLIPS.iterdir())
    for line in (folder / "expected.jsonl").read_text(encoding="utf-8").splitlines()
]


@pytest.mark.parametrize(("task", "row"), ROWS, ids=[row["file"] for _, row in ROWS])
def test_a_clip_is_answered_as_it_should_be(task: str, row: dict[str, Any], capfd: pytest.CaptureFixture[str]) -> None:
    clip = CLIPS / task / row["file"]
    assert run([*row["arguments"], str(clip), "--model", "tiny", "-f", "json", "-q"]) == 0
    envelope = json.loads(capfd.readouterr().out)
    assert (envelope["task"], envelope["status"], envelope["warnings"]) == (task, "ok", [])
    assert envelope["result"] == row["result"]


def test_every_command_has_clips() -> None:
    assert {task for task, _ in ROWS} == set(TASKS) - {"transcribe"}
    assert all(sum(name == task for name, _ in ROWS) >= 2 for task in TASKS if task != "transcribe")
