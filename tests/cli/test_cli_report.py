"""What is said of a run at its end, on stderr and in the report's file: also of one that is cut short."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_run import TINY, Run
from scripted_backend import ScriptedBackend

from moss_cli.cli.tally import ReportEntry, Tally
from moss_cli.errors import ModelError
from moss_cli.output.atomic import write_atomic
from moss_cli.span import Span

Moss = Callable[..., Run]
Wav = Callable[..., Path]

STATUSES = ("done", "skipped", "partial", "failed", "interrupted")


def report(path: Path) -> Any:
    return json.loads((path / "r.json").read_text())


def counts(**found: int) -> dict[str, int]:
    return {status: found.get(status, 0) for status in STATUSES}


@pytest.fixture
def cut(wav: Wav) -> Path:
    """A recording of which the second half is missing."""
    path = wav("in/c.wav", 48_000)
    os.truncate(path, path.stat().st_size // 2)
    return path


def test_what_is_wrong_is_said_once_and_the_end_of_a_run_counts_it(
    moss: Moss, wav: Wav, cut: Path, tmp_path: Path
) -> None:
    wav("in/a.wav", 32_000)
    (tmp_path / "in/b.wav").write_text("no audio")
    run = moss(*TINY, "in", "gone.wav", "-o", "out")
    assert run.code == 3
    assert run.err[0] == "moss: error: in/b.wav is not audio that can be read"
    assert run.err[1].startswith("moss: warning: in/c.wav is cut short: 1.")
    assert run.err[2:] == ["moss: error: no such file: gone.wav"]
    assert run.summary[0] == "4 inputs: 1 done, 1 partial, 2 failed"
    assert re.fullmatch(r"0:03\.5 of audio in 0:\d\d\.\d, [\d.]+x real time", run.summary[1])
    assert len(run.summary) == 2


def test_one_input_and_quiet_runs_end_without_a_summary(moss: Moss, wav: Wav, tmp_path: Path) -> None:
    wav("a.wav")
    assert moss(*TINY, "a.wav").summary == []
    assert moss(*TINY, "a.wav", "gone.wav", "--quiet").summary == []
    assert moss(*TINY, "a.wav", "gone.wav", "--quiet").err == ["moss: error: no such file: gone.wav"]


def test_lines_of_a_kind_are_cut_off_and_counted(moss: Moss, wav: Wav, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for k in range(25):
        wav(f"in/a{k:02d}.wav")
        (tmp_path / f"out/a{k:02d}.txt").write_text("mine")
    run = moss(*TINY, "in", "-o", "out", "--report", "r.json")
    assert run.summary[0] == "25 inputs: 25 kept"
    assert run.summary[1:21] == [f"not written by moss, kept: out/a{k:02d}.txt" for k in range(20)]
    assert run.summary[21:] == ["not written by moss, kept: and 5 more"]
    assert report(tmp_path)["kept"] == [f"out/a{k:02d}.txt" for k in range(25)]


def test_the_report_says_the_same_as_json(moss: Moss, wav: Wav, cut: Path, tmp_path: Path) -> None:
    wav(os.fsdecode(b"in/n\xff.wav"), np.full((1600, 1), 6.0, np.float32), subtype="FLOAT")
    (tmp_path / "in/b.wav").write_text("no audio")
    run = moss(*TINY, "in", "-o", "out", "--report", "r.json", "--quiet")
    assert run.code == 3
    found = report(tmp_path)
    assert (found["schema_version"], found["task"]) == ("1", "transcribe")
    assert found["counts"] == counts(done=1, partial=1, failed=1)
    assert found["audio_seconds"] == pytest.approx(1.6, abs=0.01)
    assert datetime.fromisoformat(found["started"]) <= datetime.fromisoformat(found["finished"])
    bad, whole, strange = found["inputs"]
    assert bad == {
        "path": "in/b.wav",
        "status": "failed",
        "code": "not_audio",
        "message": "in/b.wav is not audio that can be read",
        "warnings": [],
    }
    assert (whole["path"], whole["status"], whole["code"]) == ("in/c.wav", "partial", "partial")
    assert whole["message"].startswith("in/c.wav is cut short: 1.")
    assert [warning["code"] for warning in whole["warnings"]] == ["truncated"]
    assert (strange["path"], strange["path_bytes"]) == ("in/n\\xff.wav", "aW4vbv8ud2F2")
    assert (strange["status"], strange["code"], strange["message"]) == ("done", None, None)
    assert (whole["outputs"], strange["outputs"]) == (["out/c.txt"], ["out/n\\xff.txt"])
    assert len(strange["warnings"]) == 1


def test_where_nobody_speaks_is_named_at_the_end_and_in_the_report(
    moss: Moss, wav: Wav, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(samples: np.ndarray, *_: np.ndarray) -> list[Span]:
        return [Span(0.0, len(samples) / 16_000)] if len(samples) < 1600 else []

    monkeypatch.setattr("moss_cli.run.speech_pieces.silent_stretches", silent)
    for name, n_samples in (("a", 1600), ("b", 800), ("c", 800)):
        wav(f"in/{name}.wav", n_samples)
    run = moss(*TINY, "in", "-o", "out", "--report", "r.json")
    assert (run.code, run.err) == (0, [])
    assert run.summary[:3] == ["3 inputs: 3 done", "no speech found: in/b.wav", "no speech found: in/c.wav"]
    assert [one.get("no_speech") for one in report(tmp_path)["inputs"]] == [None, True, True]


def test_one_input_has_a_report_too_and_the_next_run_writes_over_it(moss: Moss, wav: Wav, tmp_path: Path) -> None:
    wav("a.wav")
    assert moss(*TINY, "a.wav", "--report", "r.json") == Run(0, "hello there\n", [])
    assert report(tmp_path)["counts"] == counts(done=1)
    assert moss(*TINY, "gone.wav", "--report", "r.json").code == 4
    assert report(tmp_path)["counts"] == counts(failed=1)


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (["--report", "mine.json"], 2, "mine.json already exists"),
        (["--report", "a.wav"], 2, "a.wav already exists"),
        (["--report", "no/r.json"], 1, "folder no does not exist"),
        (["--report", "-"], 2, "--report needs a file name"),
        (["--report", "a.txt", "-o", "./a.txt"], 2, "a.txt cannot be both the output and the report"),
    ],
)
def test_a_report_that_cannot_be_written_is_said_before_the_work(
    moss: Moss, wav: Wav, tmp_path: Path, argv: list[str], code: int, message: str
) -> None:
    audio = wav("a.wav").read_bytes()
    (tmp_path / "mine.json").write_text('{"schema_version": "1", "moss": "0.1.0", "task": "transcribe"}')
    run = moss(*TINY, "a.wav", *argv)
    assert (run.code, run.out, run.err[0]) == (code, "", f"moss: error: {message}")
    assert (tmp_path / "a.wav").read_bytes() == audio
    assert not (tmp_path / "a.txt").exists()


def test_force_writes_a_report_over_anything(moss: Moss, wav: Wav, tmp_path: Path) -> None:
    wav("a.wav")
    (tmp_path / "r.json").write_text("mine")
    assert moss(*TINY, "a.wav", "--report", "r.json", "--force").code == 0
    assert report(tmp_path)["counts"] == counts(done=1)


def test_a_result_is_not_lost_to_a_report_of_the_same_name(moss: Moss, wav: Wav, tmp_path: Path) -> None:
    wav("in/a.wav")
    run = moss(*TINY, "in", "-o", ".", "-f", "json", "--report", "a.json")
    assert (run.code, run.err[0]) == (2, "moss: error: a.json already exists")
    assert json.loads((tmp_path / "a.json").read_text())["text"] == "hello there"


@pytest.fixture
def at_answer(backend: ScriptedBackend) -> Callable[[int, Callable[[], None]], None]:
    """Does something while the answer of that number, from 1, is decoded."""

    def arrange(number: int, do: Callable[[], None]) -> None:
        done = False

        def at_step(n: int) -> None:
            nonlocal done
            if len(backend.asked) >= number and not done:
                done = True
                do()

        backend.at_step = at_step

    return arrange


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_interrupted_leaves_whole_documents_and_says_what_was_not_done(
    moss: Moss, wav: Wav, tmp_path: Path, at_answer: Any, number: signal.Signals, code: int
) -> None:
    for name in "abcd":
        wav(f"in/{name}.wav")
    (tmp_path / "in/b.wav").write_text("no audio")
    argv = [*TINY, "in", "--report", "r.json", "--batch-size", "1"]
    at_answer(2, lambda: os.kill(os.getpid(), number))
    run = moss(*argv, "-f", "json")
    assert run.code == code
    assert [envelope["status"] for envelope in json.loads(run.out)] == ["ok", "error"]
    assert run.summary[0] == "4 inputs: 1 done, 1 failed, 2 not done"
    assert "moss: error: in/b.wav is not audio that can be read" in run.err
    found = report(tmp_path)
    assert found["counts"] == counts(done=1, failed=1, interrupted=2)
    assert [one["status"] for one in found["inputs"]] == ["done", "failed", "interrupted", "interrupted"]


def test_an_interrupted_run_into_a_folder_says_that_the_next_one_goes_on_from_there(
    moss: Moss, wav: Wav, tmp_path: Path, at_answer: Any
) -> None:
    for name in "abcd":
        wav(f"in/{name}.wav")
    argv = [*TINY, "in", "-o", "out", "--batch-size", "1"]
    at_answer(3, lambda: os.kill(os.getpid(), signal.SIGINT))
    run = moss(*argv)
    assert (run.code, run.err) == (130, ["moss: error: interrupted"])
    assert run.summary[0] == "4 inputs: 2 done, 2 not done; the next run will continue from there"
    assert moss(*argv).summary[0] == "4 inputs: 2 done, 2 already done"


@pytest.mark.parametrize(("more", "said"), [(["-o", "out"], "; the next run will continue from there"), ([], "")])
def test_a_run_that_is_interrupted_before_its_first_result_says_that_nothing_is_done(
    moss: Moss, wav: Wav, at_answer: Any, more: Sequence[str], said: str
) -> None:
    wav("in/a.wav")
    wav("in/b.wav")
    at_answer(1, lambda: os.kill(os.getpid(), signal.SIGTERM))
    run = moss(*TINY, "in", "--batch-size", "1", *more)
    assert (run.code, run.out, run.err) == (143, "", ["moss: error: terminated"])
    assert run.summary == [f"2 inputs: 2 not done{said}"]


def test_a_signal_that_a_library_swallows_ends_the_run_at_its_next_step(
    moss: Moss, wav: Wav, tmp_path: Path, at_answer: Any
) -> None:
    for name in "abc":
        wav(f"in/{name}.wav")

    def swallowed() -> None:
        with contextlib.suppress(BaseException):
            os.kill(os.getpid(), signal.SIGTERM)

    at_answer(1, swallowed)
    run = moss(*TINY, "in", "--batch-size", "1")
    assert (run.code, run.out) == (143, "==> in/a.wav <==\nhello there\n")


def test_what_holds_for_all_inputs_is_the_reason_of_those_that_are_left(
    moss: Moss, wav: Wav, tmp_path: Path, backend: ScriptedBackend
) -> None:
    wav("in/a.wav")
    wav("in/b.wav")

    def damaged() -> None:
        raise ModelError("the weights are damaged")

    backend.at_open = damaged
    run = moss(*TINY, "in", "--report", "r.json")
    assert run == Run(5, "", ["moss: error: the weights are damaged"])
    found = report(tmp_path)
    assert [(one["status"], one["code"]) for one in found["inputs"]] == [("failed", "model")] * 2


def test_a_disk_that_fills_up_ends_the_run_with_its_reason_and_whole_files(
    moss: Moss, wav: Wav, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        wav(f"in/{name}.wav")

    def full(path: Path, data: bytes, **named: Any) -> None:
        from moss_cli.errors import OutputError

        if path.name == "b.txt":
            raise OutputError("cannot write out/b.txt: no space left on device", code="disk_full")
        write_atomic(path, data, **named)

    monkeypatch.setattr("moss_cli.folders.writer.write_atomic", full)
    run = moss(*TINY, "in", "-o", "out", "--report", "r.json")
    assert (run.code, run.err) == (1, ["moss: error: cannot write out/b.txt: no space left on device"])
    assert [one["status"] for one in report(tmp_path)["inputs"]] == ["done", "failed", "failed"]
    assert report(tmp_path)["inputs"][1]["code"] == "disk_full"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".moss", "a.txt"]


@pytest.mark.parametrize(
    ("command", "answer", "what"),
    [
        (["transcribe"], "", "the model recognized no words"),
        (["ask", "What is said?"], '{"answer": null, "evidence": []}', "the model gave no answer"),
    ],
)
def test_a_result_with_nothing_in_it_is_said_to_have_nothing(
    command: Sequence[str],
    answer: str,
    what: str,
    moss: Moss,
    wav: Wav,
    backend: ScriptedBackend,
) -> None:
    wav("a.wav")
    backend.say = lambda request, n: answer
    run = moss(*command, "a.wav", "--model", "tiny")
    assert (run.code, run.out.strip()) == (0, "")
    assert f"moss: a.wav: {what}" in run.err


def test_a_fifo_takes_the_report_and_is_not_read(moss: Moss, wav: Wav, tmp_path: Path) -> None:
    wav("a.wav")
    os.mkfifo(tmp_path / "r.pipe")
    reader = os.open(tmp_path / "r.pipe", os.O_RDONLY | os.O_NONBLOCK)
    assert moss(*TINY, "a.wav", "--report", "r.pipe").code == 0
    assert json.loads(os.read(reader, 100_000))["counts"] == counts(done=1)
    os.close(reader)


def test_recordings_without_speech_are_listed_apart_from_what_failed() -> None:
    silent = [ReportEntry(Path(f"s{k:02d}.wav"), "done", is_silent=True) for k in range(22)]
    failed = [ReportEntry(Path(f"f{k:02d}.wav"), "failed", message="no") for k in range(30)]
    now = datetime(2026, 1, 1, tzinfo=UTC)
    lines = Tally([*silent, *failed], now, now, 1.0).lines()
    assert lines[0] == "52 inputs: 22 done, 30 failed"
    assert lines[1:21] == [f"no speech found: s{k:02d}.wav" for k in range(20)]
    assert lines[21:] == ["no speech found: and 2 more"]
