"""Runs over an output folder in which something is done already."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from cli_run import TINY, Run
from scripted_backend import ScriptedBackend, opening

from moss_cli.backends.protocol import Request
from moss_cli.cli.main import run

Asked = list[Request]
Moss = Callable[..., Run]
Wav = Callable[..., Path]


@pytest.fixture
def asked(backend: ScriptedBackend) -> Asked:
    """What the model was asked."""
    return backend.asked


@pytest.fixture
def no_engine(backend: ScriptedBackend) -> Callable[[], None]:
    """From its call on, loading the model is an error."""

    def load() -> None:
        raise AssertionError("the model was loaded")

    return lambda: setattr(backend, "at_open", load)


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Which files there are, and what changes when one is written."""
    files = [path for path in folder.rglob("*") if path.is_file() and ".moss" not in path.parts]
    return {str(p.relative_to(folder)): (p.stat().st_ino, p.stat().st_mtime_ns) for p in files}


def test_a_second_run_does_nothing_and_loads_no_model(
    moss: Moss, wav: Wav, tmp_path: Path, no_engine: Callable[[], None]
) -> None:
    for name in ("in/a.wav", "in/sub/b.wav"):
        wav(name)
    first = moss(*TINY, "in", "-o", "out", "-f", "srt", "-f", "json")
    assert (first.code, first.summary[0]) == (0, "2 inputs: 2 done")
    before = stamps(tmp_path / "out")
    record = (tmp_path / "out/.moss/outputs.jsonl").read_bytes()
    no_engine()
    again = moss(*TINY, "in", "-o", "out", "-f", "srt", "-f", "json", "--report", "r.json")
    assert (again.code, again.out, again.err, again.summary) == (0, "", [], ["2 inputs: 2 already done"])
    assert stamps(tmp_path / "out") == before
    assert (tmp_path / "out/.moss/outputs.jsonl").read_bytes() == record
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["counts"] == {"done": 0, "skipped": 2, "partial": 0, "failed": 0, "interrupted": 0}
    assert report["inputs"][0]["outputs"] == ["out/a.srt", "out/a.json"]
    assert moss(*TINY, "in/a.wav", "-o", "out/", "-f", "srt") == Run(0, "", ["moss: in/a.wav: already done"])


@pytest.mark.parametrize(
    "options",
    [
        ("--seed", "1"),
        ("--temperature", "0.5"),
        ("--chunk", "20"),
        ("--prompt", "Write it down."),
        ("--timestamps", "none"),
        ("--no-vad",),
        ("--context", "Miriam"),
        ("--max-line-width", "20"),
        ("--times",),
        ("--start", "0.01"),
        ("--max-new-tokens", "50"),
        ("--force",),
    ],
    ids=lambda options: options[0],
)
def test_other_options_are_other_work(
    moss: Moss, wav: Wav, asked: Asked, tmp_path: Path, options: Sequence[str]
) -> None:
    wav("a.wav", 16_000)
    moss(*TINY, "a.wav", "-o", "out/")
    assert moss(*TINY, "a.wav", "-o", "out/", *options).code == 0
    assert len(asked) == 2
    again = moss(*TINY, "a.wav", "-o", "out/", *(option for option in options if option != "--force"))
    assert again.err == ["moss: a.wav: already done"]
    assert len(asked) == 2


@pytest.mark.parametrize("options", [("--batch-size", "1"), ("--device", "cpu"), ("--dtype", "fp32"), ("--quiet",)])
def test_what_changes_no_answer_is_the_same_work(moss: Moss, wav: Wav, asked: Asked, options: Sequence[str]) -> None:
    wav("a.wav")
    moss(*TINY, "a.wav", "-o", "out/")
    assert moss(*TINY, "a.wav", "-o", "out/", *options).code == 0
    assert len(asked) == 1


def test_another_dtype_than_the_weights_were_held_in_is_other_work(moss: Moss, wav: Wav, asked: Asked) -> None:
    wav("a.wav")
    moss(*TINY, "a.wav", "-o", "out/")
    moss(*TINY, "a.wav", "-o", "out/", "--dtype", "bf16")
    assert len(asked) == 2


def test_another_version_does_it_again(moss: Moss, wav: Wav, asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    wav("a.wav")
    moss(*TINY, "a.wav", "-o", "out/")
    monkeypatch.setattr("moss_cli.__version__", "0.2.0")
    moss(*TINY, "a.wav", "-o", "out/")
    assert len(asked) == 2


def test_a_touched_input_is_known_by_its_bytes_and_looked_at_once(
    moss: Moss, wav: Wav, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = wav("a.wav")
    moss(*TINY, "a.wav", "-o", "out/")
    os.utime(path, (0, 0))
    assert moss(*TINY, "a.wav", "-o", "out/").err == ["moss: a.wav: already done"]

    def read(*_: object) -> None:
        raise AssertionError("the input was read")

    monkeypatch.setattr("moss_cli.folders.freshness.open_file", read)
    assert moss(*TINY, "a.wav", "-o", "out/").err == ["moss: a.wav: already done"]
    assert len(asked) == 1


def test_an_input_that_was_replaced_is_done_again(moss: Moss, wav: Wav, asked: Asked, tmp_path: Path) -> None:
    wav("a.wav", 1600)
    moss(*TINY, "a.wav", "-o", "out/", "-f", "json")
    wav("a.wav", np.full((1600, 1), 0.05, np.float32))
    assert moss(*TINY, "a.wav", "-o", "out/", "-f", "json") == Run(0, "", [])
    assert len(asked) == 2


def test_checksum_sees_bytes_that_changed_while_times_did_not(moss: Moss, wav: Wav, asked: Asked) -> None:
    path = wav("a.wav")
    moss(*TINY, "a.wav", "-o", "out/")
    status = path.stat()
    with path.open("r+b") as file:  # the same inode
        file.seek(-2, os.SEEK_END)
        file.write(b"\x01\x02")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert moss(*TINY, "a.wav", "-o", "out/").err == ["moss: a.wav: already done"]
    assert moss(*TINY, "a.wav", "-o", "out/", "--checksum") == Run(0, "", [])
    assert len(asked) == 2
    assert moss(*TINY, "a.wav", "-o", "out/", "--checksum").err == ["moss: a.wav: already done"]


def test_a_file_that_is_missing_is_made_again_and_the_others_are_not(
    moss: Moss, wav: Wav, asked: Asked, tmp_path: Path
) -> None:
    wav("in/a.wav")
    wav("in/b.wav")
    argv = (*TINY, "in", "-o", "out", "-f", "srt", "-f", "txt")
    moss(*argv)
    (tmp_path / "out/a.srt").unlink()
    assert moss(*argv).summary[0] == "2 inputs: 1 done, 1 already done"
    assert len(asked) == 3
    assert (tmp_path / "out/a.srt").exists()


def test_a_file_that_somebody_changed_is_kept_and_said_once(moss: Moss, wav: Wav, tmp_path: Path) -> None:
    wav("in/a.wav")
    wav("in/b.wav")
    moss(*TINY, "in", "-o", "out")
    (tmp_path / "out/a.txt").write_text("HELLO THERE\n")  # of the same size
    run = moss(*TINY, "in", "-o", "out")
    assert run == Run(0, "", [])
    assert run.summary == ["2 inputs: 1 already done, 1 kept", "changed by you, kept: out/a.txt"]
    assert (tmp_path / "out/a.txt").read_text() == "HELLO THERE\n"
    assert moss(*TINY, "in", "-o", "out", "--force").summary[0] == "2 inputs: 2 done"
    assert (tmp_path / "out/a.txt").read_text() == "hello there\n"
    assert moss(*TINY, "in", "-o", "out").summary == ["2 inputs: 2 already done"]


def test_more_formats_are_more_to_do(moss: Moss, wav: Wav, asked: Asked) -> None:
    wav("a.wav")
    moss(*TINY, "a.wav", "-o", "out/", "-f", "srt")
    moss(*TINY, "a.wav", "-o", "out/", "-f", "srt", "-f", "vtt")
    assert len(asked) == 2
    moss(*TINY, "a.wav", "-o", "out/", "-f", "tsv")
    assert len(asked) == 3
    assert moss(*TINY, "a.wav", "-o", "out/", "-f", "vtt", "-f", "tsv").err == ["moss: a.wav: already done"]
    assert moss(*TINY, "a.wav", "-o", "out/", "-f", "tsv", "-f", "txt").err == []


def test_a_partial_result_that_stands_is_code_3_again(moss: Moss, wav: Wav, asked: Asked, tmp_path: Path) -> None:
    path = wav("a.wav", 48_000)
    os.truncate(path, path.stat().st_size // 2)
    wav("b.wav")
    assert moss(*TINY, "a.wav", "b.wav", "-o", "out").code == 3
    run = moss(*TINY, "a.wav", "b.wav", "-o", "out", "--report", "r.json", "--quiet")
    assert run == Run(3, "", ["moss: warning: a.wav: already done, but partial; use --force to redo it"])
    assert len(asked) == 2
    inputs = json.loads((tmp_path / "r.json").read_text())["inputs"]
    assert [(one["status"], one["code"]) for one in inputs] == [("skipped", "partial"), ("skipped", None)]
    run = moss(*TINY, "a.wav", "b.wav", "-o", "out")
    assert run.summary == ["2 inputs: 1 already done, 1 already done, but partial"]


def test_what_failed_is_tried_again_each_time(moss: Moss, wav: Wav, tmp_path: Path) -> None:
    wav("in/a.wav")
    (tmp_path / "in/b.wav").write_text("not yet audio")
    for done in ("1 done", "1 already done"):
        run = moss(*TINY, "in", "-o", "out")
        assert (run.code, run.summary[0]) == (3, f"2 inputs: {done}, 1 failed")
    wav("in/b.wav")
    assert moss(*TINY, "in", "-o", "out").summary[0] == "2 inputs: 1 done, 1 already done"


def test_stdin_is_never_known_already_and_never_replaces_an_earlier_result(moss: Moss, wav: Wav, asked: Asked) -> None:
    audio = wav("a.wav").read_bytes()
    assert moss(*TINY, "-", "-o", "out/", stdin=audio) == Run(0, "", [])
    refused = [
        "moss: error: out/stdin.txt already exists, from an earlier run",
        "hint: use -o out/stdin-2.txt to write this one beside it, or --force to replace it",
    ]
    assert moss(*TINY, "-", "-o", "out/", stdin=audio) == Run(2, "", refused)
    assert len(asked) == 1
    assert moss(*TINY, "-", "-o", "out/", "--force", stdin=audio) == Run(0, "", [])
    assert moss(*TINY, "-", "-o", "out/stdin-2.txt", stdin=audio) == Run(0, "", [])
    assert len(asked) == 3


def test_a_question_without_audio_does_not_replace_the_answer_of_another(moss: Moss, backend: ScriptedBackend) -> None:
    backend.say = lambda request, n: f'{{"answer": "{n}", "evidence": []}}'
    ask = ("ask", "--model", "tiny", "-o", "out/")
    assert moss(*ask, "How many?").code == 0
    run = moss(*ask, "Which ones?")
    assert (run.code, run.err[0]) == (2, "moss: error: out/question.ask.txt already exists, from an earlier run")


def test_a_single_output_file_is_always_made_anew(moss: Moss, wav: Wav, asked: Asked) -> None:
    wav("a.wav")
    for _ in range(2):
        assert moss(*TINY, "a.wav", "-o", "x.txt") == Run(0, "", [])
    assert len(asked) == 2


def test_tasks_do_not_take_each_other_s_results_for_their_own(moss: Moss, wav: Wav, tmp_path: Path) -> None:
    wav("a.wav")
    summarize = ("summarize", "a.wav", "--model", "tiny", "-o", "out/", "--no-vad")
    moss(*TINY, "a.wav", "-o", "out/")
    assert moss(*summarize).code == 7  # the engine of these tests has but one answer, and it is no summary
    assert moss(*TINY, "a.wav", "-o", "out/").err == ["moss: a.wav: already done"]
    inputs = json.loads(moss("batch", "status", "out", "-f", "json").out)["inputs"]
    assert [(one["task"], one["status"]) for one in inputs] == [("summarize", "failed"), ("transcribe", "done")]


class Killed(BaseException):
    """Ends a run at once, as SIGKILL does: nothing of it is caught."""


def test_a_long_file_goes_on_where_a_run_was_killed(
    moss: Moss, wav: Wav, asked: Asked, tmp_path: Path, backend: ScriptedBackend
) -> None:
    """Killed when 3 or 4 of its 6 pieces are answered, as quickly as they were read: the others are left to do."""
    wav("long.wav", 6 * 16_000)
    argv = (*TINY, "long.wav", "-f", "json", "--chunk", "1", "--batch-size", "2")
    moss(*argv, "-o", "undisturbed/")
    n_pieces = len(asked)
    asked.clear()

    def killed(n: int) -> None:
        if len(asked) > 4:
            raise Killed

    backend.at_step = killed
    with pytest.raises(Killed):
        moss(*argv, "-o", "out/")
    backend.at_step = lambda n: None
    del asked[len(asked) - len(backend.cancelled) :]  # what was asked when it was killed has no answer
    assert 3 <= len(asked) <= 4
    assert stamps(tmp_path / "out") == {}
    [journal] = (tmp_path / "out/.moss/unfinished").iterdir()
    assert journal.stat().st_mode & 0o777 == 0o600
    assert moss(*argv, "-o", "out/") == Run(0, "", [])
    assert len(asked) == n_pieces
    first, second = (json.loads((tmp_path / name / "long.json").read_text()) for name in ("undisturbed", "out"))
    assert {**first, "usage": None} == {**second, "usage": None}
    assert list((tmp_path / "out/.moss/unfinished").iterdir()) == []


@pytest.mark.parametrize("change", ["options", "input", "journal"])
def test_pieces_of_other_work_or_another_input_are_not_gone_on_with(
    moss: Moss, wav: Wav, asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    wav("long.wav", 4 * 16_000)
    argv = [*TINY, "long.wav", "-o", "out/", "--chunk", "1", "--batch-size", "2"]

    def killed(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("moss_cli.folders.writer.write_atomic", killed)
        with pytest.raises(Killed):
            moss(*argv)
    n_pieces = len(asked)
    asked.clear()
    [journal] = (tmp_path / "out/.moss/unfinished").iterdir()
    if change == "options":
        argv += ["--seed", "1"]
    elif change == "input":
        samples, _ = soundfile.read("long.wav", dtype="float32", always_2d=True)
        wav("long.wav", 0.9 * samples)
    else:
        journal.write_bytes(journal.read_bytes().replace(b'"finish_reason"', b'"finish"'))
    assert moss(*argv) == Run(0, "", [])
    assert len(asked) == n_pieces > 2
    assert list((tmp_path / "out/.moss/unfinished").iterdir()) == []


def test_a_journal_that_cannot_be_kept_is_said_once_and_the_work_goes_on(moss: Moss, wav: Wav, tmp_path: Path) -> None:
    for name in "ab":
        wav(f"in/{name}.wav", 4 * 16_000)
    (tmp_path / "out/.moss").mkdir(parents=True)
    (tmp_path / "out/.moss/unfinished").write_text("in the way")
    run = moss(*TINY, "in", "-o", "out", "--chunk", "1")
    assert run.code == 0
    assert run.err == [
        "moss: warning: progress within files cannot be saved: out/.moss/unfinished is not a folder; move it away"
    ]
    assert sorted(stamps(tmp_path / "out")) == ["a.txt", "b.txt"]


def test_a_folder_of_a_thousand_levels_is_mirrored(moss: Moss, wav: Wav, tmp_path: Path) -> None:
    deep = tmp_path / "in"
    deep.mkdir()
    here = os.getcwd()  # noqa: PTH109 - one level after another: the whole path is too long for a system call
    try:
        os.chdir(deep)
        for _ in range(1000):
            Path("d").mkdir()
            os.chdir("d")
    finally:
        os.chdir(here)
    wav("a.wav").rename(tmp_path / "in" / ("d/" * 1000) / "a.wav")
    try:
        assert moss(*TINY, "in", "-o", "out") == Run(0, "", [])
        assert (tmp_path / "out" / ("d/" * 1000) / "a.txt").read_text() == "hello there\n"
    finally:  # what clears up after tests goes down by calling itself
        subprocess.run(["rm", "-rf", "in", "out"], cwd=tmp_path, check=True)


def test_a_state_folder_that_is_a_link_is_refused(moss: Moss, wav: Wav, tmp_path: Path) -> None:
    wav("a.wav")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/.moss").symlink_to("../elsewhere")
    run = moss(*TINY, "a.wav", "-o", "out/")
    said = "moss: error: out/.moss is a symbolic link, but moss needs a folder of that name for its state"
    assert run == Run(1, "", [said, "hint: move it away; moss will create its own"])
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "found", "wanted"),
    [
        (".moss", "a file", "a folder"),
        (".moss/runs", "a file", "a folder"),
        (".moss/lock", "a folder", "a file"),
        (".moss/claims", "a folder", "a file"),
    ],
)
def test_what_stands_in_the_way_of_the_state_is_named_with_what_to_do(
    moss: Moss, wav: Wav, tmp_path: Path, name: str, found: str, wanted: str
) -> None:
    wav("a.wav")
    in_the_way = tmp_path / "out" / name
    in_the_way.parent.mkdir(parents=True)
    if found == "a folder":
        in_the_way.mkdir()
    else:
        in_the_way.write_text("mine")
    said = f"moss: error: out/{name} is {found}, but moss needs {wanted} of that name for its state"
    expected = Run(1, "", [said, "hint: move it away; moss will create its own"])
    assert moss(*TINY, "a.wav", "-o", "out/") == expected
    if name in (".moss", ".moss/lock"):
        assert moss("batch", "clean", "out") == expected
    in_the_way.rename(tmp_path / "mine")
    assert moss(*TINY, "a.wav", "-o", "out/").code == 0


def test_another_run_s_result_of_other_options_is_not_overwritten(
    moss: Moss, wav: Wav, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: ScriptedBackend
) -> None:
    """While this run is at `a`, and has not read it to its end, another one does `b` with other options."""
    monkeypatch.setattr("moss_cli.run.prefetch.AHEAD_S", 10.0)
    wav("in/a.wav", 40 * 16_000)
    wav("in/b.wav")

    def beside(n: int) -> None:
        backend.at_step = lambda n: None
        another = opening(ScriptedBackend())
        assert run([*TINY, "in/b.wav", "-o", "out/", "--seed", "1"], open_backend=another) == 0

    backend.at_step = beside
    before = moss(*TINY, "in", "-o", "out", "--batch-size", "1")
    assert before == Run(3, "", ["moss: error: out/b.txt already exists", "hint: use --force to overwrite it"])
    monkeypatch.undo()
    made = [json.loads(line) for line in (tmp_path / "out/.moss/outputs.jsonl").read_text().splitlines()]
    assert [line["result"] for line in made if "made" in line] == ["transcribe b", "transcribe a"]


def test_no_input_is_overwritten_by_another_one_s_result(moss: Moss, wav: Wav, tmp_path: Path) -> None:
    wav("in/a.wav")
    audio = wav("out/a.txt").read_bytes()
    run = moss(*TINY, "in/a.wav", "out/a.txt", "-o", "out/", "--force")
    assert "moss: error: out/a.txt is another input" in run.err
    assert (tmp_path / "out/a.txt").read_bytes() == audio
