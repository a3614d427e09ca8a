"""Run the real commands over rendered clips, as quickly as that goes.

    python -m training.commands < ARGUMENTS > ENVELOPES

runs one command line of `moss` for each line of stdin, a JSON list of arguments, in one process: what takes longest
is importing torch, and a question of its own for each clip would do it each time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
WHOLE, INCOMPLETE = 0, 3  # exit codes with which every input has an envelope


def command_lines(task: str, folder: Path, rows: Sequence[Row], options: Sequence[str] = ()) -> list[list[str]]:
    """The command lines that answer for all clips of a folder: one where each is asked the same, else one for
    each question and its choices, or for each style."""
    files: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for row in rows:
        files[_own_arguments(task, row)].append(str(folder / row["file"]))
    return [[task, *own, *paths, *options] for own, paths in files.items()]


def _own_arguments(task: str, row: Row) -> tuple[str, ...]:
    if task == "ask":
        choices = (argument for choice in row["choices"] or () for argument in ("--choice", choice))
        return (row["question"], *choices)
    return ("--style", row["style"]) if task == "summarize" else ()


def answers(lines: Iterable[Sequence[str]], model: str) -> dict[str, dict[str, Any]]:
    """The envelopes of all inputs, by the names of their files. Raises RuntimeError where a command ended without
    any for one of its inputs."""
    asked = "".join(json.dumps([*line, "--model", model, "-f", "jsonl", "-q"]) + "\n" for line in lines)
    process = [sys.executable, "-m", "training.commands"]
    env = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}  # other work on the same cores is not spun against
    done = subprocess.run(process, input=asked, stdout=subprocess.PIPE, encoding="utf-8", env=env, check=False)
    if done.returncode not in (WHOLE, INCOMPLETE):
        raise RuntimeError(f"a command ended with code {done.returncode}; what it said stands above")
    envelopes = [json.loads(line) for line in done.stdout.splitlines()]
    return {Path(one["input"]["path"]).name: one for one in envelopes}


def main() -> None:
    from moss_cli.cli.main import run

    worst = WHOLE
    for line in sys.stdin:
        code = run(json.loads(line))
        if code not in (WHOLE, INCOMPLETE):
            sys.exit(code)
        worst = max(worst, code)
    sys.exit(worst)


if __name__ == "__main__":
    main()
