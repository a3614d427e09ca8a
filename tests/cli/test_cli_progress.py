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
from unittest import mock

import pytest
from cli_run import DEMO, TINY, Run
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcswidth

from moss_cli.cli.console import Console
from moss_cli.cli.progress import AudioBar, StatusLine
from moss_cli.cli.tally import times
from moss_cli.run.inputs import Input
from moss_cli.run.job import Step

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


def step(path: Path, what: str = "listening", done_s: float = 0.0, total_s: float | None = None, n: int = 0) -> Step:
    return Step(what, Input(path), n, done_s, total_s)


def bar_of(paths: Sequence[Path], clock: Clock) -> AudioBar:
    return AudioBar(paths, io.StringIO(), clock)


def test_nothing_is_claimed_before_anything_is_known(paths: list[Path], clock: Clock) -> None:
    bar = bar_of(paths, clock)
    assert (str(bar), bar.line()) == (", 0/3 files", "")
    bar.step(step(paths[0], "reading"))
    clock.now += 5
    assert re.fullmatch(r"reading \S*/a, 0/3 files", str(bar))
    assert bar.line() == ""
    bar.step(step(paths[0], total_s=60))
    assert (bar.done_s, bar.total_s, bar.line()) == (0, 240, "")
    one = bar_of(paths[:1], clock)
    one.step(step(paths[0], "loading"))
    assert str(one).startswith("loading the model for ")


def test_speed_and_time_left_follow_from_what_is_done_and_sizes_stand_for_lengths(
    paths: list[Path], clock: Clock
) -> None:
    bar = bar_of(paths, clock)
    bar.step(step(paths[0], "reading"))
    clock.now += 10
    bar.step(step(paths[0], done_s=60, total_s=120))
    assert bar.line() == "0 of 3 files, 01:10 left, 01:00 of ~08:00 of audio, 6.0x real time"
    assert str(bar).endswith("| 01:00/~08:00 [01:10 left, 6.0x, 0/3 files]")
    assert " 12%|" in str(bar)
    clock.now += 10
    bar.finished(paths[0], 120)
    bar.finished(paths[1], None)  # it could not be read: that much less is to be done
    assert bar.line() == "2 of 3 files, 00:40 left, 02:00 of ~06:00 of audio, 6.0x real time"
    bar.step(step(paths[2], total_s=3600))
    assert bar.line() == "2 of 3 files, 10:00 left, 02:00 of 1:02:00 of audio, 6.0x real time"
    clock.now += 600
    bar.finished(paths[2], 3600)
    assert bar.line() == "3 of 3 files, 00:00 left, 1:02:00 of 1:02:00 of audio, 6.0x real time"


def test_files_that_are_in_progress_together_are_added_up(paths: list[Path], clock: Clock) -> None:
    bar = bar_of(paths, clock)
    for path in paths:
        bar.step(step(path, total_s=100))
    clock.now += 10
    for done_s in (20, 40):
        for path in reversed(paths):
            bar.step(step(path, "answering", done_s, 100))
    assert bar.line() == "0 of 3 files, 00:15 left, 02:00 of 05:00 of audio, 12.0x real time"
    assert re.match(r"thinking about …?\S*a and 2 more|…\S*a ", str(bar))
    bar.finished(paths[1], 100)  # not the first one
    assert bar.done_s == 180
    bar.finished(paths[0], None)
    assert (bar.done_s, bar.total_s) == (140, 200)
    bar.step(step(paths[1], done_s=100, total_s=100))  # late, of one that is finished
    assert (bar.done_s, bar.total_s) == (140, 200)


def test_tokens_are_counted_while_one_answer_is_decoded(clock: Clock) -> None:
    bar = bar_of([Path("a"), Path("b")], clock)
    bar.step(step(Path("a"), "answering", n=1))
    assert str(bar) == "thinking about a, 1 token, 0/2 files"
    bar.step(step(Path("a"), "answering", n=32))
    assert str(bar) == "thinking about a, 32 tokens, 0/2 files"
    bar.step(step(Path("b"), "reading"))
    assert str(bar) == "thinking about a and 1 more, 0/2 files"
    bar.finished(Path("a"), 1)
    assert str(bar).startswith("reading b")


def test_the_loading_of_the_model_tells_nothing_of_speed(paths: list[Path], clock: Clock) -> None:
    bar = bar_of(paths[:1], clock)
    bar.step(step(paths[0], "reading"))
    bar.step(step(paths[0], "loading"))
    clock.now += 1000
    bar.step(step(paths[0]))
    clock.now += 10
    bar.step(step(paths[0], done_s=5, total_s=10))
    assert bar.line().endswith("00:10 left, 00:05 of 00:10 of audio, 0.50x real time")


def test_what_an_earlier_run_did_tells_nothing_of_speed(clock: Clock) -> None:
    path = Path("a.wav")
    bar = AudioBar([path], io.StringIO(), clock)
    bar.step(Step("listening", Input(path), 0, 40.0, 100.0, 40.0))
    clock.now += 1
    bar.step(Step("listening", Input(path), 0, 40.0, 100.0, 40.0))
    assert bar.format_dict["rate"] is None
    clock.now += 9
    bar.step(Step("answering", Input(path), 0, 60.0, 100.0, 40.0))
    assert bar.format_dict["rate"] == pytest.approx(2.0)


def test_what_is_done_next_is_drawn_at_once_for_it_may_take_long(paths: list[Path], clock: Clock) -> None:
    stream = io.StringIO()
    bar = AudioBar(paths[:1], stream, clock)
    for what in ("reading", "loading", "loading"):
        bar.step(step(paths[0], what))
        bar.draw()
    assert [stream.getvalue().count(words) for words in ("reading", "loading the model")] == [1, 1]


def test_the_speed_does_not_fall_while_a_chunk_is_decoded(paths: list[Path], clock: Clock) -> None:
    bar = bar_of(paths[:1], clock)
    bar.step(step(paths[0], total_s=100))
    clock.now += 10
    bar.step(step(paths[0], done_s=50, total_s=100))
    before = bar.line()
    clock.now += 100
    bar.step(step(paths[0], "answering", done_s=50, total_s=100, n=16))
    assert bar.line() == before == "0 of 1 file, 00:10 left, 00:50 of 01:40 of audio, 5.0x real time"


def test_a_file_that_fails_half_way_is_neither_done_nor_waited_for(paths: list[Path], clock: Clock) -> None:
    bar = bar_of(paths[:2], clock)
    bar.step(step(paths[0], done_s=30, total_s=60))
    bar.finished(paths[0], None)
    clock.now += 10
    bar.step(step(paths[1], done_s=20, total_s=40))
    assert bar.line() == "1 of 2 files, 00:10 left, 00:20 of 00:40 of audio, 2.0x real time"


def test_what_has_no_size_does_not_matter_to_the_estimate(clock: Clock) -> None:
    paths = [Path("-"), Path("gone"), Path("nul\0")]
    bar = bar_of(paths, clock)
    bar.step(step(paths[0]))
    clock.now += 1
    bar.finished(paths[0], 10)
    assert bar.line() == "1 of 3 files, 00:00 left, 00:10 of ~00:10 of audio, 10.0x real time"


@given(
    st.lists(st.tuples(st.sampled_from(range(4)), st.floats(0, 1e6), st.floats(0, 1e6), st.booleans()), max_size=20),
    st.integers(1, 200),
)
def test_whatever_happens_the_bar_fits_and_is_never_more_than_full(
    events: list[tuple[int, float, float, bool]], columns: int
) -> None:
    clock, names = Clock(), ["a", "\x1b[31m" + "b" * 300, "会议录音" * 40, "{desc}\n{bar}"]
    with mock.patch("moss_cli.cli.progress.columns_of", lambda stream: columns):
        bar = AudioBar([Path(name) for name in names], io.StringIO(), clock)
        for index, done_s, total_s, is_end in events:
            clock.now += 0.5
            if is_end:
                bar.finished(Path(names[index]), done_s)
            else:
                bar.step(step(Path(names[index]), "answering", done_s, max(done_s, total_s)))
            assert bar.total_s is None or 0 <= bar.done_s <= bar.total_s
            assert 0 <= wcswidth(str(bar)) <= max(1, columns - 1)  # -1: it holds a control character


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
        "moss: 0 of 3 files, 03:30 left, 05:00 of ~40:00 of audio, 10.0x real time",
        "moss: 1 of 3 files, 03:00 left, 10:00 of ~40:00 of audio, 10.0x real time",
        "moss: 1 of 3 files, 02:30 left, 15:00 of ~40:00 of audio, 10.0x real time",
        "moss: 2 of 3 files, 02:00 left, 20:00 of ~40:00 of audio, 10.0x real time",
        "moss: 2 of 3 files, 00:30 left, 25:00 of 30:00 of audio, 10.0x real time",
        "moss: 3 of 3 files, 00:00 left, 30:00 of 30:00 of audio, 10.0x real time",
    ]
    assert plain(clock, paths) == []
    assert plain(clock, paths, progress=True) == told
    said = plain(clock, paths, verbose=True)
    assert [line for line in said if "of audio" in line] == told
    assert said[:2] == [f"moss: reading {paths[0]}", f"moss: listening to {paths[0]}"]
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


class Screen:
    """As much of a terminal as a bar needs; `painted` is every line that ever stood on it."""

    def __init__(self, text: str) -> None:
        self.lines, self.painted = [""], set[str]()
        for line, end in re.findall(r"([^\r\n]*)([\r\n]|$)", re.sub(r"\x1b\[\d*m", "", text)):
            assert "\x1b" not in line
            if line:
                self.painted.add(line.rstrip())
                self.lines[-1] = line.rstrip()
            if end == "\n":
                self.lines.append("")


@pytest.mark.parametrize("columns", [80, 30])
def test_a_terminal_shows_a_bar_that_fits_and_leaves_nothing_of_it(tmp_path: Path, wav: Wav, columns: int) -> None:
    for name in ("a.wav", "b" * 120 + ".wav", "会议录音" * 20 + ".wav"):
        wav(f"in/{name}", 4000)
    argv = [*TINY, "in", "--batch-size", "1", "--no-vad", "-o", "out", "-f", "txt"]
    screen = Screen(on_terminal(argv, tmp_path, columns, NO_COLOR="1").decode())
    bars = {line for line in screen.painted if "%" in line or (" files" in line and "inputs" not in line)}
    bars -= {line for line in bars if line.startswith("moss:")}
    assert any("in/a.wav" in line for line in bars)
    assert any(re.search(r"…b+\.wav", line) for line in bars)
    assert any(re.search(r"…[会议录音]+\.wav", line) for line in bars)
    assert max(wcswidth(line) for line in bars) < columns
    if columns == 80:
        assert any(re.search(r"%\|.*\| 00:00/~?00:00 \[\d\d:\d\d left, [\d.]+x, 2/3 files\]$", line) for line in bars)
    else:
        assert any(re.search(r"%", line) for line in bars)
    left = "\n".join(line for line in screen.lines if line).replace("\n      ", " ").split("\n")
    assert left[0] == DEMO
    assert not bars & set(left)
    assert left[-2] == "moss: 3 inputs: 3 done"


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
    assert shown.splitlines()[:1] == ([] if "--quiet" in options else [DEMO])


@pytest.mark.parametrize(
    ("environment", "written"),
    [
        ({"TERM": "xterm-256color"}, "\x1b[1A\r\x1b[Jshort"),
        ({"TERM": "xterm-256color", "XTERM_VERSION": "XTerm(379)"}, "\r\x1b[Jshort"),
        ({"TERM": "linux"}, "\r\x1b[Jshort"),
    ],
)
def test_a_bar_that_a_narrower_terminal_has_wrapped_is_erased_in_all_its_rows(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], written: str
) -> None:
    for name in ("XTERM_VERSION", "TMUX"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    columns, stream = [80], io.StringIO()
    monkeypatch.setattr("moss_cli.cli.progress.columns_of", lambda stream: columns[0])
    line = StatusLine(stream)
    line.show("x" * 77)
    columns[0] = 50
    before = stream.tell()
    line.show("short")
    assert stream.getvalue()[before:] == written


def test_what_is_erased_takes_the_mark_of_a_ctrl_c_with_it() -> None:
    stream = io.StringIO()
    line = StatusLine(stream)
    line.show("reading")
    line.show("")
    assert stream.getvalue() == "\rreading" + "\r" + " " * len("reading^C")
