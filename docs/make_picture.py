"""Draw docs/terminal.svg: what a terminal of 80 columns shows while the commands below run in it, with `tiny`.

    python docs/make_picture.py       (`make picture`; needs tmux)

A real session: tmux types the commands, and what then stands on its screen becomes the picture, colours and all.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "terminal.svg"
COLUMNS, LINES = 80, 60
PATIENCE_S = 120
SESSION = f"moss-picture-{os.getpid()}"

COMMANDS = (
    "moss transcribe samples/meeting.wav --times",
    "moss scene samples/scene.wav",
    "moss ask 'What colour is the letter?' samples/station.wav",
    "moss summarize samples/minutes.wav",
)


def tmux(*arguments: str) -> str:
    return subprocess.run(["tmux", "-L", SESSION, *arguments], check=True, capture_output=True, text=True).stdout


def screen() -> str:
    """What stands on the screen, with its colours; empty lines at the end left out."""
    return tmux("capture-pane", "-t", SESSION, "-p", "-e").rstrip()


def type_in(command: str) -> None:
    """Type a command and wait until the prompt is there again."""
    n_prompts = screen().count("$ ")
    tmux("send-keys", "-t", SESSION, command, "Enter")
    until = time.monotonic() + PATIENCE_S
    while screen().count("$ ") == n_prompts or not re.search(r"\$\s*$", screen()):
        if time.monotonic() > until:
            sys.exit(f"{command} did not end:\n{screen()}")
        time.sleep(0.2)


def session(folder: Path) -> str:
    """Run the commands in a folder that holds samples/ alone; what stands on the screen in the end."""
    programs = folder / "bin"
    programs.mkdir()
    (programs / "moss").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m moss_cli "$@"\n')
    (programs / "moss").chmod(0o755)
    (folder / "work").mkdir()
    shutil.copytree(ROOT / "samples", folder / "work" / "samples")
    variables = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "MOSS_MODEL": "tiny",
        "MOSS_DEVICE": "cpu",
        "MOSS_CONFIG_DIR": str(folder / "config"),
        "MOSS_STATE_DIR": str(folder / "state"),
        "PS1": "$ ",
        "TERM": "xterm-256color",
    }
    shell = ["env", *(f"{name}={value}" for name, value in variables.items()), "bash", "--norc", "--noprofile"]
    size = ["-x", str(COLUMNS), "-y", str(LINES)]
    tmux("-f", os.devnull, "new-session", "-d", "-s", SESSION, *size, "-c", str(folder / "work"), *shell)
    try:
        time.sleep(1)
        for command in COMMANDS:
            type_in(command)
        return screen()
    finally:
        tmux("kill-server")


def drawn(shown: str) -> str:
    """A screen as SVG, without the fonts from elsewhere that rich would have a viewer fetch."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(shown.removesuffix("$").rstrip()))
    template = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    template = template.replace("Fira Code", "ui-monospace, Menlo, Consolas, DejaVu Sans Mono")
    return console.export_svg(title="moss", code_format=template, unique_id="moss")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        PICTURE.write_text(drawn(session(Path(folder))), encoding="utf-8")


if __name__ == "__main__":
    main()
