"""Write docs/examples.md, which shows what the commands print, by running them.

    python docs/make_examples.py            write the page anew (`make examples`)
    python docs/make_examples.py --check    exit with 1 and a diff where the page is not what they print

The commands stand in EXAMPLES. Each runs in a folder of its own that holds a copy of samples/, so that
they read as from the repository's root; all run in this one process, which loads torch once.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from moss_cli.output.formats import FORMATS, TIMED, has_times
from moss_cli.tasks.catalogue import CATALOGUE, TaskEntry

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "examples.md"


@dataclass(frozen=True)
class Example:
    """A section of the page. With `-o out/` the files in it are shown; `exit_code` is the one expected."""

    title: str
    about: str
    command: str
    exit_code: int = 0


# By task: what stands behind its name in the command line.
ARGUMENTS = {
    "transcribe": "samples/meeting.wav",
    "describe-speaker": "samples/voice.wav",
    "emotion": "samples/emotion.wav",
    "scene": "samples/scene.wav",
    "music": "samples/music.wav",
    "ask": "'What is said?' samples/station.wav",
    "summarize": "samples/minutes.wav",
}
USUAL_FORMATS = {"txt", "json", "srt", "md"}
MORE_FORMATS = {"transcribe": set(FORMATS), "scene": {"tsv"}}

MORE_EXAMPLES = (
    Example(
        "ask with answers to choose from",
        "The answer is one of them.",
        "moss ask 'What colour is the letter?' samples/station.wav --choice red --choice blue --model tiny -f json",
    ),
    Example(
        "Several files",
        "One model load; with `jsonl` a line for each file, written as soon as it is done.",
        "moss transcribe samples/station.wav samples/weather.wav --model tiny -f jsonl",
    ),
    Example(
        "A file that is not there",
        "The same envelope with an error in the place of a result, a line on stderr, and an exit code.",
        "moss transcribe samples/gone.wav --model tiny -f json",
        exit_code=4,
    ),
)


def task_example(task: TaskEntry) -> Example:
    """A task in the formats that its results can have."""
    shown = USUAL_FORMATS | MORE_FORMATS.get(task.name, set())
    if not has_times(task.name, None):
        shown -= TIMED
    written = " ".join(f"-f {fmt}" for fmt in FORMATS if fmt in shown)
    command = f"moss {task.name} {ARGUMENTS[task.name]} --model tiny {written} -o out/"
    return Example(task.name, task.help, command)


EXAMPLES = (*(task_example(task) for task in CATALOGUE if task.name in ARGUMENTS), *MORE_EXAMPLES)

INTRODUCTION = """\
# What the commands print

Made by `make examples`, which runs the commands below with `tiny`, the embedded model, on the recordings in
[samples/](../samples); do not edit it by hand. `tests/test_examples.py` runs them again and compares. How to use the
commands stands in the [guides](index.md); `moss schema TASK` prints the JSON Schema of what a task gives.

Everything is as printed, with `MOSS_DEVICE=cpu` set, but for two things:
- What a run took differs each time; here `load_seconds` and `seconds` are always {load_seconds} and {seconds}, and
  two seconds stand in the line on stderr that says it of several inputs.
- The line on stderr that says that `tiny` is a demonstration model comes with each command, and is left out.
"""

# In place of what a run took: numbers of the usual size.
LOAD_SECONDS, SECONDS = "0.1", "0.5"
TOOK = re.compile(r"in [\d:.]+, [\d.]+x real time$")
DIFFERING = re.compile(r'"(load_seconds|seconds)": [0-9.e-]+')

# What Markdown calls a format, where not by its suffix.
LANGUAGES = {"txt": "text", "md": "markdown"}


@dataclass(frozen=True)
class Printed:
    """What one command gave. `files`: path and text of each file below its folder `out/`."""

    stdout: str
    stderr: list[str]
    files: list[tuple[str, str]]


def run_example(example: Example) -> Printed:
    """Run one command in a folder that holds samples/ alone. Exits with 1 where its exit code is unexpected."""
    from moss_cli.cli.main import run

    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        shutil.copytree(ROOT / "samples", "samples")
        # Real files: moss writes results to the descriptor of stdout.
        with stream() as out, stream() as err:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = run(shlex.split(example.command)[1:])
            stdout, stderr = from_the_start(out), from_the_start(err)
        if code != example.exit_code:
            sys.exit(f"{stderr}{example.command}\nended with {code} and not with {example.exit_code}")
        return Printed(without_times(stdout), list(messages(stderr)), written(Path("out")))


def stream() -> IO[str]:
    """A file without a name, in the place of stdout or stderr."""
    return tempfile.TemporaryFile("w+", encoding="utf-8")


def from_the_start(written: IO[str]) -> str:
    written.seek(0)
    return written.read()


def messages(stderr: str) -> Iterator[str]:
    """The lines of stderr but the one that the introduction tells of; how long a run took is replaced."""
    from moss_cli.api.job import DEMO_NOTE

    lines = (line for line in stderr.splitlines() if line != "moss: " + DEMO_NOTE.format(name="tiny"))
    yield from (TOOK.sub("in 0:02.0, 3.8x real time", line) for line in lines)


def written(folder: Path) -> list[tuple[str, str]]:
    """Path and text of the files that a command wrote, in the order of the formats."""
    paths = [path for path in folder.rglob("*") if path.is_file() and ".moss" not in path.parts]
    paths.sort(key=lambda path: (FORMATS.index(path.suffix[1:]), path))
    return [(path.as_posix(), without_times(path.read_text(encoding="utf-8"))) for path in paths]


def without_times(text: str) -> str:
    """The text with fixed values for what a run took."""
    values = {"load_seconds": LOAD_SECONDS, "seconds": SECONDS}
    return DIFFERING.sub(lambda match: f'"{match[1]}": {values[match[1]]}', text)


def section(example: Example, printed: Printed) -> str:
    """A part of the page: the command, what it said, and each of its results."""
    said = [f"$ {example.command}", *printed.stderr]
    if example.exit_code:
        said += ["$ echo $?", str(example.exit_code)]
    parts = [f"## {example.title}", example.about, fenced("\n".join(said) + "\n", "console")]
    if printed.stdout:
        words = shlex.split(example.command)
        fmt = words[words.index("-f") + 1] if "-f" in words else "txt"
        parts += ["On stdout:", fenced(printed.stdout, LANGUAGES.get(fmt, fmt))]
    for path, text in printed.files:
        suffix = path.rpartition(".")[2]
        parts += [f"`{path}`:", fenced(text, LANGUAGES.get(suffix, suffix))]
    return "\n\n".join(parts) + "\n"


def fenced(text: str, language: str) -> str:
    """A block of code, between fences longer than any in the text."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}{fence}"


def contents(examples: Sequence[Example]) -> str:
    """Links to the sections."""
    return "".join(f"- [{e.title}](#{e.title.lower().replace(' ', '-')})\n" for e in examples)


def make_page(examples: Sequence[Example] = EXAMPLES) -> str:
    """The whole page, from running every command."""
    introduction = INTRODUCTION.format(load_seconds=LOAD_SECONDS, seconds=SECONDS)
    sections = [section(example, run_example(example)) for example in examples]
    return "\n".join([introduction, contents(examples), *sections])


def difference(page: str, printed: str) -> str:
    """A diff from the page to what the commands print; empty where they agree."""
    old, new = page.splitlines(keepends=True), printed.splitlines(keepends=True)
    return "".join(difflib.unified_diff(old, new, "docs/examples.md", "what the commands print"))


def set_environment(config: str) -> None:
    """Let nothing of this machine or its user into the page. Before torch is imported."""
    for name in [name for name in os.environ if name.startswith("MOSS_")]:
        del os.environ[name]
    # One thread: sums in one order, whatever the number of cores; and no slower for so small a model.
    os.environ |= {"MOSS_CONFIG_DIR": config, "MOSS_DEVICE": "cpu", "OMP_NUM_THREADS": "1"}


def main(argv: Sequence[str] | None = None) -> int:
    """Write or check the page, and return the exit code."""
    parser = argparse.ArgumentParser(description="Write docs/examples.md by running the commands that it shows.")
    parser.add_argument("--check", action="store_true", help="compare only: exit with 1 and a diff where it differs")
    check = parser.parse_args(argv).check
    with tempfile.TemporaryDirectory() as config:
        set_environment(config)
        printed = make_page()
    if not check:
        PAGE.write_text(printed, encoding="utf-8")
        return 0
    diff = difference(PAGE.read_text(encoding="utf-8") if PAGE.exists() else "", printed)
    sys.stdout.write(diff)
    return 1 if diff else 0


if __name__ == "__main__":
    sys.exit(main())
