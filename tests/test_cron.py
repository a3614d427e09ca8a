"""The crontab line of docs/cron.md, run as cron runs it."""

from __future__ import annotations

import fcntl
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).parents[1]
LINE = next(line for line in (ROOT / "docs/cron.md").read_text().splitlines() if line.startswith("17 "))

pytestmark = pytest.mark.skipif(shutil.which("flock", path="/usr/bin:/bin") is None, reason="no flock")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Someone's home, with `moss`, a config that names the embedded model, and a folder of two recordings."""
    home = tmp_path / "someone's home"
    for folder in (".local/bin", ".config/moss", "Library/Application Support/moss", "recordings/in"):
        (home / folder).mkdir(parents=True)
    script = home / ".local/bin/moss"
    run = f'PYTHONPATH={shlex.quote(str(ROOT))} OMP_NUM_THREADS=1 exec {shlex.quote(sys.executable)} -m moss_cli "$@"'
    script.write_text(f"#!/bin/sh\n{run}\n")
    script.chmod(0o755)
    for config in (".config/moss", "Library/Application Support/moss"):  # on Linux, on macOS
        (home / config / "config.toml").write_text('model = "tiny"\n')
    samples = np.random.default_rng(0).uniform(-0.1, 0.1, 4000).astype(np.float32)
    for name in ("a.wav", "b.wav"):
        soundfile.write(home / "recordings/in" / name, samples, 16_000)
    return home


def cron(home: Path, line: str = LINE) -> subprocess.CompletedProcess[str]:
    """The line's command in the environment that cron gives; what it prints is what cron would mail."""
    command = line.split(" ", 5)[5]
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh", "LOGNAME": "someone"}
    return subprocess.run(
        ["/bin/sh", "-c", command],
        env=environment,
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def log(home: Path) -> list[str]:
    return (home / "recordings/moss.log").read_text().splitlines()


def test_the_line_is_one_that_cron_takes() -> None:
    assert "%" not in LINE
    assert len(LINE) < 998


def test_a_run_without_a_failure_is_logged_and_mails_nothing(home: Path) -> None:
    run = cron(home)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert sorted(p.name for p in (home / "recordings/out").glob("*")) == [".moss", "a.json", "b.json"]
    assert "moss: 2 inputs: 2 done" in log(home)
    assert "\x1b" not in "".join(log(home))
    n_lines = len(log(home))
    assert cron(home).returncode == 0
    assert len(log(home)) > n_lines


def test_a_failure_mails_the_end_of_the_log_and_keeps_the_exit_code(home: Path) -> None:
    (home / "recordings/in/c.wav").write_text("no audio")
    run = cron(home)
    assert (run.returncode, run.stderr) == (3, "")
    first, *rest = run.stdout.splitlines()
    assert first == "moss ended with code 3"
    assert rest == log(home)
    assert "moss: error: in/c.wav is not audio that can be read" in rest
    assert (home / "recordings/out/b.json").exists()


def test_while_another_run_is_at_work_nothing_is_done_or_mailed(home: Path) -> None:
    with (home / "recordings/moss.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run = cron(home)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert log(home) == []
    assert not (home / "recordings/out").exists()
    assert cron(home).returncode == 0
    assert (home / "recordings/out/a.json").exists()


def test_a_moss_or_a_folder_that_is_missing_is_mailed(home: Path) -> None:
    (home / ".local/bin/moss").unlink()
    run = cron(home)
    assert (run.returncode, run.stdout.splitlines()[0]) == (127, "moss ended with code 127")
    (home / "recordings").rename(home / "elsewhere")
    run = cron(home)
    assert run.returncode != 0
    assert "recordings" in run.stderr


def test_an_empty_folder_is_a_failure_unless_it_is_looked_at_first(home: Path) -> None:
    for name in ("a.wav", "b.wav"):
        (home / "recordings/in" / name).unlink()
    assert cron(home).returncode == 2
    condition = "ls in/* >/dev/null 2>&1 || exit 0;"
    assert condition in (ROOT / "docs/cron.md").read_text()
    run = cron(home, LINE.replace("date;", f"{condition} date;"))
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
