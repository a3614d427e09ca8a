"""What is kept of unfinished inputs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from moss_cli.folders.journal import FileJournal, read_journal
from moss_cli.run.journal import Opened

OPENED = Opened("abc", 0.0, 12.0)


def found(text: str) -> list[dict[str, Any]]:
    return [{"text": text, "span": [0.1, 2 / 3]}]


def begun(file: Path, opened: Opened = OPENED, **work: str) -> FileJournal:
    journal = FileJournal(file, work)
    journal.begin(opened)
    return journal


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "unfinished" / "a.jsonl"


def test_what_was_put_is_had_by_the_next_run_of_the_same_work(file: Path) -> None:
    first = begun(file, work="w")
    assert not file.parent.exists()
    first.put("0", found("héllo"))
    first.put("1.1", found("there"))
    assert (file.parent.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)
    again = begun(file, work="w")
    assert [again.get(piece) for piece in ("0", "1.1", "1")] == [found("héllo"), found("there"), None]
    again.put("2", found("!"))
    header, pieces, n_bytes = read_journal(file)
    assert header == {"work": "w", "sha256": "abc", "start_s": 0.0, "total_s": 12.0}
    assert list(pieces) == ["0", "1.1", "2"]
    assert n_bytes == file.stat().st_size


@pytest.mark.parametrize("opened", [Opened("abd", 0.0, 12.0), Opened("abc", 1.0, 12.0), Opened("abc", 0.0, None)])
def test_other_work_and_other_bytes_begin_anew(file: Path, opened: Opened) -> None:
    begun(file, work="w").put("0", found("a"))
    for journal in (begun(file, opened, work="w"), begun(file, work="v")):
        assert journal.get("0") is None
    journal.put("1", found("b"))
    assert list(read_journal(file)[1]) == ["1"]


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_line_that_was_not_finished_is_written_over(file: Path, cut: int) -> None:
    journal = begun(file, work="w")
    journal.put("0", found("a"))
    whole = file.read_bytes()
    journal.put("1", found("b"))
    os.truncate(file, len(whole) + cut)
    again = begun(file, work="w")
    assert (again.get("0"), again.get("1")) == (found("a"), None)
    again.put("2", found("c"))
    assert [json.loads(line).get("piece") for line in file.read_bytes().splitlines()] == [None, "0", "2"]


@pytest.mark.parametrize("content", [b"", b"\n", b"[]\n", b"\xff\n", b'{"work": "w"}', b"3\n3\n"])
def test_what_is_no_journal_is_begun_anew(file: Path, content: bytes) -> None:
    file.parent.mkdir()
    file.write_bytes(content)
    journal = begun(file, work="w")
    assert journal.get("0") is None
    journal.put("0", found("a"))
    assert begun(file, work="w").get("0") == found("a")


def test_what_cannot_be_kept_is_said_once(tmp_path: Path) -> None:
    reasons: list[str] = []
    (tmp_path / "unfinished").write_text("in the way")
    journal = FileJournal(tmp_path / "unfinished" / "a.jsonl", {}, reasons.append)
    journal.begin(OPENED)
    for piece in "012":
        journal.put(piece, found(piece))
    assert reasons == [f"{tmp_path / 'unfinished'} is not a folder; move it away"]


def test_what_is_deleted_is_forgotten(file: Path) -> None:
    journal = begun(file)
    journal.put("0", found("a"))
    journal.delete()
    assert list(file.parent.iterdir()) == []
    journal.put("1", found("b"))  # nothing is kept of an input that is done
    assert list(file.parent.iterdir()) == []


def test_a_line_is_on_the_disk_when_put_returns(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the file holds when it is synced is all that is sure to survive a power cut."""
    synced: list[bytes] = []
    monkeypatch.setattr("os.fsync", lambda descriptor: synced.append(file.read_bytes()))
    journal = begun(file, work="w")
    for piece in "012":
        journal.put(piece, found(piece))
        assert synced[-1] == file.read_bytes()
        assert json.loads(synced[-1].splitlines()[-1])["piece"] == piece
    assert len(synced) == 3


@pytest.mark.parametrize("is_read", [False, True])
def test_a_fifo_in_its_place_is_neither_waited_for_nor_written_to(tmp_path: Path, is_read: bool) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    reader = os.open(tmp_path / "a.jsonl", os.O_RDONLY | os.O_NONBLOCK) if is_read else None
    said: list[str] = []
    journal = FileJournal(tmp_path / "a.jsonl", {"work": "w"}, said.append)
    journal.begin(OPENED)
    for piece in "012":
        journal.put(piece, found("a"))
    assert said == [f"{tmp_path}/a.jsonl is not a regular file; move it away"]
    if reader is not None:
        os.set_blocking(reader, False)
        assert os.read(reader, 100) == b""
        os.close(reader)
