"""Results on stdout and in one file: written while they come, gone on from after a kill."""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_run import TINY, Run
from scripted_backend import HeardClip, ScriptedBackend, all_is_read

from moss_cli.backends.protocol import Request
from moss_cli.folders.journal import read_journal

Moss = Callable[..., Run]
Wav = Callable[..., Path]

FORMATS = ("txt", "json", "jsonl", "srt", "vtt", "md", "tsv", "csv")
ONE_BY_ONE = ("--chunk", "4", "--batch-size", "1")


class Killed(BaseException):
    """As a signal: nothing catches it."""


def heard(request: Request, n: int) -> str:
    """What the samples are, in letters: each chunk says something else, twice."""
    assert isinstance(request.clip, HeardClip)
    digits = str(zlib.crc32(request.clip.samples.tobytes()))
    said = "".join("abcdefghij"[int(digit)] for digit in digits)
    return f"[0.10]{said} one[0.60][0.80]two {said}[1.50]"


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> ScriptedBackend:
    monkeypatch.setattr("moss_cli.run.speech_pieces.silent_stretches", lambda *_: [])
    return ScriptedBackend(heard)


@pytest.fixture
def long(wav: Wav) -> Path:
    """A recording of seven chunks, with a pause every three seconds."""
    samples = np.random.default_rng(0).uniform(-0.1, 0.1, 20 * 16_000).astype(np.float32)
    for at_s in range(3, 20, 3):
        samples[round((at_s - 0.5) * 16_000) : at_s * 16_000] = 0
    return wav("long.wav", samples)


def unfinished() -> list[Path]:
    return sorted((Path(os.environ["MOSS_STATE_DIR"]) / "unfinished").glob("*.jsonl"))


def killed_after(moss: Moss, backend: ScriptedBackend, n_answers: int, *argv: str, **more: Any) -> None:
    """A run that is killed when so many answers have come."""

    def at_step(n: int) -> None:
        if len(backend.asked) > n_answers:
            raise Killed

    backend.at_step = at_step
    backend.asked.clear()
    with pytest.raises(Killed):
        moss(*argv, **more)
    backend.at_step = lambda n: None
    backend.asked.clear()


def without_usage(text: str) -> Any:
    document = json.loads(text)
    return {**document, "usage": None}


@pytest.fixture
def n_pieces(moss: Moss, long: Path, backend: ScriptedBackend) -> int:
    moss(*TINY, str(long), *ONE_BY_ONE)
    n_asked = len(backend.asked)
    backend.asked.clear()
    assert n_asked >= 5
    return n_asked


@pytest.mark.parametrize("more", [(), ("--max-line-width", "20", "--max-line-count", "2"), ("--timestamps", "none")])
@pytest.mark.parametrize("fmt", FORMATS)
def test_what_is_written_while_it_comes_is_what_a_file_holds(
    moss: Moss, long: Path, tmp_path: Path, fmt: str, more: Sequence[str]
) -> None:
    if fmt in ("srt", "vtt") and "none" in more:
        pytest.skip("has no times")
    argv = (*TINY, long.name, *ONE_BY_ONE, *more)
    assert moss(*argv, "-o", f"x.{fmt}").code == 0
    piped, in_file = moss(*argv, "-f", fmt).out, (tmp_path / f"x.{fmt}").read_text()
    if fmt in ("json", "jsonl"):
        assert without_usage(piped) == without_usage(in_file)
    else:
        assert piped == in_file


@pytest.mark.parametrize("fmt", ["txt", "srt", "vtt", "tsv", "csv"])
def test_a_pipe_gets_each_chunk_before_the_next_one_is_answered(
    moss: Moss, long: Path, backend: ScriptedBackend, capfd: pytest.CaptureFixture[str], fmt: str
) -> None:
    seen: list[str] = []

    def at_step(n: int) -> None:
        all_is_read()
        seen.append("".join((*seen[-1:], capfd.readouterr().out)))

    backend.at_step = at_step
    rest = moss(*TINY, long.name, *ONE_BY_ONE, "-f", fmt, "--quiet").out
    assert len(set(seen)) == len(seen) >= 5
    backend.at_step = lambda n: None
    assert moss(*TINY, long.name, *ONE_BY_ONE, "-f", fmt, "--quiet").out == seen[-1] + rest


@pytest.mark.usefixtures("n_pieces")
@pytest.mark.parametrize("n_answers", [1, 3, 5])
@pytest.mark.parametrize("output", ["", "txt", "srt", "json"])
def test_a_killed_run_goes_on_where_it_was(
    moss: Moss, long: Path, backend: ScriptedBackend, tmp_path: Path, n_pieces: int, n_answers: int, output: str
) -> None:
    whole = moss(*TINY, long.name, *ONE_BY_ONE).out
    argv = (*TINY, long.name, *ONE_BY_ONE, *(("-o", f"x.{output}") if output else ()))
    killed_after(moss, backend, n_answers, *argv)
    [journal] = unfinished()
    assert (journal.stat().st_mode & 0o777, journal.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert len(read_journal(journal)[1]) == n_answers
    run = moss(*argv)
    assert run.code == 0
    assert [re.sub(r"\d+:\d\d", "M:SS", line) for line in run.err] == [
        "moss: going on where an earlier run stopped: M:SS are kept"
    ]
    assert len(backend.asked) == n_pieces - n_answers
    if not output:
        assert run.out == whole
    assert unfinished() == []
    backend.asked.clear()
    assert moss(*argv).code == 0
    assert len(backend.asked) == n_pieces
    assert sorted(path.name for path in tmp_path.iterdir()) == ["long.wav", *([f"x.{output}"] if output else [])]


def test_a_run_to_a_file_goes_on_from_one_to_stdout_and_whatever_the_file_is_called(
    moss: Moss, long: Path, backend: ScriptedBackend, n_pieces: int
) -> None:
    killed_after(moss, backend, 3, *TINY, "long.wav", *ONE_BY_ONE)
    long.rename(long.with_name("other.wav"))
    assert moss(*TINY, "other.wav", *ONE_BY_ONE, "-o", "x.vtt").code == 0
    assert len(backend.asked) == n_pieces - 3


def test_standard_input_is_gone_on_from_if_it_is_the_same(
    moss: Moss, long: Path, backend: ScriptedBackend, n_pieces: int
) -> None:
    data = long.read_bytes()
    argv = (*TINY, "-", *ONE_BY_ONE)
    killed_after(moss, backend, 3, *argv, stdin=data)
    assert moss(*argv, stdin=data[:-2]).code in (0, 3)
    assert len(backend.asked) >= n_pieces
    backend.asked.clear()
    assert moss(*argv, stdin=data).code == 0
    assert len(backend.asked) == n_pieces - 3


@pytest.mark.parametrize("more", [("--seed", "1"), ("--timestamps", "none"), ("--chunk", "5"), ("--start", "1")])
def test_other_options_do_not_go_on_from_it(
    moss: Moss, backend: ScriptedBackend, n_pieces: int, more: Sequence[str]
) -> None:
    argv = (*TINY, "long.wav", *ONE_BY_ONE)
    killed_after(moss, backend, 3, *argv)
    moss(*argv, *more)
    assert len(backend.asked) > n_pieces - 3
    assert len(unfinished()) == 1


def test_what_a_killed_run_had_found_is_written_before_the_model_answers(
    moss: Moss, backend: ScriptedBackend, n_pieces: int, capfd: pytest.CaptureFixture[str]
) -> None:
    argv = (*TINY, "long.wav", *ONE_BY_ONE, "--quiet")
    whole = moss(*argv).out
    killed_after(moss, backend, 3, *argv)
    seen: list[str] = []

    def at_open() -> None:
        all_is_read()

    backend.at_open = at_open
    backend.at_step = lambda n: seen.append(capfd.readouterr().out)
    moss(*argv)
    assert whole.startswith(seen[0])
    assert seen[0].count("\n") == 6


@pytest.mark.parametrize(("number", "code", "said"), [(2, 130, "interrupted"), (15, 143, "terminated")])
@pytest.mark.parametrize("output", [(), ("-o", "x.srt")])
def test_a_signal_says_what_is_kept(
    moss: Moss, long: Path, backend: ScriptedBackend, number: int, code: int, said: str, output: Sequence[str]
) -> None:
    def at_step(n: int) -> None:
        if len(backend.asked) > 3:
            os.kill(os.getpid(), number)

    backend.at_step = at_step
    run = moss(*TINY, "long.wav", *ONE_BY_ONE, *output)
    assert (run.code, run.err) == (
        code,
        [f"moss: error: {said}", "hint: 0:08 of 0:20 are kept; run the same command again to go on"],
    )
    assert run.out.count("\n") == (0 if output else 6)


def test_a_signal_before_anything_is_kept_promises_nothing(moss: Moss, long: Path, backend: ScriptedBackend) -> None:
    backend.at_step = lambda n: os.kill(os.getpid(), 2)
    assert moss(*TINY, "long.wav", *ONE_BY_ONE).err == ["moss: error: interrupted"]


def test_a_closed_stdout_ends_quietly_and_keeps_what_was_found(
    moss: Moss, long: Path, backend: ScriptedBackend, n_pieces: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers, writers = os.pipe()
    os.close(readers)
    with os.fdopen(writers, "w") as closed, monkeypatch.context() as patch:
        patch.setattr("sys.stdout", closed)
        run = moss(*TINY, "long.wav", *ONE_BY_ONE)
    assert (run.code, run.out, run.err) == (141, "", [])
    backend.asked.clear()
    assert moss(*TINY, "long.wav", *ONE_BY_ONE).code == 0
    assert len(backend.asked) == n_pieces - 1


def test_two_runs_at_once_leave_one_journal_whole(
    moss: Moss, backend: ScriptedBackend, n_pieces: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one holds the claim: this one uses what it has found, and keeps nothing."""
    argv = (*TINY, "long.wav", *ONE_BY_ONE)
    killed_after(moss, backend, 3, *argv)
    [journal] = unfinished()
    before = journal.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("moss_cli.folders.unfinished.Claims.take", lambda *_: False)
        assert moss(*argv).code == 0
    assert len(backend.asked) == n_pieces - 3
    assert journal.read_bytes() == before


def test_a_journal_of_a_month_ago_is_deleted(moss: Moss, backend: ScriptedBackend, wav: Wav, n_pieces: int) -> None:
    killed_after(moss, backend, 3, *TINY, "long.wav", *ONE_BY_ONE)
    [journal] = unfinished()
    wav("b.wav")
    os.utime(journal, (0, journal.stat().st_mtime - 29 * 86_400))
    moss(*TINY, "b.wav")
    assert unfinished() == [journal]
    os.utime(journal, (0, journal.stat().st_mtime - 2 * 86_400))
    moss(*TINY, "b.wav")
    assert unfinished() == []


def test_a_state_folder_that_cannot_be_written_is_said_once_and_only_where_it_matters(
    moss: Moss, long: Path, wav: Wav
) -> None:
    state = Path(os.environ["MOSS_STATE_DIR"])
    (state / "unfinished").write_text("in the way")
    wav("b.wav", 2 * 16_000)
    assert moss(*TINY, "b.wav", *ONE_BY_ONE).err == []
    run = moss(*TINY, "long.wav", "b.wav", *ONE_BY_ONE)
    assert run.code == 0
    reason = f"{state / 'unfinished'}: file exists"
    assert run.err == [f"moss: warning: progress cannot be kept for a later run: {reason}"]


def test_a_failed_input_leaves_what_was_written_and_says_so(
    moss: Moss, long: Path, wav: Wav, backend: ScriptedBackend
) -> None:
    backend.say = lambda request, n: RuntimeError("out of ideas") if n == 3 else heard(request, n)
    wav("b.wav", 16_000)
    run = moss(*TINY, "long.wav", "b.wav", *ONE_BY_ONE, "--no-vad")
    assert run.code == 3
    assert run.out.startswith("==> long.wav <==\n")
    assert run.out.count("\n==> b.wav <==\n") == 1
    assert run.out.partition("\n==> b.wav")[0].count("\n") == 5
    assert run.err[0] == "moss: warning: long.wav: what was written of it to stdout is incomplete"
    assert run.err[1].startswith("moss: error: long.wav: unexpected RuntimeError: out of ideas")


def test_one_table_has_one_head_also_where_its_first_input_fails(
    moss: Moss, long: Path, wav: Wav, backend: ScriptedBackend
) -> None:
    backend.say = lambda request, n: RuntimeError("out of ideas") if n == 3 else heard(request, n)
    wav("b.wav", 2 * 16_000)
    lines = moss(*TINY, "long.wav", "b.wav", *ONE_BY_ONE, "-f", "csv").out.splitlines()
    assert [line.partition(",")[0] for line in lines] == ["file", *["long.wav"] * 4, *["b.wav"] * 2]


def test_a_journal_that_somebody_has_changed_is_an_error_rather_than_a_wrong_text(
    moss: Moss, long: Path, backend: ScriptedBackend, n_pieces: int
) -> None:
    killed_after(moss, backend, 3, *TINY, "long.wav", *ONE_BY_ONE)
    [journal] = unfinished()
    header, *lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(header + lines[0].replace(b'"result"', b'"results"') + b"".join(lines[1:]))
    assert moss(*TINY, "long.wav", *ONE_BY_ONE).code == 0
    assert len(backend.asked) == n_pieces - 2
