"""README.md and the guides in docs/: their commands run as they stand, their links lead somewhere.

A block marked `sh` is run, with `tiny` as the default model, in a folder that holds samples/ and recordings under the
names that the pages use; one marked `sh weights` needs a released model, one marked `sh install` an installation, and
one marked `sh server` a port.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from moss_cli.cli.app import app
from moss_cli.cli.main import run
from moss_cli.engine.devices import DeviceFacts, pick_dtype
from moss_cli.models.registry import load_registry

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", *(f"docs/{name}.md" for name in ("transcribe", "tasks", "scripts", "which-model", "privacy")))
PAGES += ("docs/troubleshooting.md", "docs/engine.md", "docs/index.md")
TEXT = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES}
SHELL = re.compile(r"^```sh(?: (\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# What the pages call the recordings, and the sample that stands for each.
RECORDINGS = {
    "talk.mp3": "meeting",
    "interview.m4a": "meeting",
    "standup.wav": "station",
    "voice.wav": "emotion",
    "street.wav": "scene",
    "song.mp3": "music",
    "meeting.m4a": "minutes",
    "roof.wav": "scene",
    "recordings/a.wav": "weather",
    "recordings/b.mp3": "station",
}
# Clips of seconds stand for recordings of minutes.
SHORTER = {"1:30": "0:01", "2m10s": "0:05", "two-minute": "three-second"}
PROGRAMS = {"git", "pipx", "pip", "uv", "rm"}  # that an installation takes


def commands(page: str, mark: str | None) -> list[str]:
    """The command lines of the blocks with this mark; a comment at the end of a line is left out."""
    blocks = [block for found, block in SHELL.findall(TEXT[page]) if (found or None) == mark]
    lines = (re.sub(r"\s+# .*$", "", line).strip() for block in blocks for line in block.splitlines())
    return [line for line in lines if line]


RUN = [(page, line) for page in PAGES for line in commands(page, None)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "samples", folder / "samples")
    (folder / "recordings").mkdir()
    for name, sample in RECORDINGS.items():
        shutil.copyfile(ROOT / "samples" / f"{sample}.wav", folder / name)
    (folder / "bin").mkdir()
    moss = folder / "bin" / "moss"
    moss.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m moss_cli "$@"\n')
    moss.chmod(0o755)
    return folder


@pytest.fixture
def handlers_restored() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def here(handlers_restored: None, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In that folder, with a history that stays over the commands."""
    monkeypatch.chdir(folder)
    for name, value in {"MOSS_MODEL": "tiny", "MOSS_DEVICE": "cpu", "MOSS_STATE_DIR": str(folder / "state")}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")


@pytest.mark.parametrize(("page", "line"), RUN, ids=[f"{page}:{line}" for page, line in RUN])
@pytest.mark.usefixtures("here")
def test_a_command_of_the_pages_works(page: str, line: str, capfd: pytest.CaptureFixture[str]) -> None:
    for long, short in SHORTER.items():
        line = line.replace(long, short)
    words = shlex.split(line)
    if set(words) & {"|", "&&", ";"}:
        if missing := [one for one in ("jq", "find") if one in words and not shutil.which(one)]:
            pytest.skip(f"{missing[0]} is not installed")
        bash(line)
        return
    assert words[0] == "moss"
    code = run(words[1:])  # in this process, which has loaded torch
    captured = capfd.readouterr()
    assert code in (0, 3), captured.err  # 3: what `tiny` says of speech that it was not trained on may be partial
    assert "error" not in captured.err


@pytest.mark.usefixtures("here")
def test_the_commands_of_the_readme_about_a_server_work() -> None:
    pytest.importorskip("starlette")
    pytest.importorskip("uvicorn")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    serve, use, stop, ray = (line.replace("8642", port) for line in commands("README.md", "server"))
    assert ray.endswith(" --ray")  # a cluster: tests/cluster
    [serve, stop] = [f"{line} --port {port}" for line in (serve, stop)]
    try:
        assert f"http://127.0.0.1:{port}/v1" in bash(serve)
        assert bash(use) == bash("moss transcribe talk.mp3")
    finally:
        bash(stop)


def bash(line: str) -> str:
    """What a command prints on stdout."""
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {line}"], capture_output=True, text=True, timeout=300)
    assert done.returncode in (0, 3), done.stderr
    return done.stdout


@pytest.mark.parametrize("page", PAGES)
def test_commands_that_cannot_be_run_here_are_at_least_commands(page: str, folder: Path) -> None:
    """Those that need weights or an installation: the command exists and takes the options."""
    group = get_command(app)
    for line in (*commands(page, "weights"), *commands(page, "install")):
        for part in re.split(r" && ", line):
            words = shlex.split(part)
            if words[0] != "moss":
                assert words[0] in PROGRAMS, line
                continue
            command, rest = group, words[1:]
            while hasattr(command, "commands") and rest:
                command, rest = command.commands[rest[0]], rest[1:]
            command.make_context(words[1], list(rest), resilient_parsing=False)


def test_pages_have_no_other_kinds_of_shell_blocks() -> None:
    marks = {mark for page in PAGES for mark, _ in SHELL.findall(TEXT[page])}
    assert marks == {"", "weights", "install", "server"}
    assert not [page for page in PAGES if re.search(r"^```\n(\$ )?moss ", TEXT[page], re.MULTILINE)]


def test_the_python_of_the_readme_runs(folder: Path, here: None) -> None:
    [code] = re.findall(r"^```python\n(.*?)^```$", TEXT["README.md"], re.MULTILINE | re.DOTALL)
    with contextlib.redirect_stdout(io.StringIO()) as out, pytest.warns(UserWarning, match="demonstration model"):
        exec(code, {})
    assert out.getvalue().splitlines()[0] == "0.62 good morning everyone"


def anchors(text: str) -> set[str]:
    """What the headings of a page are called in links, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings_that_are_there(page: str) -> None:
    found = re.findall(r"\]\((?!http)([^)#]*)(?:#([^)]*))?\)", TEXT[page])
    for target, anchor in found:
        path = ((ROOT / page).parent / target) if target else ROOT / page
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path.read_text(encoding="utf-8")), f"{target}#{anchor}"


def test_the_index_has_every_page_of_docs() -> None:
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert {name for name in pages if f"({name})" not in TEXT["docs/index.md"]} == set()


def test_the_readme_is_no_longer_than_one_reads() -> None:
    assert len(TEXT["README.md"].splitlines()) <= 200


def test_the_table_of_precisions_is_what_is_chosen() -> None:
    page = TEXT["docs/which-model.md"]
    rows = re.findall(r"^\| (CUDA|CPU), ([\d or]+) GB \| (\w+) \| (\w+) \|$", page, re.MULTILINE)
    assert len(rows) == 8
    entries = load_registry().entries
    for device, sizes, *chosen in rows:
        for size in sizes.split(" or "):
            facts = DeviceFacts(device.lower(), int(size) * 10**9)
            weights = [(entries[name].size or 0) // 2 for name in ("4b-instruct", "8b-instruct")]
            assert [pick_dtype("auto", n, facts) for n in weights] == chosen


@pytest.mark.parametrize("page", ["README.md", "docs/which-model.md"])
def test_the_sizes_of_models_are_those_of_the_registry(page: str) -> None:
    entries = load_registry().entries
    for name in ("4b-instruct", "8b-instruct"):
        entry = entries[name]
        for size in (entry.size or 0, entry.memory["bf16"]):
            assert f"{size / 1e9:.1f} GB" in TEXT[page]
    assert f"{entries['4b-instruct'].memory['4bit'] / 1e9:.1f} GB" in TEXT[page]
