"""What only a process of its own can show: signals, closed streams, what is imported, a bare environment."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from cli_run import DEMO, TINY, split

MOSS = [sys.executable, "-m", "moss_cli"]
ROOT = Path(__file__).parents[2]
Wav = Callable[..., Path]


@pytest.fixture
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """As in a cron job: little is set."""
    kept = {
        k: v
        for k, v in os.environ.items()
        if k in ("PATH", "MOSS_CONFIG_DIR", "MOSS_STATE_DIR", "HF_HUB_CACHE", "LD_LIBRARY_PATH")
    }
    return kept | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path_factory.mktemp("tmp")), "OMP_NUM_THREADS": "1"}


def finished(argv: Sequence[str], environment: dict[str, str], **settings: Any) -> subprocess.CompletedProcess[str]:
    settings = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | settings
    return subprocess.run([*MOSS, *argv], env=environment, text=True, timeout=120, check=False, **settings)


def spooled(environment: dict[str, str]) -> list[Path]:
    return list(Path(environment["TMPDIR"]).glob("moss-*"))


def test_a_bare_environment_is_enough_and_stderr_holds_only_what_moss_says(
    environment: dict[str, str], wav: Wav, tmp_path: Path
) -> None:
    """No HOME, the C locale, a working folder to which nothing may be written, the real model, all kinds of input."""
    names = [str(wav(name, 400)) for name in ("é.wav", "b.wav")]
    names += [str(wav("c.flac", 400, format="FLAC")), str(wav("d.ogg", 4000, 8000, channels=2, format="OGG"))]
    here = tmp_path / "here"
    here.mkdir(mode=0o555)
    with Path(names[0]).open("rb") as stdin:
        argv = [*TINY, *names, "-", str(tmp_path / "gone.wav"), "-f", "json", "--max-new-tokens", "4"]
        run = finished(argv, environment | {"LC_ALL": "C"}, stdin=stdin, cwd=here)
    assert run.returncode == 3
    documents = json.loads(run.stdout)
    assert [d["input"]["path"] for d in documents] == [*names, "-", str(tmp_path / "gone.wav")]
    assert [d["status"] == "error" for d in documents] == [False] * 5 + [True]
    assert all(d["model"]["demo"] and d["usage"]["generated_tokens"] <= 4 for d in documents[:5])
    assert documents[0]["input"]["sha256"] == documents[4]["input"]["sha256"]
    assert run.stderr.splitlines()[0] == DEMO
    (*between, last), summary = split(run.stderr.splitlines())
    assert last == f"moss: error: no such file: {tmp_path / 'gone.wav'}"
    assert summary[0].startswith("6 inputs: ")
    shown = [*names, "standard input"]
    assert all(line.startswith(tuple(f"moss: warning: {name}" for name in shown)) for line in between)
    assert list(here.iterdir()) == []
    assert spooled(environment) == []


def test_runs_that_share_a_folder_do_each_file_once(environment: dict[str, str], wav: Wav, tmp_path: Path) -> None:
    names = [wav(f"in/{k:02d}.wav", 400).name for k in range(12)]
    pipe = subprocess.PIPE
    runs = []
    for k in range(4):
        argv = [*MOSS, *TINY, "in", "-o", "out", "-f", "srt", "-f", "json", "--max-new-tokens", "40", "--quiet"]
        argv += ["--report", f"{k}.json", "--no-vad"]
        runs.append(subprocess.Popen(argv, env=environment, cwd=tmp_path, stderr=pipe, text=True))
    said = [run.communicate(timeout=120)[1] for run in runs]
    reports = [json.loads((tmp_path / f"{k}.json").read_text())["inputs"] for k in range(4)]
    made = [one["path"] for report in reports for one in report if one["status"] in ("done", "partial")]
    assert sorted(made) == [f"in/{name}" for name in names]
    assert all(one["status"] in ("done", "partial", "skipped") for report in reports for one in report), said
    assert len({run.returncode for run in runs}) == 1  # the same stands for all of them
    lines = [json.loads(line) for line in (tmp_path / "out/.moss/outputs.jsonl").read_text().splitlines()]
    assert sorted(line["result"] for line in lines if "result" in line) == [f"transcribe {k:02d}" for k in range(12)]
    written = [f"{k:02d}.{fmt}" for k in range(12) for fmt in ("json", "srt")]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [".moss", *written]
    assert list((tmp_path / "out/.moss/runs").iterdir()) == []


def test_what_a_run_is_at_is_waited_for_and_done_by_another_when_it_dies(
    environment: dict[str, str], wav: Wav, tmp_path: Path
) -> None:
    wav("in/a.wav", 400)
    holder = (
        "from pathlib import Path; from moss_cli.folders.claims import Claims\n"
        "c = Claims(Path('out/.moss')); assert c.take('transcribe a'); print('taken', flush=True); input()"
    )
    (tmp_path / "out/.moss").mkdir(parents=True)
    pipe = subprocess.PIPE
    settings: dict[str, Any] = {"env": environment, "cwd": tmp_path, "stdin": pipe, "stdout": pipe, "text": True}
    with subprocess.Popen([sys.executable, "-c", holder], **settings) as other:
        assert other.stdout is not None and other.stdout.readline() == "taken\n"
        argv = [*MOSS, *TINY, "in", "-o", "out", "--max-new-tokens", "40", "--no-vad"]
        with subprocess.Popen(argv, stderr=pipe, **settings) as run:
            assert run.stderr is not None
            said = [run.stderr.readline().strip() for _ in range(2)]
            assert said == [DEMO, "moss: waiting for another run that is working on 1 input"]
            assert not (tmp_path / "out/a.txt").exists()
            other.kill()
            run.wait(timeout=60)
    assert run.returncode in (0, 3)
    assert (tmp_path / "out/a.txt").exists()


def test_folder_runs_killed_at_random_moments_end_as_an_undisturbed_one(environment: dict[str, str]) -> None:
    """The script has two hundred rounds; this is a few of them."""
    script = str(ROOT / "benchmarks/kill_rounds.py")
    argv = [sys.executable, script, "--rounds", "8", "--clips", "3", "--long", "20", "--seed", "3"]
    run = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert (run.returncode, run.stdout.splitlines()[-1], run.stderr) == (0, "0 faults", "")
    assert "8 rounds on " in run.stdout
    assert ": killed\n" in run.stdout


def test_runs_over_one_recording_killed_at_random_moments_go_on_where_they_were(environment: dict[str, str]) -> None:
    """The script has fifty rounds; this is a few of them."""
    argv = [sys.executable, str(ROOT / "benchmarks/kill_single.py"), "--rounds", "6", "--long", "20", "--seed", "1"]
    run = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert (run.returncode, run.stdout.splitlines()[-1], run.stderr) == (0, "0 faults", "")
    assert "\n6 rounds\n" in run.stdout
    assert ": killed\n" in run.stdout


@pytest.mark.parametrize(
    ("number", "code", "line"),
    [
        (signal.SIGINT, 130, "moss: error: interrupted"),
        (signal.SIGTERM, 143, "moss: error: terminated"),
    ],
)
@pytest.mark.parametrize("moment", ["loading the model for", "listening to", "reading -"])
def test_a_signal_ends_with_its_code_one_line_and_nothing_half_written(
    environment: dict[str, str], wav: Wav, tmp_path: Path, number: signal.Signals, code: int, line: str, moment: str
) -> None:
    names = ["-"] if moment == "reading -" else [wav(f"{k}.wav", 400_000).name for k in range(4)]
    argv = [*MOSS, *TINY, *names, "-f", "json", "-o", "out/", "--verbose"]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, env=environment, cwd=tmp_path, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as run:
        assert run.stdin is not None and run.stdout is not None and run.stderr is not None
        run.stdin.write("RIFF")
        run.stdin.flush()
        for message in run.stderr:
            if message.startswith(f"moss: {moment}"):
                break
        if moment == "reading -":
            deadline = time.monotonic() + 60
            while not spooled(environment) and time.monotonic() < deadline:
                time.sleep(0.01)
            assert spooled(environment)
        run.send_signal(number)
        rest = run.stderr.read().splitlines()
        run.wait(timeout=60)
        assert run.stdout.read() == ""
    assert run.returncode == code
    assert rest[-1] == line
    assert all(message.startswith("moss: ") for message in rest)
    assert spooled(environment) == []
    left = [str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert [name for name in left if not name.endswith(".json") or name.startswith(".moss/runs")] == [
        name for name in left if name in (".moss/claims", ".moss/lock", ".moss/outputs.jsonl")
    ]


def test_a_closed_pipe_on_stdout_ends_quietly(environment: dict[str, str]) -> None:
    for argv, said in ((["--help"], []), ([*TINY, "gone.wav", "gone.mp3", "-f", "jsonl"], [DEMO])):
        reading, writing = os.pipe()
        os.close(reading)
        run = finished(argv, environment, stdout=writing)
        os.close(writing)
        assert (run.returncode, run.stderr.splitlines()) == (141, said)


def test_a_stdout_that_is_closed_or_full_is_code_1(environment: dict[str, str]) -> None:
    for argv, said in ((["--version"], []), ([*TINY, "gone.wav", "-f", "json"], [DEMO])):
        run = finished(argv, environment, stdout=None, preexec_fn=lambda: os.close(1))
        message = "moss: error: cannot write to standard output: Bad file descriptor"
        assert (run.returncode, run.stderr.splitlines()) == (1, [*said, message])
    if Path("/dev/full").exists():
        with Path("/dev/full").open("w") as full:
            run = finished(["--version"], environment, stdout=full)
        message = "moss: error: cannot write to standard output: No space left on device"
        assert (run.returncode, run.stderr.splitlines()) == (1, [message])


def test_a_stderr_that_is_closed_or_full_changes_nothing_else(environment: dict[str, str]) -> None:
    run = finished(["nope"], environment, stderr=None, preexec_fn=lambda: os.close(2))
    assert (run.returncode, run.stdout) == (2, "")
    reading, writing = os.pipe()
    os.close(reading)
    assert finished(["nope"], environment, stderr=writing).returncode == 2
    os.close(writing)
    if Path("/dev/full").exists():
        with Path("/dev/full").open("w") as full:
            assert finished(["nope"], environment, stderr=full).returncode == 2


def test_closed_streams_never_end_up_in_a_file_and_a_closed_stdin_is_said(
    environment: dict[str, str], tmp_path: Path
) -> None:
    run = finished([*TINY, "-", "-o", "x.txt"], environment, stdin=None, cwd=tmp_path, preexec_fn=lambda: os.close(0))
    message = "moss: error: standard input cannot be read: Bad file descriptor"
    assert (run.returncode, run.stderr.splitlines()) == (4, [DEMO, message])
    assert list(tmp_path.iterdir()) == []


def on_terminal(argv: Sequence[str], environment: dict[str, str]) -> str:
    """What a terminal gets on stderr."""
    ours, theirs = pty.openpty()
    assert finished(argv, environment, stderr=theirs).returncode == 2
    os.close(theirs)
    shown = b""
    while True:
        try:
            block = os.read(ours, 4096)
        except OSError:  # how Linux says that the other end is closed
            break
        if not block:
            break
        shown += block
    os.close(ours)
    return shown.decode()


def test_errors_are_coloured_on_a_terminal_but_not_with_no_color_and_drive_it_never(
    environment: dict[str, str],
) -> None:
    plain = "moss: error: no such command '\\x1b[31m[bold]'\r\nhint: see `moss --help`\r\n"
    argv = ["\x1b[31m[bold]"]
    assert on_terminal(argv, environment | {"NO_COLOR": "1", "TERM": "xterm"}) == plain
    coloured = on_terminal(argv, environment | {"TERM": "xterm"})
    assert coloured == plain.replace("moss: error: ", "\x1b[31mmoss: error: \x1b[0m").replace(
        "hint: ", "\x1b[36mhint: \x1b[0m"
    )


WITHOUT_TORCH = """
import os, sys
from moss_cli.cli.main import run
lines = [["--help"], ["--version"], ["transcribe", "--help"], ["models", "--help"], ["models", "list", "--help"]]
lines += [["inspect", "--help"], ["completions", "--help"], ["completions", "zsh"], ["nope"]]
for argv in lines:
    run(argv)
os.environ["_MOSS_COMPLETE"] = "fish"
assert run(["transcribe", "--for"]) == 0
heavy = {"torch", "numpy", "soundfile", "av", "tokenizers", "safetensors", "huggingface_hub"}
print(sorted(heavy & set(sys.modules)), file=sys.stderr)
"""


def test_help_and_completion_import_nothing_heavy(environment: dict[str, str]) -> None:
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert run.stderr.splitlines()[-1] == "[]"
    assert [line.partition("\t")[0] for line in run.stdout.splitlines()[-2:]] == ["--format", "--force"]


def test_a_process_ends_at_once_with_all_said_while_a_thread_is_still_at_work() -> None:
    """The interpreter's own end would unwind the thread inside a library, which may abort instead."""
    code = (
        "import atexit, threading, moss_cli.cli.main as cli, moss_cli.__main__ as entry\n"
        "def run(argv):\n"
        "    threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "    print('said', end='')\n"
        "    return 7\n"
        "cli.run = run\n"
        "atexit.register(print, 'unwound')\n"
        "entry.main()\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (7, "said")
