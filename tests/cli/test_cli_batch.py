"""`moss batch status` and `moss batch clean`."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_run import TINY, Run
from scripted_backend import ScriptedBackend, all_is_read

from moss_cli.folders.runs import RunMarker

Moss = Callable[..., Run]
Wav = Callable[..., Path]
COUNTS = ("done", "partial", "unfinished", "failed", "changed", "not begun")


class Killed(BaseException):
    """Ends a run at once, as SIGKILL does."""


@pytest.fixture
def folder(moss: Moss, wav: Wav, tmp_path: Path, backend: ScriptedBackend) -> Path:
    """An output folder with one input of every kind: the run that was at `f` was killed half-way."""
    for name in "abcg":
        wav(f"in/{name}.wav")
    (tmp_path / "in/d.wav").write_text("no audio")
    os.truncate(wav("in/e.wav", 48_000), 60_000)
    moss(*TINY, *(f"in/{name}.wav" for name in "abcde"), "-o", "out/")
    (tmp_path / "out/b.txt").write_text("mine")
    (tmp_path / "out/c.txt").unlink()
    wav("in/f.wav", 8 * 16_000)

    def killed(n: int) -> None:
        all_is_read()
        if n == 3:  # one or two chunks are answered with the first step, as far as they were read; two with the second
            raise Killed

    backend.n_steps, backend.at_step = 0, killed
    with pytest.raises(Killed):
        moss(*TINY, "in/f.wav", "in/g.wav", "-o", "out/", "--chunk", "1", "--batch-size", "2")
    backend.at_step = lambda n: None
    (tmp_path / "out/.moss-0123456789abcdef.tmp").write_text("half")
    return tmp_path / "out"


def states(moss: Moss) -> dict[str, Any]:
    run = moss("batch", "status", "out", "-f", "json")
    assert (run.code, run.err) == (0, [])
    document: dict[str, Any] = json.loads(run.out)
    return document


def test_status_says_what_became_of_each_input(moss: Moss, folder: Path) -> None:
    found = states(moss)
    assert found["counts"] == dict.fromkeys(COUNTS, 1) | {"changed": 2}
    assert (found["folder"], found["runs"]) == ("out", [])
    inputs = {Path(one["path"]).stem: one for one in found["inputs"]}
    assert {name: one["status"] for name, one in inputs.items()} == {
        "a": "done",
        "b": "changed",
        "c": "changed",
        "d": "failed",
        "e": "partial",
        "f": "unfinished",
        "g": "not begun",
    }
    assert inputs["a"] == {
        "path": str(folder.parent / "in/a.wav"),
        "task": "transcribe",
        "status": "done",
        "outputs": ["a.txt"],
        "share": None,
        "message": None,
    }
    assert inputs["d"]["message"] == "in/d.wav is not audio that can be read"
    assert 0.3 < inputs["f"]["share"] < 0.6
    assert inputs["g"]["task"] is None


def test_status_is_text_for_people(moss: Moss, folder: Path) -> None:
    run = moss("batch", "status", "out")
    first, *rest = run.out.splitlines()
    assert first == "7 inputs: 1 done, 1 partial, 1 unfinished, 1 failed, 2 changed, 1 not begun"
    path = folder.parent / "in"
    assert rest[:3] == [
        f"changed: {path}/b.wav (transcribe)",
        f"changed: {path}/c.wav (transcribe)",
        f"failed: {path}/d.wav (transcribe): in/d.wav is not audio that can be read",
    ]
    assert rest[4].startswith("unfinished, ")
    assert rest[4].endswith(f" % done: {path}/f.wav (transcribe)")
    assert rest[5] == f"not begun: {path}/g.wav"


def test_one_input_is_one_input(moss: Moss, wav: Wav) -> None:
    wav("in/a.wav")
    moss(*TINY, "in/a.wav", "-o", "out/")
    assert moss("batch", "status", "out").out == "1 input: 1 done\n"
    assert moss("batch", "clean", "out").err == ["moss: nothing to clean"]


@pytest.mark.usefixtures("folder")
def test_clean_removes_what_is_unfinished_and_left_over_but_no_result(moss: Moss, tmp_path: Path) -> None:
    assert moss("batch", "clean", "out") == Run(
        0, "", ["moss: forgot 3 inputs (1 unfinished, 1 failed, 1 not begun); removed 1 temporary file"]
    )
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".moss", "a.txt", "b.txt", "e.txt"]
    assert list((tmp_path / "out/.moss/unfinished").iterdir()) == []
    assert states(moss)["counts"] == dict.fromkeys(COUNTS, 0) | {"done": 1, "partial": 1, "changed": 2}
    assert moss(*TINY, "in/a.wav", "-o", "out/").err == ["moss: in/a.wav: already done"]
    assert moss("batch", "clean", "out").err == ["moss: nothing to clean"]


def test_clean_forgets_what_a_name_was_given_to_but_no_result(moss: Moss, folder: Path) -> None:
    """So that an input that is gone is not listed for ever; a later run gives the others their names anew."""
    (folder.parent / "in/g.wav").unlink()
    moss("batch", "clean", "out")
    assert "g.wav" not in (folder / ".moss/outputs.jsonl").read_text()
    assert (
        moss(*TINY, "in", "-o", "out/").summary[0]
        == "6 inputs: 2 done, 1 already done, 1 already done, but partial, 1 kept, 1 failed"
    )


@pytest.mark.usefixtures("folder")
def test_clean_refuses_while_a_run_is_active(moss: Moss, tmp_path: Path) -> None:
    run = RunMarker(tmp_path / "out/.moss", "transcribe")
    refused = moss("batch", "clean", "out")
    who = f"process {os.getpid()} on {platform.node()}"
    assert (refused.code, refused.err[0]) == (2, f"moss: error: a run is active in out ({who})")
    assert len(list((tmp_path / "out/.moss/unfinished").iterdir())) == 1
    [at_work] = states(moss)["runs"]
    assert (at_work["pid"], at_work["task"]) == (os.getpid(), "transcribe")
    assert f"active run: transcribe, process {os.getpid()} on " in moss("batch", "status", "out").out
    run.close()
    assert moss("batch", "clean", "out").code == 0


@pytest.mark.parametrize("command", ["status", "clean"])
def test_a_folder_of_others_is_code_2_and_left_alone(moss: Moss, tmp_path: Path, command: str) -> None:
    (tmp_path / "out").mkdir()
    for name in ("out", "gone"):
        run = moss("batch", command, name)
        hint = "hint: give a folder that was used with -o"
        assert run == Run(2, "", [f"moss: error: {name} is not an output folder of moss", hint])
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    "damage",
    [
        {"found": []},
        {"tokens": [float("inf"), 1]},
        {"finish_reason": "bogus"},
        {"span": [0, float("inf")]},
        {"thought": [1]},
        {"attempts": -4},
    ],
    ids=lambda damage: next(iter(damage)),
)
def test_what_a_damaged_journal_says_is_asked_again(moss: Moss, folder: Path, damage: dict[str, Any]) -> None:
    [journal] = (folder / ".moss/unfinished").glob("*.jsonl")
    header, *lines = map(json.loads, journal.read_text().splitlines())
    damaged = [line | damage if "found" in damage else line | {"found": [line["found"][0] | damage]} for line in lines]
    journal.write_text("".join(json.dumps(line) + "\n" for line in (header, *damaged)))
    assert moss(*TINY, "in/f.wav", "-o", "out/", "--chunk", "1", "--batch-size", "2").code == 0
    assert (folder / "f.txt").read_text() == moss(*TINY, "in/f.wav", "--chunk", "1").out


def test_what_does_not_belong_into_the_state_is_not_waited_for(moss: Moss, folder: Path) -> None:
    os.mkfifo(folder / ".moss/unfinished/0.jsonl")
    (folder / ".moss/unfinished/1.jsonl").mkdir()
    os.mkfifo(folder / ".moss/runs/1-abcdef01.json")
    assert moss("batch", "status", "out").code == 0
    assert moss("batch", "clean", "out").code == 0


def test_a_record_that_is_no_file_is_named(moss: Moss, folder: Path) -> None:
    record = folder / ".moss/outputs.jsonl"
    record.unlink()
    os.mkfifo(record)
    for argv in (("batch", "status", "out"), ("batch", "clean", "out"), (*TINY, "in/a.wav", "-o", "out/")):
        run = moss(*argv)
        assert run.code == 1
        assert run.err[0].startswith("moss: error: out/.moss/outputs.jsonl should be a regular file")
