"""How far a run is, as a terminal shows it and as plain lines tell it."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from cli_run import DEMO, TINY, Run
from wcwidth import wcswidth

from moss_cli.cli.console import Console
from moss_cli.cli.progress import Progress, times
from moss_cli.run.job import Source, Step

Moss = Callable[..., Run]
Wav = Callable[..., Path]

ROOT = Path(__file__).parents[2]


class Clock:
    """A time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Three files, of which the last is twice as long as the others."""
    for name, size in (("a", 1000), ("b", 1000), ("c", 2000)):
        (tmp_path / name).write_bytes(bytes(size))
    return [tmp_path / name for name in "abc"]


def step(path: Path, what: str = "listening", done_s: float = 0.0, total_s: float | None = None) -> Step:
    return Step(what, Source(path, path.name), 0, done_s, total_s)


def test_nothing_is_claimed_before_anything_is_known(paths: list[Path], clock: Clock) -> None:
    progress = Progress(paths, clock)
    assert progress.line() == "0 of 3 files"
    progress.step(step(paths[0], "reading"))
    clock.now += 5
    assert progress.line() == "0 of 3 files"
    assert Progress(paths[:1], clock).line() == ""


def test_speed_and_time_left_follow_from_what_is_done_and_sizes_stand_for_lengths(
    paths: list[Path], clock: Clock
) -> None:
    progress = Progress(paths, clock)
    progress.step(step(paths[0], "reading"))
    clock.now += 10
    progress.step(step(paths[0], done_s=60, total_s=120))
    assert progress.line() == "0 of 3 files, 1:10 left, 1:00 of ~8:00 of audio, 6.0x real time"
    clock.now += 5
    assert progress.left_s == 65
    clock.now += 5
    progress.finished(paths[0], 120)
    progress.finished(paths[1], None)  # it could not be read: that much less is to be done
    assert progress.line() == "2 of 3 files, 0:40 left, 2:00 of ~6:00 of audio, 6.0x real time"
    progress.step(step(paths[2], total_s=3600))
    assert progress.line() == "2 of 3 files, 10:00 left, 2:00 of 1:02:00 of audio, 6.0x real time"
    clock.now += 600
    progress.finished(paths[2], 3600)
    assert progress.line() == "3 of 3 files, 0:00 left, 1:02:00 of 1:02:00 of audio, 6.0x real time"


def test_the_loading_of_the_model_tells_nothing_of_speed(paths: list[Path], clock: Clock) -> None:
    progress = Progress(paths, clock)
    progress.step(step(paths[0], "reading"))
    progress.step(step(paths[0], "loading"))
    clock.now += 1000
    progress.step(step(paths[0]))
    clock.now += 10
    progress.step(step(paths[0], done_s=5, total_s=10))
    assert progress.speed == 0.5


def test_a_file_that_fails_half_way_is_neither_done_nor_waited_for(paths: list[Path], clock: Clock) -> None:
    progress = Progress(paths[:2], clock)
    progress.step(step(paths[0], done_s=30, total_s=60))
    progress.finished(paths[0], None)
    clock.now += 10
    progress.step(step(paths[1], done_s=20, total_s=40))
    assert progress.line() == "1 of 2 files, 0:10 left, 0:20 of 0:40 of audio, 2.0x real time"


def test_what_has_no_size_does_not_matter_to_the_estimate(clock: Clock) -> None:
    paths = [Path("-"), Path("gone"), Path("nul\0")]
    progress = Progress(paths, clock)
    progress.step(step(paths[0]))
    clock.now += 1
    progress.finished(paths[0], 10)
    assert progress.line() == "1 of 3 files, 0:00 left, 0:10 of ~0:10 of audio, 10.0x real time"


def test_speeds_are_rounded_to_what_matters() -> None:
    assert [times(speed) for speed in (0.4234, 3.44, 99.94, 120.4)] == ["0.42x", "3.4x", "99.9x", "120x"]


def plain(clock: Clock, paths: Sequence[Path], **settings: bool) -> list[str]:
    """What a run of three minutes says on a stream that is no terminal."""
    console = Console(io.StringIO(), clock)
    for name, value in settings.items():
        setattr(console, name, value)
    console.follow(paths)
    for path in paths:
        console.step(step(path, "reading"))
        for tenths in range(1, 60):
            clock.now += 1
            console.step(step(path, done_s=tenths * 10, total_s=600))
        clock.now += 1
        console.finished(path, 600)
    assert isinstance(console.stream, io.StringIO)
    return console.stream.getvalue().splitlines()


def test_plain_lines_come_at_intervals_and_only_when_asked_for(paths: list[Path], clock: Clock) -> None:
    told = [
        "moss: 0 of 3 files, 3:30 left, 5:00 of ~40:00 of audio, 10.0x real time",
        "moss: 1 of 3 files, 3:00 left, 10:00 of ~40:00 of audio, 10.0x real time",
        "moss: 1 of 3 files, 2:30 left, 15:00 of ~40:00 of audio, 10.0x real time",
        "moss: 2 of 3 files, 2:00 left, 20:00 of ~40:00 of audio, 10.0x real time",
        "moss: 2 of 3 files, 0:30 left, 25:00 of 30:00 of audio, 10.0x real time",
        "moss: 3 of 3 files, 0:00 left, 30:00 of 30:00 of audio, 10.0x real time",
    ]
    assert plain(clock, paths) == []
    assert plain(clock, paths, progress=True) == told
    said = plain(clock, paths, verbose=True)
    assert [line for line in said if "of audio" in line] == told
    assert said[:2] == ["moss: reading a", "moss: listening to a"]
    assert len(said) == len(told) + 6
    assert plain(clock, paths, verbose=True, progress=False) == [line for line in said if "of audio" not in line]
    assert plain(clock, paths, verbose=True, quiet=True) == plain(clock, paths, progress=True, quiet=True) == []


def test_quiet_leaves_the_stream_to_errors(moss: Moss, wav: Wav, capfd: pytest.CaptureFixture[str]) -> None:
    wav("in/a.wav")
    wav("in/b.wav")
    for more in ([], ["--verbose"], ["--progress"]):
        run = moss(*TINY, "in", "--quiet", *more)
        assert (run.code, run.err, run.summary) == (0, [], [])


def on_terminal(argv: Sequence[str], folder: Path, columns: int, *, code: int = 0, **variables: str) -> bytes:
    """All that a terminal of so many columns gets on stderr."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "MOSS_CONFIG_DIR", "HF_HUB_CACHE", "LD_LIBRARY_PATH")}
    environment = kept | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    shown = bytearray()

    def read() -> None:
        while True:
            try:
                block = os.read(ours, 4096)
            except OSError:  # how Linux says that the other end is closed
                return
            if not block:
                return
            shown.extend(block)

    reader = threading.Thread(target=read)
    reader.start()
    run = subprocess.run(
        [sys.executable, "-m", "moss_cli", *argv],
        env=environment | variables,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        timeout=120,
        check=False,
    )
    os.close(theirs)
    reader.join()
    os.close(ours)
    assert run.returncode == code
    return bytes(shown)


_CONTROL = re.compile(r"\x1b\[(\??)([\d;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")


class Screen:
    """As much of a terminal as live lines need; `painted` is every line that ever stood on it."""

    def __init__(self, columns: int) -> None:
        self.columns, self.lines, self.row = columns, [""], 0
        self.painted: set[str] = set()

    def feed(self, text: str) -> None:
        for private, number, letter, end, written in _CONTROL.findall(text):
            if written:
                self.lines[self.row] = written if not self.lines[self.row] else self.lines[self.row] + written
                self.painted.add(self.lines[self.row])
            elif end == "\n":
                self.row += 1
                self.lines += [""] * (self.row + 1 - len(self.lines))
            elif letter == "A":
                self.row -= int(number or 1)
            elif letter == "K":
                self.lines[self.row] = ""
            else:
                assert end == "\r" or letter == "m" or private, f"the screen does not know {letter!r}"


@pytest.mark.parametrize("columns", [80, 30])
def test_a_terminal_shows_two_lines_that_fit_and_leaves_none_of_them(tmp_path: Path, wav: Wav, columns: int) -> None:
    for name in ("a.wav", "b" * 120 + ".wav", "会议录音" * 20 + ".wav"):
        wav(f"in/{name}", 4000)
    argv = [*TINY, "in", "--batch-size", "1", "--no-vad", "-o", "out", "-f", "txt"]
    screen = Screen(columns)
    shown = on_terminal(argv, tmp_path, columns).decode()
    screen.feed(shown)
    live = {line for line in screen.painted if "reading " in line or line.startswith("  ")}
    assert any("reading in/a.wav" in line for line in live)
    assert any(re.search(r"reading …b+\.wav", line) for line in live)
    assert any(re.search(r"reading …[会议录音]+\.wav", line) for line in live)
    assert max(wcswidth(line) for line in live) < columns
    if columns == 80:
        whole = r"  2 of 3 files, \d+:\d\d left, 0:00 of ~?0:01 of audio, [\d.]+x real time"
        assert any(re.fullmatch(whole, line) for line in live)
    else:
        assert any(line.startswith("  2 of 3 files, ") for line in live)
    left = "\n".join(line for line in screen.lines if line).replace("\n      ", " ").split("\n")
    assert left[0] == DEMO
    assert not any("reading" in line or line.startswith("  ") for line in left)
    assert left[-2] == "moss: 3 inputs: 3 done"
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h")


@pytest.mark.parametrize("colour", [True, False])
def test_a_message_on_a_terminal_is_broken_between_words_and_elsewhere_it_is_one_line(
    tmp_path: Path, colour: bool
) -> None:
    argv = ["transcribe", "a.wav", "--model", "nowhere", "-o", "a.txt"]
    piped = subprocess.run(
        [sys.executable, "-m", "moss_cli", *argv],
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "40"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = piped.stderr.splitlines()
    assert [line.split(" ")[0] for line in lines] == ["moss:", "hint:"]
    more = {} if colour else {"NO_COLOR": "1"}
    shown = on_terminal(argv, tmp_path, 40, code=piped.returncode, **more).decode()
    assert ("\x1b[31mmoss: error: \x1b[0m" in shown) == colour
    rows = re.sub(r"\x1b\[\d*m", "", shown).splitlines()
    assert len(rows) > 2
    assert max(map(len, rows)) <= 40
    assert "\n".join(rows).replace("\n      ", " ").splitlines() == lines


@pytest.mark.parametrize(("options", "variables"), [(["--quiet"], {}), (["--no-progress"], {}), ([], {"TERM": "dumb"})])
def test_a_terminal_shows_no_progress_where_none_is_wanted_or_none_can_be(
    tmp_path: Path, wav: Wav, options: list[str], variables: dict[str, str]
) -> None:
    wav("a.wav", 4000)
    argv = [*TINY, "a.wav", "--no-vad", "--max-new-tokens", "40", "-o", "a.txt", *options]
    shown = on_terminal(argv, tmp_path, 80, NO_COLOR="1", **variables).decode()
    assert "reading" not in shown
    assert "\x1b" not in shown
    assert shown.splitlines()[0] == DEMO
