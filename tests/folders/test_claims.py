"""What runs hold against each other, and that nothing of it outlives them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from moss_cli.folders.claims import Claims
from moss_cli.folders.leftovers import remove_leftovers
from moss_cli.folders.runs import RunMarker, active_runs, forget_dead_runs
from moss_cli.output import atomic
from moss_cli.output.atomic import write_atomic

ROOT = Path(__file__).parents[2]
LEFTOVER = ".moss-0123456789abcdef.tmp"


@contextmanager
def other(code: str) -> Iterator[subprocess.Popen[str]]:
    """Another process, which has run `code` and waits."""
    argv = [sys.executable, "-c", f"{code}\nprint('ready', flush=True)\ninput()"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_claim_holds_against_other_processes_until_theirs_dies(tmp_path: Path) -> None:
    mine = Claims(tmp_path)
    code = f"from pathlib import Path\nfrom moss_cli.folders.claims import Claims\nc = Claims(Path({str(tmp_path)!r}))"
    with other(f"{code}\nassert c.take('a') and c.take('b') and c.take('c')\nc.release('c')") as process:
        assert [mine.take(name) for name in "abcd"] == [False, False, True, True]
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert mine.take("a")
    assert mine.works
    mine.close()
    with other(f"{code}\nassert c.take('a') and c.take('d')"):
        pass


def test_where_there_are_no_locks_everything_can_be_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lockf(*_: object) -> None:
        raise OSError(95, "not supported")

    monkeypatch.setattr("fcntl.lockf", lockf)
    claims = Claims(tmp_path)
    assert claims.take("a")
    assert not claims.works
    claims.close()


def test_runs_at_work_are_those_that_live(tmp_path: Path) -> None:
    assert active_runs(tmp_path) == []
    imports = "from pathlib import Path\nfrom moss_cli.folders.runs import RunMarker"
    code = f"{imports}\nw = RunMarker(Path({str(tmp_path)!r}), 'ask')"
    with other(code) as process:
        [run] = active_runs(tmp_path)
        assert (run.pid, run.task) == (process.pid, "ask")
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert active_runs(tmp_path) == []
    assert len(list((tmp_path / "runs").iterdir())) == 1
    mine = RunMarker(tmp_path, "transcribe")
    forget_dead_runs(tmp_path)
    assert [run.pid for run in active_runs(tmp_path)] == [os.getpid()]
    assert len(list((tmp_path / "runs").iterdir())) == 1
    mine.close()
    assert active_runs(tmp_path) == []


def test_leftovers_of_dead_writers_go_and_nothing_else(tmp_path: Path) -> None:
    names = [LEFTOVER, ".moss-0123.tmp", "a.tmp", f"{LEFTOVER}.txt"]
    for name in names:
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / LEFTOVER).symlink_to(tmp_path / "a.tmp")
    assert remove_leftovers([tmp_path, tmp_path / "a", tmp_path / "gone"]) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["a", *names[1:]])


def test_a_file_that_is_being_written_is_no_leftover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_all = atomic.write_all
    removed: list[int] = []

    def write(descriptor: int, data: bytes) -> None:
        write_all(descriptor, data)
        removed.append(remove_leftovers([tmp_path]))

    monkeypatch.setattr(atomic, "write_all", write)
    write_atomic(tmp_path / "a.txt", b"whole", overwrite=False)
    assert removed == [0]
    assert (tmp_path / "a.txt").read_bytes() == b"whole"


def test_a_file_taken_for_a_leftover_before_it_was_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock: Callable[..., None] = atomic.fcntl.flock
    removed: list[int] = []

    def late(descriptor: int, how: int) -> None:
        if not removed:
            removed.append(0)
            removed[0] = remove_leftovers([tmp_path])
        flock(descriptor, how)

    monkeypatch.setattr(atomic.fcntl, "flock", late)
    write_atomic(tmp_path / "a.txt", b"whole", overwrite=False)
    assert removed == [1]
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_bytes() == b"whole"
