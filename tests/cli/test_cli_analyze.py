"""`moss analyze`: which tasks, where their results go, and what is done again."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from cli_run import Run
from scripted_backend import Said, ScriptedBackend

from moss_cli.backends.protocol import Request
from moss_cli.errors import MossError
from moss_cli.output.json_schema import json_schema
from moss_cli.span import Span
from moss_cli.tasks.catalogue import TASKS

Moss = Callable[..., Run]
Wav = Callable[..., Path]

TINY = ("--model", "tiny")
USUAL = ["transcribe", "describe-speaker", "emotion", "scene", "summarize"]
SCENE = "main sound events"


def say(request: Request, n: int) -> Said:
    if "timestamps" in request.prompt:
        return "[0.00]hello there[0.05]"
    if SCENE in request.prompt:
        return "0.0 - 0.1: a bell"
    return '{"summary": "somebody says hello", "answer": "a greeting", "overall": "calm"}'


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> ScriptedBackend:
    monkeypatch.setattr("moss_cli.run.speech_pieces.silent_stretches", lambda *_: [])
    monkeypatch.setattr("moss_cli.run.speech_pieces.has_speech", lambda *_: True)
    return ScriptedBackend(say)


def document(run: Run) -> dict[str, object]:
    found: dict[str, object] = json.loads(run.out)
    return found


def test_one_document_of_all_usual_tasks_that_its_schema_accepts(moss: Moss, wav: Wav) -> None:
    wav("a.wav")
    done = moss("analyze", *TINY, "a.wav", "-f", "json")
    found = document(done)
    assert (done.code, found["task"], found["status"]) == (0, "analyze", "ok")
    jsonschema.validate(found, json_schema("analyze"))
    result = found["result"]
    assert isinstance(result, dict)
    assert [one["task"] for one in result.values() if one is not None] == USUAL
    assert found["text"] == "hello there\n\nsomebody says hello\n\ncalm\n\nsomebody says hello\n\nsomebody says hello"


@pytest.mark.parametrize("task", [task for task in TASKS if task != "ask"])
def test_a_task_says_what_its_own_command_says(moss: Moss, wav: Wav, task: str) -> None:
    wav("a.wav")
    own = document(moss(task, *TINY, "a.wav", "-f", "json"))
    result = document(moss("analyze", *TINY, "a.wav", "-f", "json", "--tasks", "all"))["result"]
    assert isinstance(result, dict)
    assert result[task.replace("-", "_")] | {"usage": None} == own | {"usage": None}


def test_a_question_is_asked_beside_the_other_tasks(moss: Moss, wav: Wav) -> None:
    wav("a.wav")
    own = document(moss("ask", *TINY, "Who?", "a.wav", "-f", "json", "--no-history"))
    result = document(moss("analyze", *TINY, "a.wav", "-f", "json", "--tasks", "scene", "--question", "Who?"))["result"]
    assert isinstance(result, dict)
    assert [name for name, one in result.items() if one is not None] == ["scene", "ask"]
    assert result["ask"] | {"usage": None} == own | {"usage": None}


def test_text_has_a_heading_for_each_task(moss: Moss, wav: Wav) -> None:
    wav("a.wav")
    out = moss("analyze", *TINY, "a.wav", "--tasks", "emotion,transcribe").out
    assert out == "--- Transcript ---\nhello there\n\n--- Emotion ---\noverall  calm\n"


def test_markdown_is_one_document(moss: Moss, wav: Wav) -> None:
    wav("a.wav")
    assert moss("analyze", *TINY, "a.wav", "--tasks", "transcribe,scene", "-o", "a.md").code == 0
    lines = Path("a.md").read_text().splitlines()
    assert [line for line in lines if line.startswith("#")] == [
        "# [a.wav](a.wav)",
        "## Transcript",
        "## Scene",
        "### Events",
    ]
    assert 'task: "analyze"' in lines


def test_jsonl_has_a_line_for_each_task_of_each_input(moss: Moss, wav: Wav) -> None:
    wav("a.wav")
    wav("b.wav")
    out = moss("analyze", *TINY, "a.wav", "b.wav", "--tasks", "transcribe,scene", "-f", "jsonl").out
    found = [json.loads(line) for line in out.splitlines()]
    assert [(one["input"]["path"], one["task"]) for one in found] == [
        ("a.wav", "transcribe"),
        ("a.wav", "scene"),
        ("b.wav", "transcribe"),
        ("b.wav", "scene"),
    ]


def test_a_folder_gets_the_files_that_the_commands_would_write(moss: Moss, wav: Wav) -> None:
    wav("in/a.wav")
    options = (*TINY, "in", "-f", "json", "-f", "srt", "-f", "txt")
    assert moss("analyze", *options, "-o", "all/", "--tasks", "transcribe,describe-speaker,scene").code == 0
    for task in ("transcribe", "describe-speaker", "scene"):
        formats = options if task != "describe-speaker" else (*TINY, "in", "-f", "json", "-f", "txt")
        assert moss(task, *formats, "-o", "own/").code == 0
    own = {path.name: path for path in Path("own").iterdir() if path.is_file()}
    ours = {path.name: path for path in Path("all").iterdir() if path.is_file()}
    assert set(ours) == {*own, "a.analyze.json"}
    for name, path in own.items():
        if name.endswith(".json"):
            found, expected = (json.loads(one.read_text()) | {"usage": None} for one in (ours[name], path))
            assert found == expected
        else:
            assert ours[name].read_bytes() == path.read_bytes()


def test_what_one_command_has_done_the_other_does_not_do_again(moss: Moss, wav: Wav, backend: ScriptedBackend) -> None:
    wav("in/a.wav")
    line = (*TINY, "in", "-o", "out/", "-f", "json")
    moss("scene", *line)
    n_scene = len(backend.asked)
    moss("analyze", *line, "--tasks", "scene,transcribe")
    assert Counter(SCENE in request.prompt for request in backend.asked[n_scene:]) == {False: 1}
    combined = json.loads(Path("out/a.analyze.json").read_text())["result"]
    assert combined["scene"] == json.loads(Path("out/a.scene.json").read_text())
    n_asked = len(backend.asked)
    for again in (("analyze", *line, "--tasks", "scene,transcribe"), ("transcribe", *line), ("scene", *line)):
        assert moss(*again).code == 0
    assert len(backend.asked) == n_asked


def test_a_combined_file_that_is_gone_is_made_again_without_asking(
    moss: Moss, wav: Wav, backend: ScriptedBackend
) -> None:
    wav("in/a.wav")
    line = ("analyze", *TINY, "in", "-o", "out/", "-f", "json", "--tasks", "scene,transcribe")
    moss(*line)
    combined, n_asked = Path("out/a.analyze.json").read_bytes(), len(backend.asked)
    Path("out/a.analyze.json").unlink()
    assert moss(*line).code == 0
    assert json.loads(Path("out/a.analyze.json").read_bytes())["result"] == json.loads(combined)["result"]
    assert len(backend.asked) == n_asked


def test_a_task_that_fails_costs_only_its_own_result_and_is_tried_again(
    moss: Moss, wav: Wav, backend: ScriptedBackend
) -> None:
    wav("in/a.wav")
    line = ("analyze", *TINY, "in", "-o", "out/", "-f", "json", "--tasks", "scene,transcribe")
    backend.say = lambda request, n: MossError("no bells", code="odd") if SCENE in request.prompt else say(request, n)
    done = moss(*line)
    assert (done.code, done.err) == (3, ["moss: warning: in/a.wav: scene failed: no bells"])
    assert sorted(path.name for path in Path("out").glob("*.json")) == ["a.analyze.json", "a.json"]
    found = json.loads(Path("out/a.analyze.json").read_text())
    jsonschema.validate(found, json_schema("analyze"))
    assert (found["status"], found["result"]["scene"]["error"]["code"]) == ("partial", "odd")
    backend.say, n_asked = say, len(backend.asked)
    assert moss(*line).code == 0
    assert all("timestamps" not in request.prompt for request in backend.asked[n_asked:])
    assert json.loads(Path("out/a.analyze.json").read_text())["status"] == "ok"


def test_an_input_for_which_all_tasks_fail_has_an_error(moss: Moss, wav: Wav) -> None:
    Path("a.wav").write_bytes(b"RIFF")
    done = moss("analyze", *TINY, "a.wav", "-f", "json")
    assert (done.code, document(done)["status"]) == (4, "error")
    assert len(done.err) == 1


def test_what_is_written_by_others_is_kept_and_the_rest_written(moss: Moss, wav: Wav) -> None:
    wav("in/a.wav")
    Path("out").mkdir()
    Path("out/a.scene.json").write_text("mine")
    done = moss("analyze", *TINY, "in", "-o", "out/", "-f", "json", "--tasks", "scene,transcribe")
    assert (done.code, Path("out/a.scene.json").read_text()) == (0, "mine")
    assert "not written by moss, kept: out/a.scene.json" in done.summary
    assert Path("out/a.json").exists()


def test_where_nobody_speaks_only_the_scene_is_asked_about(
    moss: Moss, wav: Wav, backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moss_cli.run.speech_pieces.has_speech", lambda *_: False)
    monkeypatch.setattr("moss_cli.run.speech_pieces.silent_stretches", lambda *_: [Span(0.0, 4.0)])
    wav("a.wav", np.zeros((64_000, 1), np.float32))
    out = moss("analyze", *TINY, "a.wav").out
    assert "--- Transcript ---\n(nothing)\n" in out
    assert {SCENE in request.prompt or "Describe this audio" in request.prompt for request in backend.asked} == {True}


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (("a.wav", "--tasks", "scene,emotoin"), "no such task: emotoin", "moss analyze a.wav --tasks scene,emotion"),
        (("a.wav", "--tasks=musik"), "no such task: musik", "moss analyze a.wav --tasks=music"),
        (
            ("a.wav", "--tasks", "ask"),
            "the task ask needs a question",
            "moss analyze a.wav --tasks ask --question 'What is said?'",
        ),
        (
            ("a.wav", "-f", "srt"),
            "the results of several tasks cannot stand in one srt",
            "moss analyze a.wav -o out/ -f srt",
        ),
        (
            ("a.wav", "-o", "x.csv"),
            "the results of several tasks cannot stand in one csv",
            "moss analyze a.wav -o out/ -f csv",
        ),
    ],
)
def test_a_usage_error_has_the_right_command(
    moss: Moss,
    wav: Wav,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
    hint: str,
) -> None:
    monkeypatch.setenv("MOSS_MODEL", "tiny")
    wav("a.wav")
    done = moss("analyze", *arguments)
    assert (done.code, done.err) == (2, [f"moss: error: {message}", f"hint: run `{hint}`"])
    assert moss(*shlex.split(hint)[1:]).code == 0


def test_tasks_without_timed_items_are_left_out_of_subtitles_and_alone_are_an_error(moss: Moss, wav: Wav) -> None:
    wav("a.wav")
    done = moss("analyze", *TINY, "a.wav", "-o", "out/", "-f", "srt", "--tasks", "describe-speaker,scene")
    assert done.code == 0
    assert "moss: describe-speaker has no timed items, so it is left out of srt" in done.err
    assert [path.name for path in Path("out").glob("*.srt")] == ["a.scene.srt"]
    alone = moss("analyze", *TINY, "a.wav", "-o", "out/", "-f", "srt", "--tasks", "describe-speaker")
    assert (alone.code, alone.err[0]) == (
        2,
        "moss: error: describe-speaker has no timed items, so it cannot be written as srt",
    )


def test_the_report_has_an_entry_for_each_input(moss: Moss, wav: Wav) -> None:
    wav("in/a.wav")
    wav("in/b.wav")
    moss("analyze", *TINY, "in", "-o", "out/", "-f", "json", "--tasks", "scene,transcribe", "--report", "r.json")
    report = json.loads(Path("r.json").read_text())
    assert (report["task"], report["counts"]["done"]) == ("analyze", 2)
    assert report["inputs"][0]["outputs"] == ["out/a.json", "out/a.scene.json", "out/a.analyze.json"]


def test_an_instruction_is_for_one_task(moss: Moss, wav: Wav) -> None:
    wav("a.wav")
    run = moss("analyze", "a.wav", "--prompt", "Hello", "-m", "tiny")
    error = "moss: error: analyze takes no --prompt: an instruction is for one task"
    assert (run.code, run.err) == (2, [error, "hint: run that task alone"])
